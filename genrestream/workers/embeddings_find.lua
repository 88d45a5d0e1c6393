-- KEYS embeddings:v1:{model}:{version}:{sha256}, several
-- Returns the embedding of each, or nothing where there is none.
return redis.call('MGET', unpack(KEYS))
