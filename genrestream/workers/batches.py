"""Micro-batches: items that wait at the same time go through the models together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MicroBatcher(Generic[T, R]):
    """Gathers up to `max_items` or for `max_wait_s`, and keeps at most `max_batches` in flight.

    While a batch is in flight the next one gathers for `busy_wait_s` or until none is, and while all are, for
    as long as that takes: load makes batches larger, which costs less an item, and not queues longer. The
    callers bound how many items wait.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int,
        max_wait_s: float,
        busy_wait_s: float | None = None,
        max_batches: int,
    ) -> None:
        """`busy_wait_s` is by default `max_wait_s`."""
        self._run = run
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._busy_wait_s = max_wait_s if busy_wait_s is None else busy_wait_s
        self._max_batches = self._free_batches = max_batches
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: T) -> R:
        """The item's result, or the exception that its batch raised."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, result))
        if len(self._waiting) >= self._max_items:
            self._start()
        elif self._timer is None and not self._due:
            wait_s = self._max_wait_s if self._is_idle() else self._busy_wait_s
            self._timer = loop.call_later(wait_s, self._on_time)
        return await result

    def _is_idle(self) -> bool:
        return self._free_batches == self._max_batches

    def _on_time(self) -> None:
        self._timer = None
        self._due = True
        self._start()

    def _start(self) -> None:
        """Send off what waits, as far as batches are free."""
        while self._waiting and self._free_batches and (self._due or len(self._waiting) >= self._max_items):
            batch, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
            self._free_batches -= 1
            task = asyncio.get_running_loop().create_task(self._finish(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not self._waiting:
            self._due = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def _finish(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
            for (_, result), value in zip(batch, results, strict=True):
                if not result.done():
                    result.set_result(value)
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
        finally:
            for _, result in batch:
                # Only where the batch itself was cancelled: nobody waits for it for ever.
                result.cancel()
            self._free_batches += 1
            self._due = self._due or self._is_idle()
            self._start()
