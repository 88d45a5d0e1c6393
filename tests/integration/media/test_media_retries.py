"""What may pass is tried again, within a budget; hosts that keep failing are left alone for a while."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from genrestream.schemas import MissingReason
from genrestream.workers.breaker import Breaker, BreakerLimits, BreakerState
from genrestream.workers.errors import MediaMayPass
from genrestream.workers.media_http import BREAKER, HttpMedia
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.retries import Backoff
from tests.integration.media.servers import LOOPBACK, OK, BareServer, HttpServer, refused

AT_ONCE = Backoff(first_s=0, longest_s=0)
PATIENT = BreakerLimits(failures=1000)
"""Where the claim is not about breakers."""


class Client:
    """A client that counts its retries."""

    def __init__(self, **limits: float) -> None:
        self.retries = 0
        self.limits = MediaLimits(**{"max_bytes": 10_000, "total_s": 10, "budget_s": 20, **limits})  # type: ignore[arg-type]

    def count(self) -> None:
        self.retries += 1


Open = Callable[..., Awaitable[tuple[HttpMedia, Client]]]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Makes clients that retry without waiting by themselves, and closes them."""
    async with AsyncExitStack() as stack:

        async def make(
            breaker: BreakerLimits = PATIENT, names: AbstractResolver | None = None, **limits: float
        ) -> tuple[HttpMedia, Client]:
            client = Client(**limits)
            media = HttpMedia(client.limits, LOOPBACK, client.count, AT_ONCE, breaker, names)
            await media.open()
            stack.push_async_callback(media.close)
            return media, client

        yield make


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
async def test_a_status_that_may_pass_is_tried_again(server: HttpServer, opened: Open, status: int) -> None:
    """Claim: the second answer counts, and the retry is counted."""
    media, client = await opened()
    server.statuses = [status, 200]
    assert await media.fetch(f"{server.url}/next") == b"picture"
    assert (len(server.requests), client.retries) == (2, 1)


@pytest.mark.parametrize(
    "path", [*(f"status/{code}" for code in (204, 400, 401, 403, 404, 410, 451)), "bomb"]
)
async def test_what_does_not_pass_is_asked_for_once(server: HttpServer, opened: Open, path: str) -> None:
    """Claim: absent, forbidden and oversized media cost their server one request."""
    media, client = await opened()
    await refused(media.fetch, f"{server.url}/{path}")
    assert (len(server.requests), client.retries) == (1, 0)


async def test_attempts_are_limited(server: HttpServer, opened: Open) -> None:
    """Claim: three attempts are two retries, and the last answer is the verdict."""
    media, client = await opened(max_attempts=3)
    server.statuses = [500, 502, 503]
    assert await refused(media.fetch, f"{server.url}/next") == (
        MissingReason.UNREACHABLE,
        "HTTP 503 from 127.0.0.1",
    )
    assert (len(server.requests), client.retries) == (3, 2)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param([None, None], id="resets"),
        pytest.param([b"", b""], id="closes before the answer"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"], id="closes in the body"),
    ],
)
async def test_a_broken_connection_is_tried_again(
    bare: BareServer, opened: Open, fault: list[bytes | None]
) -> None:
    """Claim: resets and transfers that break off may pass, beyond the HTTP library's own second try."""
    media, client = await opened()
    bare.scripts = [*fault, OK]
    assert await media.fetch(f"{bare.url}/x") == b"picture"
    assert client.retries == 1


async def test_a_server_that_starts_later_is_found(opened: Open, unused_tcp_port: int) -> None:
    """Claim: a refused connection is tried again, here until the server is there."""
    media, client = await opened(max_attempts=1000)
    fetching = asyncio.create_task(media.fetch(f"http://127.0.0.1:{unused_tcp_port}/x"))
    while not client.retries:
        await asyncio.sleep(0)
    late = BareServer()
    listener = await asyncio.start_server(late.answer, "127.0.0.1", unused_tcp_port)
    try:
        assert await fetching == b"picture"
    finally:
        listener.close()


async def test_a_server_that_hangs_is_tried_again(server: HttpServer, opened: Open) -> None:
    """Claim: an attempt that ran out of its own time is made again while there is budget."""
    media, client = await opened(total_s=0.2, max_attempts=2)
    assert (await refused(media.fetch, f"{server.url}/never"))[0] is MissingReason.TIMEOUT
    assert client.retries == 1


class Failing(AbstractResolver):
    """A name service that fails once with the error and then knows every name as 127.0.0.1."""

    def __init__(self, error: int) -> None:
        self._error = error
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        if self.asked == 1:
            raise socket.gaierror(self._error, "as the system says it")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        pass


async def test_a_name_service_that_does_not_answer_is_asked_again(server: HttpServer, opened: Open) -> None:
    """Claim: a failure that the name service calls temporary is one."""
    names = Failing(socket.EAI_AGAIN)
    media, client = await opened(names=names)
    assert await media.fetch(f"http://media.test:{server.port}/ok") == b"picture"
    assert (names.asked, client.retries) == (2, 1)


