"""Versions of one item are published in the order in which they arrived, also across a crash.

A later version is published once the earlier one is committed, and not as soon as that is published: what is
not committed is read again after a crash, and would then follow its own successor.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Turn:
    """A place in the queue of one key."""

    def __init__(self, order: "KeyOrder", key: Hashable, predecessor: "asyncio.Future[None] | None") -> None:
        self._order = order
        self._key = key
        self._predecessor = predecessor
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return once every earlier turn of the key was left."""
        if self._predecessor is None or self._predecessor.done():
            return
        with self._order.somebody_waits():
            # Shielded: cancelling the one who waits must not cancel the one who is waited for.
            await asyncio.shield(self._predecessor)

    def leave(self) -> None:
        """Let the next one of the key go on."""
        self.left.set_result(None)
        self._order.drop(self._key, self)


class KeyOrder:
    """Queues by key; as long as what is not committed."""

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """`on_wait` is told when a turn begins to wait."""
        self._on_wait = on_wait
        self._last: dict[Hashable, Turn] = {}
        self.waiting = 0
        """Turns that wait now."""

    def enter(self, key: Hashable) -> Turn:
        """Queue up behind the latest turn of the key. Call it in the order of arrival."""
        predecessor = self._last.get(key)
        turn = Turn(self, key, predecessor.left if predecessor else None)
        self._last[key] = turn
        return turn

    def drop(self, key: Hashable, turn: Turn) -> None:
        """Forget the key when the turn was its last."""
        if self._last.get(key) is turn:
            del self._last[key]

    @contextmanager
    def somebody_waits(self) -> Iterator[None]:
        """Count who waits in the block."""
        self.waiting += 1
        self._on_wait()
        try:
            yield
        finally:
            self.waiting -= 1
