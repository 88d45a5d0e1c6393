"""Without Redis the labels flow on: writes fail fast, nothing raises, and it works again afterwards."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from genrestream.schemas import Kind, LabelRecord
from genrestream.workers.cache import RedisCache
from genrestream.workers.errors import CacheUnavailableError
from genrestream.workers.protocols import CacheOutcome
from genrestream.workers.script_pipeline import PipelineLimits

Record = Callable[..., LabelRecord]


async def written_within(cache: RedisCache, record: LabelRecord, limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            if await cache.write(record) is CacheOutcome.WRITTEN:
                return
            await asyncio.sleep(0.02)


async def test_a_killed_redis_costs_outcomes_and_one_log_line(
    cache: RedisCache,
    own_redis: Any,
    caplog: pytest.LogCaptureFixture,
    record: Record,
) -> None:
    """500 writes to a dead server all end as failed with one line; the restarted one, which knows no scripts,
    is written to again, and a second line says how many were missed."""
    assert await cache.write(record(1, item_id="t1")) is CacheOutcome.WRITTEN
    with caplog.at_level(logging.WARNING):
        own_redis.kill()
        try:
            outcomes = await asyncio.gather(*(cache.write(record(n, item_id=f"t{n}")) for n in range(500)))
            assert set(outcomes) == {CacheOutcome.FAILED}
            assert await cache.remove(Kind.PODCAST, "t1", 9) is CacheOutcome.FAILED
            with pytest.raises(CacheUnavailableError, match=r"^Redis: "):
                await cache.lookup(Kind.PODCAST, "t1")
            assert len(caplog.messages) == 1
        finally:
            own_redis.start()
        await written_within(cache, record(7), 30)
    assert len(caplog.messages) == 2
    assert "it missed 5" in caplog.messages[1]


async def test_a_redis_that_says_nothing_is_given_up_on(record: Record) -> None:
    """A server that accepts and never answers costs the deadline once; then calls are refused at once."""
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(3600), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", PipelineLimits(deadline_s=0.2, pause_s=3600))
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(cache.write(record(n, item_id=f"t{n}")) for n in range(600)))
        assert set(outcomes) == {CacheOutcome.FAILED}
        assert await cache.write(record(1, item_id="t1")) is CacheOutcome.FAILED
    await cache.close()
    silent.close()


async def test_more_than_may_wait_is_refused(own_redis: Any, record: Record) -> None:
    """The queue before a slow Redis is bounded: what does not fit fails at once, the rest is written."""
    cache = RedisCache(own_redis.url, PipelineLimits(max_waiting=20, max_batch=4))
    outcomes = await asyncio.gather(*(cache.write(record(n, item_id=f"w{n}")) for n in range(50)))
    await cache.close()
    assert outcomes == [CacheOutcome.WRITTEN] * 20 + [CacheOutcome.FAILED] * 30


async def test_a_refused_call_fails_alone(cache: RedisCache, redis: Redis, record: Record) -> None:
    """A key that holds something else fails its own write; the others of the same pipeline pass."""
    await redis.set("revisions:v1:podcast:t1", "not a hash")
    outcomes = await asyncio.gather(*(cache.write(record(n, item_id=f"t{n}")) for n in range(3)))
    assert outcomes == [CacheOutcome.WRITTEN, CacheOutcome.REFUSED, CacheOutcome.WRITTEN]


async def test_a_foreign_record_is_named(cache: RedisCache, redis: Redis) -> None:
    """Reading what is no label record ends in one line with the key."""
    await redis.hset("labels:v1:podcast:t1", "genres", "{}")
    with pytest.raises(CacheUnavailableError, match="labels:v1:podcast:t1 holds no label record"):
        await cache.lookup(Kind.PODCAST, "t1")


async def test_a_wrong_url_is_refused_at_once() -> None:
    """A URL that is none of Redis's schemes fails before anything is written."""
    with pytest.raises(ValueError, match="Redis URL must specify one of the following schemes"):
        RedisCache("http://127.0.0.1:6379")
