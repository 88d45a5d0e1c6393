"""How much may be in flight at once, in messages and bytes. Waiting here is the worker's backpressure."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

EXPECTED_MEDIUM_BYTES = 4 * 2**20
"""What a medium counts while it is read. Larger than most; were it the most that is allowed, 32 MiB, 256 MiB
would let 8 be read at a time, and one slow host would hold up all others."""

DEFAULT_MEDIA_BYTES = 256 * 2**20


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

    def resize(self, before_bytes: int, after_bytes: int) -> None:
        """Change how much room a message has; it may be more than there is, and then the next ones wait."""
        self._bytes += after_bytes - before_bytes
        self._freed.set()

    def _fits(self, size_bytes: int) -> bool:
        if self._messages == 0:
            return True
        return self._messages < self._max_messages and self._bytes + size_bytes <= self._max_bytes


@dataclass(slots=True)
class HeldMedia:
    """The room that an item's media have; of one without references, none."""

    size_bytes: int
    _budget: Budget | None

    def are(self, size_bytes: int) -> None:
        """They are there, and have so many bytes together."""
        if self._budget is not None:
            self._budget.resize(self.size_bytes, size_bytes)
            self.size_bytes = size_bytes


class MediaRoom:
    """Room for so many bytes of fetched media, from before they are read until their item is scored.

    A medium counts 4 MiB while it is read and what it has from then on, so that the room may be overdrawn by
    what was being read already; nothing more is read then. An item takes for all its media at once: none
    holds room while it waits for more.
    """

    def __init__(self, max_bytes: int = DEFAULT_MEDIA_BYTES) -> None:
        self._budget = Budget(sys.maxsize, max_bytes)

    @asynccontextmanager
    async def hold(self, media: int) -> AsyncIterator[HeldMedia]:
        """Wait for room for so many media of one item, and keep it for the block; for none, pass."""
        if media == 0:
            yield HeldMedia(0, None)
            return
        held = HeldMedia(media * EXPECTED_MEDIUM_BYTES, self._budget)
        await self._budget.take(held.size_bytes)
        try:
            yield held
        finally:
            self._budget.give_back(held.size_bytes)
