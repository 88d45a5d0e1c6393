"""Places for requests in flight: so many to one host, and so many in all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from genrestream.schemas import MissingReason
from genrestream.workers.countdown import Countdown
from genrestream.workers.errors import MediaUnavailable


class Places:
    """A slow host fills up its own places only. Remembers hosts only while somebody uses or awaits them."""

    def __init__(self, in_all: int, per_host: int) -> None:
        self._all = asyncio.Semaphore(in_all)
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def take(self, host: str, patience: Countdown) -> AsyncIterator[None]:
        """Wait for a place with the host, then for one of all, and keep both inside the `with`.

        Raises:
            MediaUnavailable: none came free in time.
        """
        own = self._hosts.setdefault(host, _Host(self._per_host))
        own.users += 1
        try:
            async with AsyncExitStack() as places:
                try:
                    async with patience.running():
                        await places.enter_async_context(own.places)
                        await places.enter_async_context(self._all)
                except TimeoutError as error:
                    detail = f"no request to {host} came free in time"
                    raise MediaUnavailable(MissingReason.TIMEOUT, detail) from error
                yield
        finally:
            own.users -= 1
            if not own.users:
                del self._hosts[host]


class _Host:
    """The places of one host."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0
