"""Trying again what may pass, with exponential backoff and full jitter.

Source of the jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt."""

    first_s: float = 0.1
    longest_s: float = 5.0

    def delay_s(self, attempt: int) -> float:
        """Seconds before attempt number `attempt` + 1, where 1 is the first attempt; random up to the cap."""
        cap = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return random.uniform(0, cap)  # noqa: S311 - spreads load, guards nothing


async def until_it_works(
    operation: Callable[[], Awaitable[T]],
    passing: type[Exception] | tuple[type[Exception], ...],
    backoff: Backoff,
    on_retry: Callable[[Exception], None],
) -> T:
    """The operation's result, however often it fails with what may pass.

    There is no limit on attempts: the items wait in Kafka, and what is in flight is bounded, so that waiting
    costs nothing and giving up would dead-letter what is good.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return await operation()
        except passing as error:
            on_retry(error)
            await asyncio.sleep(backoff.delay_s(attempt))
