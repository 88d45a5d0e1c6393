"""Seconds from publishing one item to its labels in Redis, with nothing else going on."""

import asyncio
import time
from collections.abc import Sequence

from redis.asyncio import Redis

from genrestream.client.publisher import Publisher, item_message
from genrestream.schemas import Item
from genrestream.schemas.redis_keys import labels_key

LOOK_EVERY_S = 0.001
PAUSE_S = 0.05
DEADLINE_S = 30.0


async def seconds_to_label(items: Sequence[Item], kafka_bootstrap: str, redis_url: str) -> list[float]:
    """One latency an item, in order; the next is published some time after the former is there."""
    latencies: list[float] = []
    async with Publisher(kafka_bootstrap) as publisher, Redis.from_url(redis_url) as redis:
        for item in items:
            key = labels_key(item.kind, item.id)
            started_s = time.perf_counter()
            delivery = await publisher.send(item_message(item))
            async with asyncio.timeout(DEADLINE_S):
                while not await redis.exists(key):  # noqa: ASYNC110 - Redis has no event to await
                    await asyncio.sleep(LOOK_EVERY_S)
            latencies.append(time.perf_counter() - started_s)
            await delivery
            await asyncio.sleep(PAUSE_S)
    return latencies
