"""A pool of processes that is made anew when it breaks.

Pebble replaces a process that dies at its task, and blames the task. One that dies at rest, as the kernel's
killer chooses when memory runs out, breaks the whole pool for good, and all tasks in it are lost.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, TypeVar

import pebble.pool.process
from pebble import ProcessPool

from genrestream.workers.errors import FeaturesImpossibleError

log = logging.getLogger(__name__)

# Pebble measures its time-outs by the wall clock: one that jumps ahead would end whatever runs, and one that
# jumps back nothing any more.
vars(pebble.pool.process)["time"] = SimpleNamespace(time=time.monotonic, sleep=time.sleep)

T = TypeVar("T")

MAX_ATTEMPTS = 3
"""How often a task is given to a pool, each to a fresh one, before nothing can be done."""

LOOK_EVERY_S = 1.0
"""A task that is handed over in the moment when the pool breaks is never answered."""


class MendingPool:
    """Runs tasks in the pools that `make` makes; `on_break` is called whenever one breaks."""

    def __init__(self, make: Callable[[], ProcessPool], on_break: Callable[[], None]) -> None:
        self._make = make
        self._on_break = on_break
        self._pool = make()
        self._closed = False

    async def run(self, function: Callable[..., T], *arguments: Any, timeout_s: float) -> T:
        """What the function returns or raises in its process; both go through pickle.

        Raises:
            TimeoutError: it took longer.
            pebble.ProcessExpired: its process died.
            FeaturesImpossibleError: the pool broke 3 times while the task was in it, or was closed.
        """
        cause: BrokenProcessPool | None = None
        for _ in range(MAX_ATTEMPTS):
            if self._closed:
                break
            pool = self._pool
            try:
                return await _result(pool, _scheduled(pool, function, arguments, timeout_s))
            except BrokenProcessPool as error:
                cause = error
            await self._replace(pool)
        raise FeaturesImpossibleError(
            f"the feature processes do not stay alive: {cause or 'they were ended'}"
        ) from cause

    async def close(self) -> None:
        """End the processes; what they were at is lost."""
        self._closed = True
        await asyncio.to_thread(_end, self._pool)

    async def _replace(self, broken: ProcessPool) -> None:
        # Several tasks may have been in it: the first one to come here makes the next pool.
        if self._pool is not broken or self._closed:
            return
        self._pool = self._make()
        log.warning("a feature process died at rest; all are replaced")
        self._on_break()
        await asyncio.to_thread(_end, broken)


def _scheduled(
    pool: ProcessPool, function: Callable[..., T], arguments: tuple[Any, ...], timeout_s: float
) -> Future[T]:
    try:
        return pool.schedule(function, args=arguments, timeout=timeout_s)
    except (RuntimeError, OSError) as error:
        # It broke before, or its processes cannot be started.
        raise BrokenProcessPool(str(error)) from error


async def _result(pool: ProcessPool, future: Future[T]) -> T:
    waiting = asyncio.wrap_future(future)
    try:
        while not (await asyncio.wait({waiting}, timeout=LOOK_EVERY_S))[0]:
            if not pool.active:
                raise BrokenProcessPool("the pool broke before it took the task")
        return waiting.result()
    finally:
        waiting.cancel()


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
