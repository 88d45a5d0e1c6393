"""Faults of Kafka and Redis, and of the connections to all servers."""

import asyncio
from collections.abc import Awaitable, Callable

from kafka.admin import ConfigResource, KafkaAdminClient
from redis.asyncio import Redis

from drills.proxy import proxy
from drills.scene import Scene, Size
from genrestream.schemas.topics import LABELS


async def _nothing(scene: Scene) -> None:
    """Most servers need nothing after their start."""


async def outage(
    scene: Scene, size: Size, name: str, after_start: Callable[[Scene], Awaitable[None]] = _nothing
) -> None:
    """The server of this name is killed, and started again after a while."""
    await scene.start_worker("drill-a")
    server = scene.server(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault():
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(size.outage_s)
            await asyncio.to_thread(server.start)
            await after_start(scene)
        await asyncio.sleep(size.pause_s)


async def kafka_restarted(scene: Scene, size: Size) -> None:
    """The only broker is killed and started again."""
    await outage(scene, size, "kafka")


async def leaders_killed(scene: Scene, size: Size) -> None:
    """Of three brokers, each the leader of a third of the partitions, one after the other is killed."""
    if scene.kafka is None:
        raise RuntimeError("this drill needs a cluster")
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for kill in range(max(1, size.kills // 5)):
            broker = scene.kafka.members[kill % len(scene.kafka.members)]
            await asyncio.to_thread(broker.kill)
            async with scene.fault():
                await asyncio.sleep(size.outage_s)
                broker.start()
                await asyncio.to_thread(scene.kafka.wait_in_sync)
        await asyncio.sleep(size.pause_s)


async def label_topic_refuses(scene: Scene, size: Size) -> None:
    """The label topic refuses all writes for good, until an operator mends it and starts the worker again."""
    worker = await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault():
            await asyncio.to_thread(_limit_label_records, scene.state.kafka_bootstrap, 100)
            async with asyncio.timeout(60):
                while worker.poll() is None:
                    await asyncio.sleep(0.1)
            if worker.poll() == 0 or "Kafka refuses to write to catalog.labels" not in worker.last_words():
                raise RuntimeError(f"the worker ended with status {worker.poll()}: {worker.last_words()}")
            await asyncio.sleep(size.outage_s)
            await asyncio.to_thread(
                _limit_label_records, scene.state.kafka_bootstrap, LABELS.max_message_bytes
            )
            await scene.start_worker("drill-a")
        await asyncio.sleep(size.pause_s)


def _limit_label_records(bootstrap: str, max_bytes: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        limit = {"max.message.bytes": str(max_bytes)}
        admin.alter_configs([ConfigResource("TOPIC", LABELS.name, configs=limit)])
    finally:
        admin.close()


async def redis_killed(scene: Scene, size: Size) -> None:
    """Redis is away and comes back with what it had saved last, or nothing."""
    await outage(scene, size, "redis")


async def redis_emptied(scene: Scene, size: Size) -> None:
    """Somebody says FLUSHALL."""
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault(), Redis.from_url(scene.state.redis_url) as redis:
            await redis.flushall()
        await asyncio.sleep(size.pause_s)


async def links_disturbed(scene: Scene, size: Size) -> None:
    """The connections to Kafka, Redis and Triton stall, and are cut, one after the other."""
    state, kafka = scene.state, scene.kafka
    if kafka is None:
        raise RuntimeError("this drill needs a broker behind a proxy")
    redis_at = state.redis_url.removeprefix("redis://").partition("/")[0]
    async with (
        proxy(f"127.0.0.1:{kafka.behind_proxy}", scene.kafka_proxy_port) as to_kafka,
        proxy(redis_at) as to_redis,
        proxy(state.triton_url) as to_triton,
    ):
        await scene.start_worker(
            "drill-a",
            KAFKA_BOOTSTRAP=to_kafka.address,
            REDIS_URL=f"redis://{to_redis.address}/0",
            TRITON_URL=to_triton.address,
        )
        async with scene.load(size.rate_per_s):
            await asyncio.sleep(size.pause_s)
            for link in (to_triton, to_redis, to_kafka):
                async with scene.fault():
                    link.stall()
                    await asyncio.sleep(size.outage_s)
                    link.resume()
                await asyncio.sleep(size.pause_s)
                async with scene.fault():
                    for _ in range(5):
                        link.cut()
                        await asyncio.sleep(size.pause_s / 5)
            await asyncio.sleep(size.pause_s)
        await scene.settled()
        await scene.close()
