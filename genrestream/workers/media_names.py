"""Host names of media to addresses, by the machine's own name service."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

from aiohttp.abc import AbstractResolver, ResolveResult


class MediaNames(AbstractResolver):
    """Look-ups in threads of their own.

    A stranger's name server can keep a look-up waiting; the event loop has few threads for all its names, and
    those of Kafka, Redis and Triton must not wait behind it.

    `max_threads` look-ups are under way, and as many wait. Nobody can end one: it goes on, also when nobody
    waits for it any more, until the name service gives up.
    """

    def __init__(self, max_threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_threads, "media-names")
        self._room = Semaphore(2 * max_threads)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of the host. Raises socket.gaierror, at once when too many look-ups wait."""
        if not self._room.acquire(blocking=False):
            raise socket.gaierror(socket.EAI_AGAIN, "too many look-ups wait")
        look_up = self._threads.submit(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        look_up.add_done_callback(lambda _: self._room.release())
        found = await asyncio.wrap_future(look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Give up what waits; a look-up in a thread goes on alone until its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
