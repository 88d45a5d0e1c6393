"""Media over HTTP against a real server that misbehaves in every way servers do."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from genrestream.schemas import MediaReference, MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media import MediaFetcher, MediaLimits

LIMITS = MediaLimits(max_bytes=10_000, total_s=0.5, connect_s=0.3, max_redirects=3)
OTHER_ADDRESS = "127.0.0.2"
"""The loopback range has many, and no name service is asked for them."""
Fetch = Callable[[str], Awaitable[bytes]]


class Servers:
    """An HTTP server, and a bare socket that answers each connection with the next script."""

    def __init__(self) -> None:
        self.scripts: list[bytes | None] = []
        self.connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.headers: list[dict[str, str]] = []
        self.go = asyncio.Event()

    async def raw(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request; write the script and close, or reset the connection where it is None."""
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if script is None:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        writer.write(script)
        await writer.drain()
        writer.close()

    async def ok(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return web.Response(body=b"picture")

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]), body=b"<html>no</html>")

    async def sized(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.match_info["bytes"]))

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 4096)

    async def slow(self, request: web.Request) -> web.StreamResponse:
        """A byte at a time, each of them soon enough to keep a read time-out from noticing."""
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    async def never(self, request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def bomb(self, request: web.Request) -> web.Response:
        """Gzip though not asked for: 200 bytes that unpack to 100,000."""
        return web.Response(body=gzip.compress(bytes(100_000)), headers={"Content-Encoding": "gzip"})

    async def loop(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/loop")

    async def hop(self, request: web.Request) -> web.Response:
        hops = int(request.match_info["hops"])
        raise web.HTTPFound(f"/hop/{hops - 1}" if hops else "/ok")

    async def elsewhere(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("file:///etc/passwd")

    async def gate(self, request: web.Request) -> web.Response:
        """Answers once the test says so, and counts who waits at the same time."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.go.wait()
        self.in_flight -= 1
        return web.Response(body=b"x")


@pytest.fixture
async def servers() -> AsyncIterator[tuple[Servers, str, str]]:
    """The servers, the HTTP server's address, the bare socket's."""
    servers = Servers()
    app = web.Application()
    app.add_routes(
        [
            web.get("/ok", servers.ok),
            web.get("/status/{code}", servers.status),
            web.get("/sized/{bytes}", servers.sized),
            web.get("/endless", servers.endless),
            web.get("/slow", servers.slow),
            web.get("/never", servers.never),
            web.get("/bomb", servers.bomb),
            web.get("/loop", servers.loop),
            web.get("/hop/{hops}", servers.hop),
            web.get("/elsewhere", servers.elsewhere),
            web.get("/gate", servers.gate),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    await web.TCPSite(runner, OTHER_ADDRESS, port).start()
    bare = await asyncio.start_server(servers.raw, "127.0.0.1", 0)
    bare_port = bare.sockets[0].getsockname()[1]
    yield servers, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{bare_port}"
    bare.close()
    await runner.cleanup()


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with MediaFetcher(LIMITS) as fetcher:

        async def fetch_url(url: str) -> bytes:
            return await fetcher.fetch(MediaReference(url=url))

        yield fetch_url


async def refused(fetch: Fetch, url: str) -> tuple[MissingReason, str]:
    with pytest.raises(MediaUnavailable) as raised:
        await fetch(url)
    return raised.value.reason, raised.value.detail


async def test_a_body_is_read(servers: tuple[Servers, str, str], fetch: Fetch) -> None:
    """The bytes as they are, by a client that says who it is."""
    server, url, _ = servers
    assert await fetch(f"{url}/ok") == b"picture"
    assert server.headers[0]["User-Agent"].startswith("genrestream/")
    assert await fetch(f"{url}/hop/1") == b"picture"
    assert len(await fetch(f"{url}/sized/10000")) == 10_000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (404, MissingReason.NOT_FOUND),
        (410, MissingReason.NOT_FOUND),
        (401, MissingReason.FORBIDDEN),
        (403, MissingReason.FORBIDDEN),
        (204, MissingReason.UNREACHABLE),
        (429, MissingReason.UNREACHABLE),
        (500, MissingReason.UNREACHABLE),
        (503, MissingReason.UNREACHABLE),
    ],
)
async def test_statuses(
    servers: tuple[Servers, str, str], fetch: Fetch, code: int, reason: MissingReason
) -> None:
    """An error's page is no picture, whatever it holds."""
    assert await refused(fetch, f"{servers[1]}/status/{code}") == (reason, f"HTTP {code} from 127.0.0.1")


async def test_a_stated_length_is_believed_when_it_is_too_long(
    servers: tuple[Servers, str, str], fetch: Fetch
) -> None:
    assert await refused(fetch, f"{servers[1]}/sized/10001") == (
        MissingReason.TOO_LARGE,
        "the medium has 10,001 bytes, allowed are 10,000",
    )


@pytest.mark.parametrize("path", ["endless", "bomb"])
async def test_bodies_without_an_honest_length_are_counted(
    servers: tuple[Servers, str, str], fetch: Fetch, path: str
) -> None:
    """A body without end, and one that unpacks to more than it states."""
    assert await refused(fetch, f"{servers[1]}/{path}") == (
        MissingReason.TOO_LARGE,
        "the medium has more than 10,000 bytes",
    )


async def test_a_length_that_lies(servers: tuple[Servers, str, str], fetch: Fetch) -> None:
    """Fewer bytes than stated are a broken transfer, not a short picture."""
    server, _, url = servers
    server.scripts = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]
    assert await refused(fetch, f"{url}/x") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1: the transfer broke off",
    )


@pytest.mark.parametrize("path", ["slow", "never"])
async def test_slow_servers_run_out_of_time(
    servers: tuple[Servers, str, str], fetch: Fetch, path: str
) -> None:
    """The limit is on the whole: a trickle of bytes does not extend it."""
    assert await refused(fetch, f"{servers[1]}/{path}") == (
        MissingReason.TIMEOUT,
        "the medium was not there in time (allowed 0.5 s)",
    )


async def test_redirects_are_limited(servers: tuple[Servers, str, str], fetch: Fetch) -> None:
    """Loops end, and no redirect leads out of HTTP."""
    assert await refused(fetch, f"{servers[1]}/loop") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1 redirects more than 3 times",
    )
    assert (await refused(fetch, f"{servers[1]}/elsewhere"))[0] is MissingReason.UNREACHABLE


