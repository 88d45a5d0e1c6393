"""The cache compares and sets in one step: the newest revision wins, whatever the order of writes."""

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from genrestream.schemas import Kind, LabelRecord
from genrestream.workers.cache import RedisCache
from genrestream.workers.protocols import CacheOutcome

Record = Callable[..., LabelRecord]


async def sets(redis: Redis) -> dict[str, dict[str, float]]:
    """Every label's set: confidence by item."""
    return {
        key.removeprefix("items:v1:podcast:"): dict(await redis.zrange(key, 0, -1, withscores=True))
        for key in sorted(await redis.keys("items:v1:*"))
    }


async def test_a_record_is_written_with_its_labels(cache: RedisCache, redis: Redis, record: Record) -> None:
    """Recommenders find the record in the hash, as published, and the item in the sets of its labels."""
    written = record(5, comedy=0.8, news=0.25)
    assert await cache.write(written) is CacheOutcome.WRITTEN
    assert await redis.hgetall("labels:v1:podcast:p:1") == {"genres": written.model_dump_json()}
    assert await sets(redis) == {"genres:comedy": {"p:1": 0.8}, "genres:news": {"p:1": 0.25}}
    assert await cache.lookup(Kind.PODCAST, "p:1") == {"genres": written}


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ((5, 0), (6, 0), CacheOutcome.WRITTEN),
        ((5, 0), (5, 1), CacheOutcome.WRITTEN),
        ((5, 9), (6, 0), CacheOutcome.WRITTEN),
        ((9, 0), (10, 0), CacheOutcome.WRITTEN),
        ((5, 0), (5, 0), CacheOutcome.UNCHANGED),
        ((5, 1), (5, 0), CacheOutcome.STALE),
        ((6, 0), (5, 9), CacheOutcome.STALE),
        ((10, 0), (9, 0), CacheOutcome.STALE),
        ((2**53 - 1, 0), (2**53 - 2, 0), CacheOutcome.STALE),
    ],
)
async def test_only_a_newer_revision_is_written(
    cache: RedisCache,
    redis: Redis,
    first: tuple[int, int],
    second: tuple[int, int],
    outcome: CacheOutcome,
    record: Record,
) -> None:
    """Offsets order before sequences, as numbers, exactly up to 2^53; equal ones change nothing."""
    await cache.write(record(*first, comedy=0.8))
    assert await cache.write(record(*second, news=0.9)) is outcome
    newest = "news" if outcome is CacheOutcome.WRITTEN else "comedy"
    assert list(await sets(redis)) == [f"genres:{newest}"]
    found = (await cache.lookup(Kind.PODCAST, "p:1"))["genres"]
    assert [label.label for label in found.labels] == [newest]


async def test_labels_that_go_leave_their_sets(cache: RedisCache, redis: Redis, record: Record) -> None:
    """An item stands in the sets of its newest labels only, with their newest confidences."""
    await cache.write(record(1, comedy=0.8, news=0.4))
    await cache.write(record(1, item_id="p2", comedy=0.1))
    await cache.write(record(2, news=0.6, söul=0.5))
    assert await sets(redis) == {
        "genres:comedy": {"p2": 0.1},
        "genres:news": {"p:1": 0.6},
        "genres:söul": {"p:1": 0.5},
    }


async def test_tasks_do_not_touch_each_other(cache: RedisCache, redis: Redis, record: Record) -> None:
    """Each task has its own revision, field and sets, also where a label has the same name."""
    await cache.write(record(5, 3, comedy=0.8))
    assert await cache.write(record(5, 1, task="tags", comedy=0.2)) is CacheOutcome.WRITTEN
    assert set(await cache.lookup(Kind.PODCAST, "p:1")) == {"genres", "tags"}
    assert await sets(redis) == {"genres:comedy": {"p:1": 0.8}, "tags:comedy": {"p:1": 0.2}}


async def test_any_order_of_the_same_writes_ends_the_same(
    cache: RedisCache, redis: Redis, record: Record
) -> None:
    """Versions, a relabelling and a removal, in all 24 orders: the item's newest version is what stays."""
    writes = [record(1, 0, comedy=0.5), record(1, 2, news=0.5), record(9, 0, soul=0.5)]
    for order in itertools.permutations([*writes, None]):
        await redis.flushall()
        for write in order:
            if write is None:
                await cache.remove(Kind.PODCAST, "p:1", 5)
            else:
                await cache.write(write)
        assert await sets(redis) == {"genres:soul": {"p:1": 0.5}}
        assert await cache.lookup(Kind.PODCAST, "p:1") == {"genres": writes[2]}


