"""Versions of one item are published in the order in which they arrived, though they overlap in flight."""

import asyncio
from collections.abc import Hashable
from types import TracebackType


class Turn:
    """A place in the queue of one key."""

    def __init__(self, order: "KeyOrder", key: Hashable, predecessor: "asyncio.Future[None] | None") -> None:
        self._order = order
        self._key = key
        self._predecessor = predecessor
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return once every earlier turn of the key was left."""
        if self._predecessor is not None:
            # Shielded: cancelling the one who waits must not cancel the one who is waited for.
            await asyncio.shield(self._predecessor)

    def leave(self) -> None:
        """Let the next one of the key go on."""
        self.left.set_result(None)
        self._order.drop(self._key, self)

    def __enter__(self) -> "Turn":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class KeyOrder:
    """Queues by key; as long as what is in flight."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Turn] = {}

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