async def test_a_reset_connection_is_tried_once_more(servers: tuple[Servers, str, str], fetch: Fetch) -> None:
    """One reset or silent close is forgiven, two are not."""
    server, _, url = servers
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npicture"
    for first in (None, b""):
        server.scripts, server.connections = [first, ok], 0
        assert await fetch(f"{url}/x") == b"picture"
        assert server.connections == 2
    server.scripts, server.connections = [None], 0
    assert (await refused(fetch, f"{url}/x"))[0] is MissingReason.UNREACHABLE
    assert server.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        b"\x00\x01\x02\x03 this is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_unreachable(
    servers: tuple[Servers, str, str], fetch: Fetch, script: bytes
) -> None:
    """Broken status lines, endless headers, impossible lengths, false encodings, malformed redirects."""
    server, _, url = servers
    server.scripts = [script]
    assert (await refused(fetch, f"{url}/x"))[0] is MissingReason.UNREACHABLE


async def test_nobody_there(fetch: Fetch, unused_tcp_port: int) -> None:
    """A closed port, a name that does not exist, a malformed address: unreachable, each in words."""
    assert await refused(fetch, f"http://127.0.0.1:{unused_tcp_port}/x") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1: Connection refused",
    )
    assert await refused(fetch, "http://no-such-host.invalid/x") == (
        MissingReason.UNREACHABLE,
        "no-such-host.invalid: no such host",
    )
    for url in ("http://", "http://[::1/x", "http://a:99999/x", "http://" + "a" * 300 + "/x", "http://\x00/"):
        assert (await refused(fetch, url))[0] is MissingReason.UNREACHABLE, url


async def test_plain_text_behind_https(servers: tuple[Servers, str, str], fetch: Fetch) -> None:
    """A failed handshake is one line, not the TLS library's."""
    url = servers[1].replace("http://", "https://")
    assert await refused(fetch, f"{url}/ok") == (MissingReason.UNREACHABLE, "127.0.0.1: no TLS connection")


@pytest.mark.parametrize("path", ["status/404", "sized/10001", "never", "loop", "elsewhere"])
async def test_no_error_tells_credentials(servers: tuple[Servers, str, str], fetch: Fetch, path: str) -> None:
    """Neither user, password, path nor query of the URL stands in what becomes a label record."""
    url = servers[1].replace("http://", "http://user:hunter2@")
    _, detail = await refused(fetch, f"{url}/{path}?token=s3cr3t")
    for secret in ("user", "hunter2", "token", "s3cr3t", path):
        assert secret not in detail


async def test_requests_in_flight_are_bounded(servers: tuple[Servers, str, str]) -> None:
    """Of 20 requests to one host 4 are in flight; the rest wait without losing their own time."""
    server, url, _ = servers
    limits = MediaLimits(max_in_flight_per_host=4, total_s=5)
    async with MediaFetcher(limits) as fetcher:
        requests = [asyncio.create_task(fetcher.fetch(MediaReference(url=f"{url}/gate"))) for _ in range(20)]
        async with asyncio.timeout(5):
            while server.in_flight < 4:
                await asyncio.sleep(0)
        # Others have had every chance to start before the gate opens.
        await asyncio.sleep(0.05)
        server.go.set()
        assert await asyncio.gather(*requests) == [b"x"] * 20
    assert server.most_in_flight == 4


async def test_waiting_for_a_place_ends(servers: tuple[Servers, str, str]) -> None:
    """A host that fills up its places for good takes the wait of those behind it, and no more."""
    _, url, _ = servers
    limits = MediaLimits(max_in_flight_per_host=1, total_s=5, queue_s=0.1)
    async with MediaFetcher(limits) as fetcher:
        first = asyncio.create_task(fetcher.fetch(MediaReference(url=f"{url}/gate")))
        await asyncio.sleep(0)
        with pytest.raises(MediaUnavailable, match=r"no request to 127\.0\.0\.1 came free in 0\.1 s"):
            await fetcher.fetch(MediaReference(url=f"{url}/ok"))
        # Another address of the same machine is another host and has places of its own.
        other = url.replace("127.0.0.1", OTHER_ADDRESS)
        assert await fetcher.fetch(MediaReference(url=f"{other}/ok")) == b"picture"
        first.cancel()
