"""What Redis remembers of work done: found when it is there, bounded, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from genrestream.schemas import Kind, LabelRecord
from genrestream.workers.cache import RedisCache
from genrestream.workers.lookups import EarlierRecords, KeepLimits, RedisLookups, StoredEmbeddings
from genrestream.workers.protocols import EmbeddingName
from genrestream.workers.script_pipeline import PipelineLimits

Record = Callable[..., LabelRecord]

PATIENT = PipelineLimits(max_batch=512, max_waiting=512, deadline_s=10.0, pause_s=0.01)
"""For a loaded machine: what these tests claim is not how fast Redis is."""


@pytest.fixture
async def lookups(own_redis: Any, redis: Redis) -> AsyncIterator[RedisLookups]:
    """Lookups in the emptied server."""
    async with RedisLookups(own_redis.url, PATIENT) as made:
        yield made


def name(number: int) -> EmbeddingName:
    """Of one encoder's version, the embedding of another medium for each number."""
    return ("image-small", 1, f"{number:064x}")


def embedding(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Four values that float16 could not hold."""
    return np.float32([number + 0.1, 1e-9, 70_000.3, -1 / 3])


async def test_records_are_found_by_task(cache: RedisCache, lookups: RedisLookups, record: Record) -> None:
    """300 questions at once are answered each for itself: the records of the tasks that are asked for, and
    none for an item that is not there."""
    await asyncio.gather(*(cache.write(record(1, item_id=f"p{n}")) for n in range(0, 300, 2)))
    await cache.write(record(1, item_id="p0", task="moods"))
    earlier = EarlierRecords(lookups)
    found = await asyncio.gather(
        *(earlier.records(Kind.PODCAST, f"p{n}", ["genres", "other"]) for n in range(300))
    )
    expected = [[(f"p{n}", "genres")] if n % 2 == 0 else [] for n in range(300)]
    assert [[(each.id, each.task) for each in records] for records in found] == expected


async def test_what_cannot_be_read_is_not_there(
    cache: RedisCache, lookups: RedisLookups, redis: Redis
) -> None:
    """A field that holds no record and a key of another type give no records, and no error."""
    await redis.hset("labels:v1:podcast:p1", "genres", "{}")
    await redis.set("labels:v1:podcast:p2", "text")
    earlier = EarlierRecords(lookups)
    assert await earlier.records(Kind.PODCAST, "p1", ["genres"]) == []
    assert await earlier.records(Kind.PODCAST, "p2", ["genres"]) == []


async def test_an_embedding_comes_back_bit_by_bit(lookups: RedisLookups, redis: Redis) -> None:
    """What was kept is found as it was, expires within the TTL, and has the documented key."""
    store = StoredEmbeddings(lookups, KeepLimits(ttl_s=100))
    store.keep({name(1): embedding(1)})
    await store.close()
    found = await store.find({name(1): 4, name(2): 4})
    assert list(found) == [name(1)]
    assert found[name(1)].tobytes() == embedding(1).tobytes()
    assert 0 < await redis.ttl(f"embeddings:v1:image-small:1:{1:064x}") <= 100
    assert 100 < await redis.ttl("embeddings-kept:v1") <= 200


async def test_a_foreign_value_is_no_embedding(lookups: RedisLookups, redis: Redis) -> None:
    """One of another size, and one that is no number, are not found."""
    store = StoredEmbeddings(lookups, KeepLimits())
    store.keep({name(1): embedding(1), name(2): np.float32([1, 2, np.nan, 4])})
    await store.close()
    assert await store.find({name(1): 5, name(2): 4}) == {}


async def test_embeddings_are_bounded(lookups: RedisLookups, redis: Redis) -> None:
    """Of 60 kept one after the other at most 20 remain, and 5 once that is the limit; labels stay."""
    await redis.set("labels:v1:podcast:p1", "stays")
    for limit, left in ((20, 20), (5, 5)):
        store = StoredEmbeddings(lookups, KeepLimits(max_entries=limit))
        for number in range(60):
            store.keep({name(number): embedding(number)})
            await store.close()
        assert len(await redis.keys("embeddings:v1:*")) == left
        assert await redis.zcard("embeddings-kept:v1") == left
    assert await redis.get("labels:v1:podcast:p1") == "stays"


async def test_without_redis_nothing_is_known(own_redis: Any, redis: Redis, lookups: RedisLookups) -> None:
    """A killed server is an empty one: no records, no embeddings, nothing raised; it is used again later."""
    store, earlier = StoredEmbeddings(lookups, KeepLimits()), EarlierRecords(lookups)
    store.keep({name(1): embedding(1)})
    await store.close()
    assert len(await store.find({name(1): 4})) == 1
    own_redis.kill()
    try:
        store.keep({name(2): embedding(2)})
        assert await earlier.records(Kind.PODCAST, "p1", ["genres"]) == []
        assert await store.find({name(1): 4}) == {}
        await store.close()
    finally:
        own_redis.start()
    async with asyncio.timeout(30):
        while not await store.find({name(3): 4}):
            store.keep({name(3): embedding(3)})
            await store.close()
            await asyncio.sleep(0.02)


async def test_a_redis_that_says_nothing_is_not_waited_for() -> None:
    """A server that accepts and never answers costs its deadline once, and then nothing."""
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(3600), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    limits = PipelineLimits(deadline_s=0.2, pause_s=3600)
    async with asyncio.timeout(60), RedisLookups(f"redis://127.0.0.1:{port}/0", limits) as lookups:
        earlier = EarlierRecords(lookups)
        found = await asyncio.gather(*(earlier.records(Kind.EVENT, f"e{n}", ["genres"]) for n in range(384)))
        assert found == [[]] * 384
        assert await earlier.records(Kind.EVENT, "e", ["genres"]) == []
    silent.close()
