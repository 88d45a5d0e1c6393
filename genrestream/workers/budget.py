"""How much may be in flight at once, in messages and bytes. Waiting here is the worker's backpressure."""

import asyncio


class Budget:
    """Room for so many messages of so many bytes together.

    A message larger than the whole budget is let in when nothing else is in flight, so that it cannot
    wait for ever.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages = 0
        self._bytes = 0
        self._freed = asyncio.Event()

    @property
    def messages(self) -> int:
        """Messages in flight."""
        return self._messages

    async def take(self, size_bytes: int) -> None:
        """Wait for room, then take it. One caller at a time is served in order; several race."""
        while not self._fits(size_bytes):
            self._freed.clear()
            await self._freed.wait()
        self._messages += 1
        self._bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Free the room that `take` took."""
        self._messages -= 1
        self._bytes -= size_bytes
        self._freed.set()

    def _fits(self, size_bytes: int) -> bool:
        if self._messages == 0:
            return True
        return self._messages < self._max_messages and self._bytes + size_bytes <= self._max_bytes
