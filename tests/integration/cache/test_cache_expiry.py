"""Nothing stays in Redis for ever: records, revisions, removals and label sets expire or are swept."""

from collections.abc import Callable

from redis.asyncio import Redis

from genrestream.schemas import Kind, LabelRecord
from genrestream.workers.cache import RankedItem, RedisCache
from genrestream.workers.protocols import CacheOutcome

Record = Callable[..., LabelRecord]
DAY_S = 24 * 3600


async def test_every_key_has_its_time_to_live(cache: RedisCache, redis: Redis, record: Record) -> None:
    """Records and label sets live 90 days after their last write, revisions twice that, removals 8 days."""
    await cache.write(record(1, item_id="t1"))
    await cache.remove(Kind.PODCAST, "t2", 3)
    lives = {key: await redis.ttl(key) for key in await redis.keys("*")}
    swept = lives.pop("expiries:v1:podcast")
    assert swept == -1, "the list of expiries is emptied by writes, not by time"
    for key, days in {
        "labels:v1:podcast:t1": 90,
        "items:v1:podcast:genres:comedy": 90,
        "revisions:v1:podcast:t1": 180,
        "removed:v1:podcast:t2": 8,
    }.items():
        assert days * DAY_S - 60 <= lives.pop(key) <= days * DAY_S
    assert lives == {}


async def expire(redis: Redis, *item_ids: str) -> None:
    """What Redis and its clock do when the labels' time is over."""
    for item_id in item_ids:
        await redis.delete(f"labels:v1:podcast:{item_id}")
        await redis.zadd("expiries:v1:podcast", {item_id: 1})


async def test_expired_items_leave_the_sets(cache: RedisCache, redis: Redis, record: Record) -> None:
    """Each write sweeps two expired items, their revisions included; those that live stay."""
    for n in range(5):
        await cache.write(record(1, item_id=f"t{n}"))
    await expire(redis, "t0", "t1", "t2")
    await cache.write(record(1, item_id="t8"))
    assert await redis.zcard("items:v1:podcast:genres:comedy") == 4
    await cache.write(record(1, item_id="t9"))
    assert set(await redis.zrange("items:v1:podcast:genres:comedy", 0, -1)) == {"t3", "t4", "t8", "t9"}
    assert set(await redis.zrange("expiries:v1:podcast", 0, -1)) == {"t3", "t4", "t8", "t9"}
    assert await redis.keys("revisions:v1:podcast:t[012]") == []


async def test_a_damaged_state_of_an_expired_item_holds_up_no_other_write(
    cache: RedisCache, redis: Redis, record: Record
) -> None:
    """Claim: the sweep passes over what is none of ours, and the damaged items do not come again."""
    for n in range(3):
        await cache.write(record(1, item_id=f"t{n}"))
    await redis.hset("revisions:v1:podcast:t0", "genres", "rubbish")
    await redis.delete("revisions:v1:podcast:t1")
    await redis.set("revisions:v1:podcast:t1", "another type")
    await expire(redis, "t0", "t1", "t2")
    assert await cache.write(record(1, item_id="t8")) is CacheOutcome.WRITTEN
    assert await cache.write(record(1, item_id="t9")) is CacheOutcome.WRITTEN
    assert await redis.zrange("expiries:v1:podcast", 0, -1) == ["t8", "t9"]


async def test_what_expired_may_be_written_again(cache: RedisCache, redis: Redis, record: Record) -> None:
    """A rebuild brings back an expired record though its revision is still known; an older one it refuses."""
    await cache.write(record(7, item_id="t1"))
    await expire(redis, "t1")
    assert await cache.write(record(6, item_id="t1")) is CacheOutcome.STALE
    assert await cache.write(record(7, item_id="t1")) is CacheOutcome.WRITTEN
    assert await cache.write(record(7, item_id="t1")) is CacheOutcome.UNCHANGED


async def test_top_gives_the_most_confident_that_live(
    cache: RedisCache, redis: Redis, record: Record
) -> None:
    """The best items of a label come first; expired ones are passed over without shortening the answer."""
    for n in range(1, 9):
        await cache.write(record(1, item_id=f"t{n}", comedy=n / 10))
    await expire(redis, "t8", "t6", "t5")
    assert await cache.top(Kind.PODCAST, "genres", "comedy", 3) == [
        RankedItem("t7", 0.7),
        RankedItem("t4", 0.4),
        RankedItem("t3", 0.3),
    ]
    assert len(await cache.top(Kind.PODCAST, "genres", "comedy", 100)) == 5
    assert await cache.top(Kind.PODCAST, "genres", "none", 3) == []
    assert await cache.top(Kind.PODCAST, "genres", "comedy", 0) == []
