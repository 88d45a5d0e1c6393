"""Redis follows the label topic by itself, through outages and losses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from genrestream.cli.addresses import Addresses
from genrestream.schemas import Kind, LabelRecord, Revision
from genrestream.schemas.redis_keys import labels_key
from genrestream.workers.cache import RedisCache
from genrestream.workers.cache_view import CacheView, _Standstill
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.protocols import CacheOutcome
from genrestream.workers.publish import LabelPublisher

pytestmark = pytest.mark.stack

Record = Callable[..., LabelRecord]
DEADLINE_S = 60


@pytest.fixture
async def labels(addresses: Addresses) -> AsyncIterator[LabelPublisher]:
    producer = KafkaProducer(addresses.kafka_bootstrap, "test")
    await producer.start()
    yield LabelPublisher(producer)
    await producer.stop()


@pytest.fixture
def view(addresses: Addresses, cache: RedisCache, tmp_path: Any) -> CacheView:
    """A group of its own, so that no other worker shares the partitions."""
    return CacheView(
        addresses.kafka_bootstrap, f"test-{tmp_path.name}", cache, WorkerMetrics("test", CollectorRegistry())
    )


async def filled(cache: RedisCache) -> None:
    """Returns once Redis has all of the topic as it was at the start."""
    async with asyncio.timeout(DEADLINE_S):
        while await cache.unfilled(range(12)):
            await asyncio.sleep(0.05)


async def has(cache: RedisCache, item_id: str, expected: dict[str, LabelRecord]) -> None:
    """Return once the cache has just these records of the item."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if await cache.lookup(Kind.PODCAST, item_id) == expected:
                return
            await asyncio.sleep(0.05)


async def test_labels_and_removals_arrive(
    view: CacheView, labels: LabelPublisher, cache: RedisCache, record: Record
) -> None:
    """The newest record of each task is there, and a removal takes all of them away."""
    async with view:
        old, new, tags = (
            record(1, item_id="view:1", comedy=0.5),
            record(2, item_id="view:1", comedy=0.75),
            record(2, item_id="view:1", task="tags", fun=0.5),
        )
        for each in (new, old, tags):
            await labels.publish(each)
        await has(cache, "view:1", {"genres": new, "tags": tags})
        await labels.remove(Kind.PODCAST, "view:1", ["genres", "tags"], Revision(3, 0))
        await has(cache, "view:1", {})


async def test_what_was_published_just_before_the_end_is_written(
    view: CacheView, labels: LabelPublisher, cache: RedisCache, record: Record
) -> None:
    """Closing waits for what this worker has published, and the next one begins behind it."""
    async with view:
        first = record(1, item_id="view:first")
        await labels.publish(first)
        await has(cache, "view:first", {"genres": first})
        await asyncio.gather(*(labels.publish(record(1, item_id=f"view:end:{n}")) for n in range(500)))
    assert all([await cache.lookup(Kind.PODCAST, f"view:end:{n}") for n in range(500)])


async def test_an_outage_is_made_up_for(
    view: CacheView, labels: LabelPublisher, cache: RedisCache, own_redis: Any, record: Record
) -> None:
    """What is published while Redis is dead is there afterwards, and so is what the dead one had: it comes
    back empty."""
    before, meanwhile = record(1, item_id="view:before"), record(1, item_id="view:meanwhile")
    async with view:
        await labels.publish(before)
        await has(cache, "view:before", {"genres": before})
        own_redis.kill()
        try:
            await labels.publish(meanwhile)
        finally:
            own_redis.start()
        await has(cache, "view:meanwhile", {"genres": meanwhile})
        await has(cache, "view:before", {"genres": before})


async def test_an_emptied_redis_is_filled_anew(
    view: CacheView, labels: LabelPublisher, cache: RedisCache, redis: Redis, record: Record
) -> None:
    """FLUSHALL on the running server, also while it is being filled anew."""
    kept = [record(1, item_id=f"view:kept:{n}") for n in range(1000)]
    async with view:
        await asyncio.gather(*(labels.publish(each) for each in kept))
        await has(cache, "view:kept:999", {"genres": kept[999]})
        await redis.flushall()
        async with asyncio.timeout(DEADLINE_S):
            while not await redis.exists(labels_key(Kind.PODCAST, "view:kept:0")):
                await asyncio.sleep(0.001)
        await redis.flushall()
        for each in kept[::100]:
            await has(cache, each.id, {"genres": each})


async def test_a_key_of_another_type_holds_up_nothing(
    view: CacheView, labels: LabelPublisher, cache: RedisCache, redis: Redis, record: Record
) -> None:
    """Somebody wrote a string where a hash belongs: that item is refused, its neighbours are cached."""
    await redis.set(labels_key(Kind.PODCAST, "view:taken"), "mine")
    other = record(1, item_id="view:other")
    async with view:
        await labels.publish(record(1, item_id="view:taken"))
        await labels.publish(other)
        await has(cache, "view:other", {"genres": other})


async def test_a_fault_while_writing_loses_nothing(
    view: CacheView,
    labels: LabelPublisher,
    cache: RedisCache,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Claim: messages that were read and could not be written are read again, and not passed by a commit."""
    write = cache.write
    faults: list[BaseException] = [RuntimeError("a fault"), asyncio.CancelledError()]

    async def faulty(each: LabelRecord, encoded: bytes | None = None) -> CacheOutcome:
        if faults:
            raise faults.pop()
        return await write(each, encoded)

    expected = [record(1, item_id=f"view:fault:{n}") for n in range(20)]
    async with view:
        # The filling at the start would write them too.
        await filled(cache)
        monkeypatch.setattr(cache, "write", faulty)
        for each in expected:
            await labels.publish(each)
        for each in expected:
            await has(cache, each.id, {"genres": each})
        assert faults == []


async def test_a_consumer_that_brings_nothing_is_replaced(
    view: CacheView,
    labels: LabelPublisher,
    cache: RedisCache,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that hangs silently after trouble with a broker: another one takes its place and goes on."""
    monkeypatch.setattr("genrestream.workers.cache_view.PATIENCE_S", 1.0)
    view._standstill._patience_s = 1.0
    expected = record(1, item_id="view:hung")
    async with view:
        await filled(cache)
        hung = view._consumer
        # All its fetches are thrown away from now on.
        hung.pause(*hung.assignment())
        await labels.publish(expected)
        await has(cache, "view:hung", {"genres": expected})
        assert view._consumer is not hung


def test_patience_grows_until_something_is_read() -> None:
    """A standstill is told after 20 s, then after 40; nothing to read, or progress, begins anew."""
    now = 0.0
    standstill = _Standstill(clock=lambda: now)
    told = []
    for second in range(100):
        now = float(second)
        if standstill.lasts(waits=True, progress=[7]):
            told.append(second)
    assert told == [20, 60]
    assert not standstill.lasts(waits=False, progress=[7])
    now = 118.0
    assert not standstill.lasts(waits=True, progress=[7])
    now = 119.0
    assert standstill.lasts(waits=True, progress=[7])