async def test_a_name_that_does_not_exist_is_final(server: HttpServer, opened: Open) -> None:
    """Claim: it is asked for once."""
    names = Failing(socket.EAI_NONAME)
    media, client = await opened(names=names)
    assert await refused(media.fetch, f"http://media.test:{server.port}/ok") == (
        MissingReason.UNREACHABLE,
        "media.test: no such host",
    )
    assert (names.asked, client.retries) == (1, 0)


async def test_the_wait_that_a_server_asks_for_is_kept(server: HttpServer, opened: Open) -> None:
    """Claim: with `Retry-After: 1` the second request comes a second after the first, not before."""
    media, _ = await opened()
    server.statuses, server.retry_after = [503, 200], "1"
    assert await media.fetch(f"{server.url}/next") == b"picture"
    first_s, second_s = server.arrivals_s
    # The loop's clock may wake a sleeper a tick early.
    assert second_s - first_s >= 0.99


@pytest.mark.parametrize("retry_after", ["30", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_wait_beyond_the_budget_ends_it_at_once(
    server: HttpServer, opened: Open, retry_after: str
) -> None:
    """Claim: nobody waits for what cannot be in time, whether told in seconds or as a date."""
    media, client = await opened()
    server.statuses, server.retry_after = [429, 200], retry_after
    assert await refused(media.fetch, f"{server.url}/next") == (
        MissingReason.UNREACHABLE,
        "HTTP 429 from 127.0.0.1",
    )
    assert (len(server.requests), client.retries) == (1, 0)


async def test_a_host_that_keeps_failing_is_left_alone(server: HttpServer, opened: Open) -> None:
    """Claim: after three failures in a row no request goes out to that host and port, and others do."""
    media, _ = await opened(BreakerLimits(failures=3, first_open_s=1000), max_attempts=1)
    for _ in range(3):
        await refused(media.fetch, f"{server.url}/status/500")
    assert await refused(media.fetch, f"{server.url}/ok") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1 is left alone after many failures",
    )
    assert len(server.requests) == 3
    other = BareServer()
    listener = await asyncio.start_server(other.answer, "127.0.0.1", 0)
    try:
        assert await media.fetch(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x") == b"picture"
    finally:
        listener.close()


def test_a_host_is_never_left_alone_for_long() -> None:
    """Claim: whatever fails at a host that many share, its media are tried again within half a minute."""
    now_s = 0.0
    breaker = Breaker(MediaMayPass, BREAKER, lambda: now_s)
    for _ in range(BREAKER.failures + 10):
        with pytest.raises(MediaMayPass), breaker.attempt():
            raise MediaMayPass(MissingReason.UNREACHABLE, "no")
        if breaker.state is not BreakerState.CLOSED:
            now_s += 30
        assert breaker.state is not BreakerState.OPEN


async def test_absent_media_are_no_failures_of_a_host(server: HttpServer, opened: Open) -> None:
    """Claim: a host with many dead links is not left alone."""
    media, _ = await opened(BreakerLimits(failures=3, first_open_s=1000), max_attempts=1)
    for _ in range(5):
        await refused(media.fetch, f"{server.url}/status/404")
    assert await media.fetch(f"{server.url}/ok") == b"picture"


async def test_a_short_cool_down_is_waited_for(server: HttpServer, opened: Open) -> None:
    """Claim: where the cool-down fits into the budget the medium is read after it, by the one probe."""
    media, _ = await opened(BreakerLimits(failures=1, first_open_s=0.2))
    server.statuses = [500, 200]
    assert await media.fetch(f"{server.url}/next") == b"picture"
    first_s, second_s = server.arrivals_s
    assert second_s - first_s >= 0.19


async def test_a_redirect_does_not_answer_for_where_it_leads(
    server: HttpServer, bare: BareServer, opened: Open
) -> None:
    """Claim: failures behind a redirect are those of the host that failed, not of the one that led there."""
    media, _ = await opened(BreakerLimits(failures=2, first_open_s=1000), max_attempts=1)
    server.location = f"{bare.url}/x"
    bare.scripts = [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
    for _ in range(3):
        await refused(media.fetch, f"{server.url}/away")
    assert bare.connections == 2
    assert await media.fetch(f"{server.url}/ok") == b"picture"


async def test_a_slow_redirect_does_not_speak_against_where_it_leads(
    server: HttpServer, opened: Open
) -> None:
    """Claim: a host that uses up the time and then redirects elsewhere cannot have the other left alone."""
    media, _ = await opened(BreakerLimits(failures=1, first_open_s=1000), max_attempts=1, total_s=3)

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(2.5)
        location = f"Location: {server.url}/never\r\n".encode()
        writer.write(b"HTTP/1.1 302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n")

    listener = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x"
        assert (await refused(media.fetch, url))[0] is MissingReason.TIMEOUT
    finally:
        listener.close()
    assert await media.fetch(f"{server.url}/ok") == b"picture"
