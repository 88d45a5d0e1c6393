-- Keeps an embedding, and no more than a number of them: the oldest goes for the newest.
--
-- KEYS 1 embeddings:v1:{model}:{version}:{sha256}
--      2 embeddings-kept:v1    sorted set of all such keys by the time of writing (Unix seconds)
-- ARGV 1 embedding, 2 TTL in seconds, 3 most embeddings
-- Returns the number that is kept, those included that have expired since.
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], KEYS[1])
-- The set outlives what it names, also for an eviction by volatile-ttl: nothing is kept that nobody counts.
redis.call('EXPIRE', KEYS[2], 2 * ARGV[2])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if over > 0 then
  -- As a rule one; many after the limit was lowered, and then a few a write.
  local oldest = redis.call('ZPOPMIN', KEYS[2], math.min(over, 100))
  for i = 1, #oldest, 2 do
    redis.call('DEL', oldest[i])
  end
end
return redis.call('ZCARD', KEYS[2])
