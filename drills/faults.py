"""The drills: each does something to a stack under load and says how long the load goes on.

`Size` scales them: the short form runs with the tests, the long one as `make drill`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drills.scene import Scene


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    rate_per_s: float
    kills: int
    outage_s: float
    pause_s: float
    """Between faults, and before the first and after the last one."""


SHORT = Size(rate_per_s=80, kills=2, outage_s=4, pause_s=2)
LONG = Size(rate_per_s=200, kills=20, outage_s=30, pause_s=4)

Drill = Callable[[Scene, Size], Awaitable[None]]


async def workers_killed(scene: Scene, size: Size) -> None:
    """Two workers are killed with -9 in turn and started again."""
    names = ("drill-a", "drill-b")
    for name in names:
        await scene.start_worker(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for kill in range(size.kills):
            name = names[kill % 2]
            await scene.kill_worker(name)
            async with scene.fault():
                await scene.start_worker(name)
            await asyncio.sleep(size.pause_s)


async def workers_come_and_go(scene: Scene, size: Size) -> None:
    """Workers join and leave every few seconds while one stays."""
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for turn in range(max(2, size.kills // 4)):
            name = f"drill-guest-{turn % 3}"
            async with scene.fault():
                await scene.start_worker(name)
                await asyncio.sleep(size.pause_s)
                if await scene.stop_worker(name) != 0:
                    raise RuntimeError(f"{name} did not leave in order")
        await asyncio.sleep(size.pause_s)


async def _outage(scene: Scene, size: Size, name: str) -> None:
    await scene.start_worker("drill-a")
    server = scene.server(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault():
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(size.outage_s)
            await asyncio.to_thread(server.start)
            await _after_start(scene, name)
        await asyncio.sleep(size.pause_s)


async def _after_start(scene: Scene, name: str) -> None:
    """A Triton that is started anew has no model until somebody loads what is live."""
    if name == "triton":
        from genrestream.workers.announce import announce_live  # noqa: PLC0415

        await announce_live(scene.models, scene.state.kafka_bootstrap, scene.state.triton_url)


async def triton_killed(scene: Scene, size: Size) -> None:
    """Triton is away."""
    await _outage(scene, size, "triton")


async def redis_killed(scene: Scene, size: Size) -> None:
    """Redis is away and comes back with what it had saved last, or nothing."""
    await _outage(scene, size, "redis")


async def kafka_restarted(scene: Scene, size: Size) -> None:
    """The only broker is killed and started again."""
    await _outage(scene, size, "kafka")


async def redis_emptied(scene: Scene, size: Size) -> None:
    """Somebody says FLUSHALL."""
    from redis.asyncio import Redis  # noqa: PLC0415

    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault(), Redis.from_url(scene.state.redis_url) as redis:
            await redis.flushall()
        await asyncio.sleep(size.pause_s)


DRILLS: dict[str, Drill] = {
    drill.__name__: drill
    for drill in (
        workers_killed,
        workers_come_and_go,
        triton_killed,
        redis_killed,
        redis_emptied,
        kafka_restarted,
    )
}
