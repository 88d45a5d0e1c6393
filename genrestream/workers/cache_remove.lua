-- Deletes an item's labels, as far as they are not newer than the removal, and remembers the removal.
--
-- KEYS 1 labels:v1:{kind}:{id}, 2 revisions:v1:{kind}:{id}, 3 removed:v1:{kind}:{id}, 4 expiries:v1:{kind}
--      as in cache_write.lua
-- ARGV 1 item offset of the removal, 2 item id, 3 prefix of the kind's label sets, 4 TTL of the removal in seconds
-- Returns 'written', 'stale' or 'unchanged'.
local offset, id, sets = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local removed_offset = tonumber(redis.call('GET', KEYS[3]) or '-1') or -1
if offset < removed_offset then
  return 'stale'
end
if offset == removed_offset then
  return 'unchanged'
end
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[4])

local states = redis.call('HGETALL', KEYS[2])
local kept = 0
for i = 1, #states, 2 do
  local item_offset, _, labels = parse(states[i + 1])
  if item_offset and item_offset > offset then
    kept = kept + 1
  else
    for _, label in ipairs(labels) do
      redis.call('ZREM', sets .. states[i] .. ':' .. label, id)
    end
    redis.call('HDEL', KEYS[1], states[i])
    redis.call('HDEL', KEYS[2], states[i])
  end
end
if kept == 0 then
  redis.call('ZREM', KEYS[4], id)
elseif kept == #states / 2 then
  return 'stale'
end
return 'written'
