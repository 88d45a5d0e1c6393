-- KEYS 1 labels:v1:{kind}:{id}    hash of records, a field a task
-- ARGV tasks
-- Returns the record of each task, or nothing for a task that has none.
return redis.call('HMGET', KEYS[1], unpack(ARGV))
