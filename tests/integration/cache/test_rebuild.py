"""Redis can be filled anew from the label topic, also while workers write to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from genrestream.cli.addresses import Addresses
from genrestream.schemas import Kind, LabelRecord, Revision
from genrestream.schemas.topics import LABELS
from genrestream.workers.cache import RedisCache
from genrestream.workers.errors import CacheUnavailableError, KafkaUnavailableError
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.publish import LabelPublisher
from genrestream.workers.rebuild import rebuild

pytestmark = pytest.mark.stack

Record = Callable[..., LabelRecord]


@pytest.fixture
async def producer(addresses: Addresses) -> AsyncIterator[KafkaProducer]:
    made = KafkaProducer(addresses.kafka_bootstrap, "test")
    await made.start()
    yield made
    await made.stop()


async def test_an_emptied_redis_is_filled_with_the_newest(
    addresses: Addresses, producer: KafkaProducer, cache: RedisCache, redis: Redis, record: Record
) -> None:
    """Labels come back in their newest revision, removed items stay away, and what is newer is kept."""
    labels = LabelPublisher(producer)
    for offset in (1, 2):
        writes = (
            labels.publish(record(offset, item_id=f"rebuild:{n}", comedy=offset / 4)) for n in range(1500)
        )
        await asyncio.gather(*writes)
    await labels.publish(record(3, item_id="rebuild:0", task="tags", fun=0.5))
    await labels.remove(Kind.PODCAST, "rebuild:1", ["genres", "tags"], Revision(9, 0))
    newer = record(7, item_id="rebuild:2", soul=0.5)
    await cache.write(newer)

    passed: list[tuple[int, int]] = []
    outcomes = await rebuild(addresses.kafka_bootstrap, cache, lambda *progress: passed.append(progress))

    assert outcomes["written"] >= 1499
    assert passed[-1][0] == passed[-1][1] > 0
    assert passed == sorted(passed)
    assert set(await cache.lookup(Kind.PODCAST, "rebuild:0")) == {"genres", "tags"}
    assert await cache.lookup(Kind.PODCAST, "rebuild:1") == {}
    assert await cache.lookup(Kind.PODCAST, "rebuild:2") == {"genres": newer}
    for n in range(3, 1500, 100):
        expected = record(2, item_id=f"rebuild:{n}", comedy=0.5)
        assert await cache.lookup(Kind.PODCAST, f"rebuild:{n}") == {"genres": expected}
    again = await rebuild(addresses.kafka_bootstrap, cache)
    assert again["written"] == 0


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"podcast:x:genres", b"not a record", []),
        (b"podcast:x:genres", None, []),
        (b"podcast:x:genres", None, [("genrestream-revision", b"7")]),
        (b"festival:x:genres", None, [("genrestream-revision", b"[7,0]")]),
        (b"podcast", None, [("genrestream-revision", b"[7,0]")]),
    ],
)
async def test_what_cannot_be_read_is_counted(
    addresses: Addresses,
    producer: KafkaProducer,
    cache: RedisCache,
    caplog: pytest.LogCaptureFixture,
    key: bytes,
    value: bytes | None,
    headers: list[tuple[str, bytes]],
) -> None:
    """A foreign message is named by its place and does not end the rebuilding."""
    await producer.deliver(LABELS.name, key, value, headers)
    try:
        outcomes = await rebuild(addresses.kafka_bootstrap, cache)
    finally:
        await producer.deliver(LABELS.name, key, None, [("genrestream-revision", b"[0,0]")])
    assert outcomes["unreadable"] >= 1
    assert any("is no label record: " in line for line in caplog.messages)


async def test_servers_that_are_away_are_named(
    addresses: Addresses, own_redis: Any, cache: RedisCache
) -> None:
    """Without Kafka or Redis it ends with one line that says which."""
    with pytest.raises(KafkaUnavailableError, match=r"^no Kafka broker answers at 127\.0\.0\.1:1$"):
        await rebuild("127.0.0.1:1", cache)
    own_redis.kill()
    try:
        with pytest.raises(CacheUnavailableError, match=r"^Redis: .*; run it again once that is mended$"):
            await rebuild(addresses.kafka_bootstrap, cache)
    finally:
        own_redis.start()
