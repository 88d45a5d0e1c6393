"""Time that is used up only while it runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Countdown:
    """So many seconds for several stretches of work together, without the waits between them."""

    def __init__(self, seconds: float) -> None:
        self.left_s = seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Use it up by the work inside. Raises TimeoutError when nothing is left."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self.left_s):
                yield
        finally:
            self.spend(time.monotonic() - began_s)

    def spend(self, seconds: float) -> None:
        """Use up so much of it."""
        self.left_s = max(0.0, self.left_s - seconds)
