"""`http://` and `https://` media, with limits on bytes, time, redirects and requests in flight."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from yarl import URL

from genrestream import __version__
from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_limits import MediaLimits

_NOT_FOUND = frozenset({404, 410})
_FORBIDDEN = frozenset({401, 403, 451})
_MAX_HOST_CHARS = 100

_HEADERS = {
    "User-Agent": f"genrestream/{__version__}",
    "Accept": "image/*, audio/*, */*;q=0.1",
    # Media are compressed already; what a server squeezes all the same is counted unpacked.
    "Accept-Encoding": "identity",
}

_WORDS: dict[type[Exception], str] = {
    aiohttp.ClientConnectorDNSError: "no such host",
    aiohttp.ClientPayloadError: "the transfer broke off",
    aiohttp.ServerDisconnectedError: "the server closed the connection",
    aiohttp.InvalidURL: "the URL is malformed",
    aiohttp.ClientResponseError: "the answer is malformed",
    aiohttp.ClientSSLError: "no TLS connection",
}


class HttpMedia:
    """An HTTP client for media; `open` before the first fetch, `close` after the last."""

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._hosts: dict[str, _HostSlots] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; it belongs to the running loop."""
        self._session = aiohttp.ClientSession(
            connector=_connector(),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._limits.connect_s),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str) -> bytes:
        """The body at `url`, after redirects. Raises MediaUnavailable; its text names the host alone."""
        try:
            target = URL(url)
        except ValueError as error:
            raise MediaUnavailable(MissingReason.UNREACHABLE, "the URL is malformed") from error
        host = (target.host or "")[:_MAX_HOST_CHARS]
        # The time for the medium starts when it is its turn: a queue of our own is no fault of the server.
        async with self._turn(host):
            try:
                async with asyncio.timeout(self._limits.total_s):
                    return await self._get(target)
            except TimeoutError as error:
                raise self._limits.timed_out() from error
            except aiohttp.TooManyRedirects as error:
                detail = f"{host} redirects more than {self._limits.max_redirects} times"
                raise MediaUnavailable(MissingReason.UNREACHABLE, detail) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise MediaUnavailable(MissingReason.UNREACHABLE, f"{host}: {_words(error)}") from error

    @asynccontextmanager
    async def _turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a place with the host, then for one of all: a slow host fills up its own places only."""
        slots = self._hosts.setdefault(host, _HostSlots(self._limits.max_in_flight_per_host))
        slots.users += 1
        try:
            async with AsyncExitStack() as places:
                try:
                    async with asyncio.timeout(self._limits.queue_s):
                        await places.enter_async_context(slots.places)
                        await places.enter_async_context(self._slots)
                except TimeoutError as error:
                    detail = f"no request to {host} came free in {self._limits.queue_s:g} s"
                    raise MediaUnavailable(MissingReason.TIMEOUT, detail) from error
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._hosts[host]

    async def _get(self, url: URL) -> bytes:
        if self._session is None:
            raise RuntimeError("HttpMedia is used before `open`")
        # aiohttp itself tries a GET a second time when the connection is reset before the answer.
        async with self._session.get(url, max_redirects=self._limits.max_redirects) as response:
            self._check_status(response)
            stated_bytes = response.content_length
            if stated_bytes is not None and stated_bytes > self._limits.max_bytes:
                # Not read to its end for the sake of the connection.
                response.close()
                raise self._limits.too_large(stated_bytes)
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._limits.max_bytes:
                    response.close()
                    raise self._limits.endless()
            return bytes(body)

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        # An error's page is not worth reading for the sake of the connection.
        response.close()
        reason = MissingReason.UNREACHABLE
        if response.status in _NOT_FOUND:
            reason = MissingReason.NOT_FOUND
        elif response.status in _FORBIDDEN:
            reason = MissingReason.FORBIDDEN
        host = (response.url.host or "")[:_MAX_HOST_CHARS]
        raise MediaUnavailable(reason, f"HTTP {response.status} from {host}")


class _HostSlots:
    """The places of one host, kept while somebody uses or awaits one."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0


def _connector() -> aiohttp.TCPConnector:
    """Connections to media servers. `_turn` bounds their number; a queue here would use up their time."""
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)


def _words(error: Exception) -> str:
    """What went wrong without the URL, which the library's own texts quote with its query."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    return type(cause).__name__