async def test_concurrent_writers_leave_the_newest(cache: RedisCache, own_redis: Any, record: Record) -> None:
    """Two workers that write the same items at once, in random order, leave each item's newest revision."""
    other = RedisCache(own_redis.url)
    writes = [record(n, item_id=f"p{n % 10}", comedy=0.5) for n in range(200)]
    shuffled = random.Random(7).sample(writes, len(writes))
    outcomes = await asyncio.gather(*(each.write(write) for write in shuffled for each in (cache, other)))
    await other.close()
    assert CacheOutcome.FAILED not in outcomes
    for n in range(10):
        assert await cache.lookup(Kind.PODCAST, f"p{n}") == {"genres": writes[190 + n]}


async def test_a_removal_takes_everything_along_and_stays(
    cache: RedisCache, redis: Redis, record: Record
) -> None:
    """A removed item is in no hash and no set, and what is not newer does not bring it back."""
    await cache.write(record(5, comedy=0.8))
    await cache.write(record(5, task="tags", fun=0.8))
    await cache.write(record(1, item_id="p2", comedy=0.1))
    assert await cache.remove(Kind.PODCAST, "p:1", 6) is CacheOutcome.WRITTEN
    assert await cache.lookup(Kind.PODCAST, "p:1") == {}
    assert await sets(redis) == {"genres:comedy": {"p2": 0.1}}
    assert await cache.remove(Kind.PODCAST, "p:1", 6) is CacheOutcome.UNCHANGED
    assert await cache.remove(Kind.PODCAST, "p:1", 4) is CacheOutcome.STALE
    assert await cache.write(record(6, 99, comedy=0.8)) is CacheOutcome.STALE
    assert await cache.write(record(7, comedy=0.7)) is CacheOutcome.WRITTEN
    assert await cache.remove(Kind.PODCAST, "p:1", 6) is CacheOutcome.UNCHANGED
    assert await sets(redis) == {"genres:comedy": {"p:1": 0.7, "p2": 0.1}}


async def test_a_removal_that_comes_late_spares_what_is_newer(cache: RedisCache, record: Record) -> None:
    """A removal of an earlier offset deletes nothing, and is remembered against records before it."""
    await cache.write(record(9, comedy=0.8))
    assert await cache.remove(Kind.PODCAST, "p:1", 5) is CacheOutcome.STALE
    assert await cache.write(record(5, task="tags", fun=0.5)) is CacheOutcome.STALE
    assert set(await cache.lookup(Kind.PODCAST, "p:1")) == {"genres"}


async def test_a_record_without_a_revision_is_refused(cache: RedisCache, record: Record) -> None:
    """A record made outside Kafka has nothing to compare; writing it would be a fault of the caller."""
    outside = record(1, comedy=0.5).model_copy(update={"revision": None})
    with pytest.raises(ValueError, match="the record of podcast p:1 has no revision"):
        await cache.write(outside)


@pytest.mark.parametrize(
    "state", ["", "rubbish", "x:1:[]", "5:0:", '5:0:"comedy"', "5:0:[{}]", "5:0:[null]", "-1:0:[]"]
)
async def test_a_state_that_is_none_of_ours_counts_as_absent(
    cache: RedisCache, redis: Redis, record: Record, state: str
) -> None:
    """Claim: a damaged revision is overwritten, or removed with the item, and does not fail for ever; neither
    does a damaged removal.
    """
    await redis.hset("revisions:v1:podcast:p:1", "genres", state)
    await redis.set("removed:v1:podcast:p:1", "rubbish")
    written = record(1)
    assert await cache.write(written) is CacheOutcome.WRITTEN
    assert await cache.lookup(Kind.PODCAST, "p:1") == {"genres": written}
    await redis.hset("revisions:v1:podcast:p:1", "genres", state)
    await redis.set("removed:v1:podcast:p:1", "rubbish")
    assert await cache.remove(Kind.PODCAST, "p:1", 2) is CacheOutcome.WRITTEN
    assert await cache.lookup(Kind.PODCAST, "p:1") == {}
    assert await redis.hgetall("revisions:v1:podcast:p:1") == {}
