-- Writes one label record unless what is there is as new: compare and set in one step.
--
-- KEYS 1 labels:v1:{kind}:{id}     hash, task -> record
--      2 revisions:v1:{kind}:{id}  hash, task -> "item_offset:release_sequence:[labels]"
--      3 removed:v1:{kind}:{id}    item offset of the latest removal
--      4 expiries:v1:{kind}        sorted set of item ids by the time at which their labels expire
-- ARGV 1 task, 2 item offset, 3 release sequence, 4 record, 5 item id, 6 prefix of the kind's label sets,
--      7 TTL in seconds, then label and confidence by turns
-- Returns 'written', 'stale' or 'unchanged'.
local task, offset, sequence, record = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local id, sets, ttl_s = ARGV[5], ARGV[6], tonumber(ARGV[7])

local removed_offset = tonumber(redis.call('GET', KEYS[3]) or '-1')
if removed_offset and offset <= removed_offset then
  return 'stale'
end
local state = redis.call('HGET', KEYS[2], task)
local old_labels = {}
if state then
  local old_offset, old_sequence
  old_offset, old_sequence, old_labels = parse(state)
  if old_offset and (offset < old_offset or (offset == old_offset and sequence < old_sequence)) then
    return 'stale'
  end
  -- The state outlives the record, so an equal revision may have to be written again.
  if offset == old_offset and sequence == old_sequence and redis.call('HEXISTS', KEYS[1], task) == 1 then
    return 'unchanged'
  end
end

local labels, is_label = {}, {}
for i = 8, #ARGV, 2 do
  local key = sets .. task .. ':' .. ARGV[i]
  labels[#labels + 1] = ARGV[i]
  is_label[ARGV[i]] = true
  redis.call('ZADD', key, ARGV[i + 1], id)
  redis.call('EXPIRE', key, ttl_s)
end
for _, label in ipairs(old_labels) do
  if not is_label[label] then
    redis.call('ZREM', sets .. task .. ':' .. label, id)
  end
end
redis.call('HSET', KEYS[1], task, record)
redis.call('EXPIRE', KEYS[1], ttl_s)
redis.call('HSET', KEYS[2], task, string.format('%s:%s:%s', ARGV[2], ARGV[3], cjson.encode(labels)))
redis.call('EXPIRE', KEYS[2], 2 * ttl_s)
local now_s = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[4], now_s + ttl_s, id)

-- An item whose labels expired leaves the sets of its labels. Two a write keeps up, since each write makes at
-- most one item expire later on. What is none of ours among them holds up nobody else's write.
local labels_prefix, state_prefix = string.sub(KEYS[1], 1, -#id - 1), string.sub(KEYS[2], 1, -#id - 1)
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_s, 'LIMIT', 0, 2)) do
  if redis.call('EXISTS', labels_prefix .. expired) == 0 then
    local states = redis.pcall('HGETALL', state_prefix .. expired)
    for i = 1, #states, 2 do
      local _, _, its_labels = parse(states[i + 1])
      for _, label in ipairs(its_labels) do
        redis.pcall('ZREM', sets .. states[i] .. ':' .. label, expired)
      end
    end
    redis.call('DEL', state_prefix .. expired)
    redis.call('ZREM', KEYS[4], expired)
  end
end
return 'written'
