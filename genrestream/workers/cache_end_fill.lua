-- Notes that a partition of the label topic is copied whole, unless the note of its beginning is gone.
--
-- KEYS 1 filled:v1   hash, partition -> run id of the server, or run id and token while it is being copied
-- ARGV 1 partition, 2 what its beginning noted, 3 run id
-- Returns 'filled' or 'lost'.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 'lost'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 'filled'
