"""`http://` and `https://` media, within limits on addresses, bytes, time, redirects, attempts and places."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from genrestream import __version__
from genrestream.schemas import MissingReason
from genrestream.workers import media_verdicts
from genrestream.workers.breaker import BreakerLimits, BreakerOpenError, Breakers
from genrestream.workers.countdown import Countdown
from genrestream.workers.errors import MediaMayPass, MediaUnavailable
from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_connections import MediaConnections
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.media_names import MediaNames
from genrestream.workers.media_places import Places
from genrestream.workers.retries import Backoff

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HOST_CHARS = 100
_MALFORMED = (ValueError, IndexError)
"""What yarl raises for what is no URL; the second for brackets in the wrong order."""

_HEADERS = {
    "User-Agent": f"genrestream/{__version__}",
    "Accept": "image/*, audio/*, */*;q=0.1",
    # Media are compressed already; what a server squeezes all the same is counted unpacked.
    "Accept-Encoding": "identity",
}

BREAKER = BreakerLimits(longest_open_s=30.0)
"""Many share a host, as on a CDN: failures, which a stranger can bring about, take it from all of them."""
BACKOFF = Backoff(first_s=0.5, longest_s=5.0)
"""A host that stumbles is back in a second; one that is gone should not be asked ten times for one item."""


class HttpMedia:
    """An HTTP client for media; `open` before the first fetch, `close` after the last."""

    def __init__(
        self,
        limits: MediaLimits,
        addresses: AddressPolicy,
        on_retry: Callable[[], None],
        backoff: Backoff = BACKOFF,
        breaker: BreakerLimits = BREAKER,
        names: AbstractResolver | None = None,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._limits = limits
        self._addresses = addresses
        self._on_retry = on_retry
        self._backoff = backoff
        self._tls = tls
        self._names = names or MediaNames(limits.max_in_flight)
        self._places = Places(limits.max_in_flight, limits.max_in_flight_per_host)
        # By port too: else a closed port in a stranger's URL would speak for the host's real one.
        self._breakers = Breakers[tuple[str, int | None]](MediaMayPass, breaker)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; it belongs to the running loop."""
        self._session = aiohttp.ClientSession(
            connector=MediaConnections(self._addresses, self._names, self._tls),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._limits.connect_s),
            # A proxy would connect in our place, to addresses that nobody checks.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
        await self._names.close()

    @property
    def open_circuits(self) -> int:
        """Hosts that are left alone after many failures."""
        return self._breakers.open

    async def fetch(self, url: str) -> bytes:
        """The body at `url`, after redirects and retries.

        Raises MediaUnavailable; its text names the host alone.
        """
        try:
            target = URL(url)
        except _MALFORMED as error:
            raise MediaUnavailable(MissingReason.UNREACHABLE, "the URL is malformed") from error
        # A queue of our own is no fault of the server: it has a time of its own.
        queue = Countdown(self._limits.queue_s)
        budget = Countdown(self._limits.budget_s)
        attempt = 1
        while True:
            try:
                return await self._attempt(target, queue, budget)
            except MediaMayPass as failure:
                wait_s = max(failure.wait_s, self._backoff.delay_s(attempt))
                if attempt == self._limits.max_attempts or wait_s >= budget.left_s:
                    raise
            self._on_retry()
            await asyncio.sleep(wait_s)
            budget.spend(wait_s)
            attempt += 1

    async def _attempt(self, url: URL, queue: Countdown, budget: Countdown) -> bytes:
        allowed_s = min(self._limits.total_s, budget.left_s)
        time = Countdown(allowed_s)
        first_host = _host(url)
        try:
            for _ in range(self._limits.max_redirects + 1):
                async with self._places.take(_host(url), queue):
                    answer = await self._request(url, time)
                if isinstance(answer, bytes):
                    return answer
                url = answer
        finally:
            budget.spend(allowed_s - time.left_s)
        detail = f"{first_host} redirects more than {self._limits.max_redirects} times"
        raise MediaUnavailable(MissingReason.UNREACHABLE, detail)

    async def _request(self, url: URL, time: Countdown) -> bytes | URL:
        """The body, or where it is instead; the answer speaks for this host, and for none that led to it."""
        try:
            with self._breakers.attempt((_host(url), url.port)):
                return await self._in_time(url, time)
        except BreakerOpenError as error:
            # Waits like a retry: a short cool-down fits into the budget, a long one ends the medium at once.
            detail = f"{_host(url)} is left alone after many failures"
            raise MediaMayPass(MissingReason.UNREACHABLE, detail, error.retry_in_s) from error

    async def _in_time(self, url: URL, time: Countdown) -> bytes | URL:
        left_s = time.left_s
        try:
            async with time.running():
                return await self._get(url)
        except aiohttp.ServerTimeoutError as error:
            # The library's own limit on a connection, which is a TimeoutError too.
            raise media_verdicts.of_error(error, _host(url)) from error
        except TimeoutError as error:
            # A slow host before this one must not open the breaker of this one.
            kind = MediaMayPass if left_s >= self._limits.total_s / 2 else MediaUnavailable
            raise kind(MissingReason.TIMEOUT, self._limits.timed_out().detail) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise media_verdicts.of_error(error, _host(url)) from error

    async def _get(self, url: URL) -> bytes | URL:
        if self._session is None:
            raise RuntimeError("HttpMedia is used before `open`")
        # aiohttp itself sends a GET a second time when a connection is reset before the answer: one that was
        # kept open may be gone.
        async with self._session.get(url, allow_redirects=False) as response:
            location = response.headers.get("Location")
            if response.status in _REDIRECTS and location is not None:
                return _redirected(url, location)
            if response.status != 200:
                # An error's page is not worth reading for the sake of the connection.
                response.close()
                retry_after = response.headers.get("Retry-After")
                raise media_verdicts.of_status(response.status, _host(url), retry_after, datetime.now(UTC))
            return await self._body(response)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        stated_bytes = response.content_length
        if stated_bytes is not None and stated_bytes > self._limits.max_bytes:
            # Not read to its end for the sake of the connection.
            response.close()
            raise self._limits.too_large(stated_bytes)
        body = bytearray()
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._limits.slow_after_s) as time:
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > self._limits.max_bytes:
                        response.close()
                        raise self._limits.endless()
                    time.reschedule(began_s + self._limits.patience_s(len(body)))
        except TimeoutError as error:
            # Not a failure that may pass: of each attempt a stranger would take this time again.
            response.close()
            raise self._limits.too_slow() from error
        return bytes(body)


def _host(url: URL) -> str:
    """The host as texts name it: as it is sent, for a false one cannot be decoded."""
    return (url.raw_host or "")[:_MAX_HOST_CHARS]


def _redirected(url: URL, location: str) -> URL:
    """Where the redirect leads. Raises MediaUnavailable.

    Credentials are those of the item's URL, and go to no other origin.
    """
    try:
        target = url.join(URL(location))
        if target.scheme not in {"http", "https"}:
            detail = f"{_host(url)} redirects out of HTTP"
            raise MediaUnavailable(MissingReason.FORBIDDEN, detail)
        target = target.with_user(None)
        if url.user is not None and target.origin() == url.origin():
            target = target.with_user(url.user).with_password(url.password)
    except _MALFORMED as error:
        detail = f"{_host(url)} redirects to a malformed address"
        raise MediaUnavailable(MissingReason.UNREACHABLE, detail) from error
    return target
