"""Faults of the workers themselves."""

import asyncio

from drills.clock import JumpingClock
from drills.scene import Scene, Size


async def workers_killed(scene: Scene, size: Size) -> None:
    """Two workers are killed with -9 in turn and started again."""
    names = ("drill-a", "drill-b")
    for name in names:
        await scene.start_worker(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for kill in range(size.kills):
            name = names[kill % 2]
            # Recovery begins with the kill: the start of the next process is a part of it.
            async with scene.fault():
                await scene.kill_worker(name)
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


async def clock_jumps(scene: Scene, size: Size) -> None:
    """The worker's wall clock jumps an hour and a month ahead and back, and an hour behind."""
    clock = JumpingClock(scene.folder)
    await scene.start_worker("drill-a", **clock.environment)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for offset_s in (3600, 0, 30 * 86_400, -3600, 0):
            async with scene.fault():
                clock.jump(offset_s)
            await asyncio.sleep(size.pause_s)
            if clock.seen_s() != offset_s:
                raise RuntimeError(f"the worker's clock did not jump to {offset_s:+d} s")
