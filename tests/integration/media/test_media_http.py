"""Media over HTTP, one attempt each, against a real server that misbehaves in every way servers do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from genrestream.schemas import MediaReference, MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media import MediaFetcher, MediaLimits
from tests.integration.media.servers import LOOPBACK, OTHER_ADDRESS, BareServer, Fetch, HttpServer, refused

PATIENT_S = 60.0
"""What no server here takes, however busy the machine is: an answer says why, not that time ran out."""


@asynccontextmanager
async def fetching(total_s: float) -> AsyncIterator[Fetch]:
    """Fetches URLs in one attempt of so many seconds."""
    limits = MediaLimits(
        max_bytes=10_000,
        total_s=total_s,
        budget_s=PATIENT_S,
        connect_s=PATIENT_S,
        max_redirects=3,
        max_attempts=1,
    )
    async with MediaFetcher(limits, addresses=LOOPBACK) as fetcher:

        async def fetch_url(url: str) -> bytes:
            return await fetcher.fetch(MediaReference(url=url))

        yield fetch_url


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with fetching(PATIENT_S) as fetch_url:
        yield fetch_url


@pytest.fixture
async def hurried() -> AsyncIterator[Fetch]:
    """For servers that take longer than this for certain."""
    async with fetching(0.5) as fetch_url:
        yield fetch_url


async def test_a_body_is_read(server: HttpServer, fetch: Fetch) -> None:
    """The bytes as they are, by a client that says who it is."""
    assert await fetch(f"{server.url}/ok") == b"picture"
    assert server.requests[0].headers["User-Agent"].startswith("genrestream/")
    assert await fetch(f"{server.url}/hop/1") == b"picture"
    assert len(await fetch(f"{server.url}/sized/10000")) == 10_000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (404, MissingReason.NOT_FOUND),
        (410, MissingReason.NOT_FOUND),
        (401, MissingReason.FORBIDDEN),
        (403, MissingReason.FORBIDDEN),
        (204, MissingReason.UNREACHABLE),
        (302, MissingReason.UNREACHABLE),
        (429, MissingReason.UNREACHABLE),
        (500, MissingReason.UNREACHABLE),
        (503, MissingReason.UNREACHABLE),
    ],
)
async def test_statuses(server: HttpServer, fetch: Fetch, code: int, reason: MissingReason) -> None:
    """An error's page is no picture, whatever it holds, and neither is a redirect to nowhere."""
    assert await refused(fetch, f"{server.url}/status/{code}") == (reason, f"HTTP {code} from 127.0.0.1")


async def test_a_stated_length_is_believed_when_it_is_too_long(server: HttpServer, fetch: Fetch) -> None:
    assert await refused(fetch, f"{server.url}/sized/10001") == (
        MissingReason.TOO_LARGE,
        "the medium has 10,001 bytes, allowed are 10,000",
    )


@pytest.mark.parametrize("path", ["endless", "bomb"])
async def test_bodies_without_an_honest_length_are_counted(
    server: HttpServer, fetch: Fetch, path: str
) -> None:
    """A body without end, and one that unpacks to more than it states."""
    assert await refused(fetch, f"{server.url}/{path}") == (
        MissingReason.TOO_LARGE,
        "the medium has more than 10,000 bytes",
    )


async def test_a_length_that_lies(bare: BareServer, fetch: Fetch) -> None:
    """Fewer bytes than stated are a broken transfer, not a short picture."""
    bare.scripts = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]
    assert await refused(fetch, f"{bare.url}/x") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1: the transfer broke off",
    )


async def test_old_and_chatty_answers_are_read(bare: BareServer, fetch: Fetch) -> None:
    """HTTP/1.0 ends a body with its connection; interim answers come before the real one."""
    bare.scripts = [b"HTTP/1.0 200 OK\r\n\r\npicture"]
    assert await fetch(f"{bare.url}/x") == b"picture"
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    bare.scripts = [interim * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture"]
    assert await fetch(f"{bare.url}/x") == b"picture"


@pytest.mark.parametrize("path", ["slow", "never"])
async def test_slow_servers_run_out_of_time(server: HttpServer, hurried: Fetch, path: str) -> None:
    """The limit is on the whole: a trickle of bytes does not extend it."""
    assert await refused(hurried, f"{server.url}/{path}") == (
        MissingReason.TIMEOUT,
        "the medium was not there in time (allowed 0.5 s)",
    )


async def test_a_trickle_ends_soon_and_is_not_asked_for_again(server: HttpServer) -> None:
    """A body below the least speed takes a stranger's item a third of the time of one attempt."""
    limits = MediaLimits(slow_after_s=0.1, total_s=PATIENT_S, budget_s=PATIENT_S, connect_s=PATIENT_S)
    async with MediaFetcher(limits, addresses=LOOPBACK) as fetcher:
        with pytest.raises(MediaUnavailable) as raised:
            await fetcher.fetch(MediaReference(url=f"{server.url}/slow"))
    assert (raised.value.reason, raised.value.detail) == (
        MissingReason.TIMEOUT,
        "the medium comes too slowly (at least 16,384 bytes/s are asked for)",
    )
    assert len(server.requests) == 1


async def test_a_body_that_is_fast_enough_may_take_longer(server: HttpServer) -> None:
    """The speed is that on average: 20 bytes in a second, where each byte allows for one."""
    limits = MediaLimits(slow_after_s=0.5, min_bytes_per_s=1, total_s=60, budget_s=60)
    async with MediaFetcher(limits, addresses=LOOPBACK) as fetcher:
        assert await fetcher.fetch(MediaReference(url=f"{server.url}/paced/20")) == b"x" * 20


async def test_a_redirect_gives_no_new_time(server: HttpServer, hurried: Fetch) -> None:
    """Three redirects of 0.3 s each are not there in 0.5 s."""
    assert await refused(hurried, f"{server.url}/dawdle/2") == (
        MissingReason.TIMEOUT,
        "the medium was not there in time (allowed 0.5 s)",
    )


async def test_the_body_of_a_redirect_is_not_read(server: HttpServer, bare: BareServer, fetch: Fetch) -> None:
    """Neither one that is too long nor one that does not end."""
    head = f"HTTP/1.1 302 Found\r\nLocation: {server.url}/ok\r\n".encode()
    for body in (b"Content-Length: 1000000000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"):
        bare.scripts = [head + body]
        assert await fetch(f"{bare.url}/x") == b"picture"


async def test_redirects_are_limited(server: HttpServer, fetch: Fetch) -> None:
    """Three are followed, a fourth is not, and loops end."""
    assert await fetch(f"{server.url}/hop/2") == b"picture"
    for path in ("hop/3", "loop"):
        assert await refused(fetch, f"{server.url}/{path}") == (
            MissingReason.UNREACHABLE,
            "127.0.0.1 redirects more than 3 times",
        )


@pytest.mark.parametrize(
    ("location", "reason", "detail"),
    [
        ("file:///etc/passwd", MissingReason.FORBIDDEN, "127.0.0.1 redirects out of HTTP"),
        ("gopher://127.0.0.1/", MissingReason.FORBIDDEN, "127.0.0.1 redirects out of HTTP"),
        ("unix:///run/docker.sock", MissingReason.FORBIDDEN, "127.0.0.1 redirects out of HTTP"),
        ("tcp://127.0.0.1:1/", MissingReason.FORBIDDEN, "127.0.0.1 redirects out of HTTP"),
        ("http://[::1", MissingReason.UNREACHABLE, "127.0.0.1 redirects to a malformed address"),
        ("http://a][@", MissingReason.UNREACHABLE, "127.0.0.1 redirects to a malformed address"),
        ("http://a:99999/", MissingReason.UNREACHABLE, "127.0.0.1 redirects to a malformed address"),
    ],
)
async def test_redirects_stay_in_http(
    server: HttpServer, fetch: Fetch, location: str, reason: MissingReason, detail: str
) -> None:
    server.location = location
    assert await refused(fetch, f"{server.url}/away") == (reason, detail)


async def test_a_reset_connection_is_tried_once_more_at_once(bare: BareServer, fetch: Fetch) -> None:
    """One reset or silent close is forgiven, two are not: connections that are kept open go stale."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npicture"
    for first in (None, b""):
        bare.scripts, bare.connections = [first, ok], 0
        assert await fetch(f"{bare.url}/x") == b"picture"
        assert bare.connections == 2
    bare.scripts, bare.connections = [None], 0
    assert (await refused(fetch, f"{bare.url}/x"))[0] is MissingReason.UNREACHABLE
    assert bare.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        b"\x00\x01\x02\x03 this is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\npicture",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
async def test_what_is_no_http_is_unreachable(bare: BareServer, fetch: Fetch, script: bytes) -> None:
    """Broken status lines, endless headers, impossible lengths, false encodings."""
    bare.scripts = [script]
    assert (await refused(fetch, f"{bare.url}/x"))[0] is MissingReason.UNREACHABLE


async def test_an_answer_is_never_anothers(fetch: Fetch) -> None:
    """What a server sends unasked, with an answer or after it, is not taken for the next answer."""
    connections = 0
    sent = asyncio.Event()

    async def poison(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        picture = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture"
        unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/with" in request:
            writer.write(picture + unasked)
        else:
            writer.write(picture)
            await taken.wait()
            writer.write(unasked)
        await writer.drain()
        sent.set()

    listener = await asyncio.start_server(poison, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        for path in ("with", "after"):
            taken = asyncio.Event()
            sent.clear()
            connections = 0
            assert await fetch(f"{url}/{path}") == b"picture"
            taken.set()
            await sent.wait()
            # The bytes are in the client's socket; it reads them when it next looks at all of its sockets.
            for _ in range(10):
                await asyncio.sleep(0.01)
            assert await fetch(f"{url}/with") == b"picture"
            assert connections == 2
    finally:
        listener.close()


async def test_nobody_there(fetch: Fetch, unused_tcp_port: int) -> None:
    """A closed port, a malformed address: unreachable, each in words."""
    assert await refused(fetch, f"http://127.0.0.1:{unused_tcp_port}/x") == (
        MissingReason.UNREACHABLE,
        "127.0.0.1: Connection refused",
    )
    for rest in ("", "[::1/x", "a:99999/x", "a" * 300 + "/x", "\x00/", "xn--a/x", "xn--/", "a][@", "a:0/"):
        assert (await refused(fetch, f"http://{rest}"))[0] is not MissingReason.TIMEOUT, rest


async def test_plain_text_behind_https(server: HttpServer, fetch: Fetch) -> None:
    """A failed handshake is one line, not the TLS library's."""
    url = server.url.replace("http://", "https://")
    assert await refused(fetch, f"{url}/ok") == (MissingReason.UNREACHABLE, "127.0.0.1: no TLS connection")


@pytest.mark.parametrize("path", ["status/404", "sized/10001", "never", "loop", "away"])
async def test_no_error_tells_credentials(server: HttpServer, hurried: Fetch, path: str) -> None:
    """Neither user, password, path nor query of the URL stands in what becomes a label record."""
    server.location = "file:///etc/passwd"
    url = server.url.replace("http://", "http://user:hunter2@")
    _, detail = await refused(hurried, f"{url}/{path}?token=s3cr3t")
    for secret in ("user", "hunter2", "token", "s3cr3t", path, "passwd"):
        assert secret not in detail


async def test_requests_in_flight_are_bounded(server: HttpServer) -> None:
    """Of 20 requests to one host 4 are in flight; the rest wait without losing their own time."""
    limits = MediaLimits(max_in_flight_per_host=4, total_s=PATIENT_S, connect_s=PATIENT_S)
    async with MediaFetcher(limits, addresses=LOOPBACK) as fetcher:
        reference = MediaReference(url=f"{server.url}/gate")
        requests = [asyncio.create_task(fetcher.fetch(reference)) for _ in range(20)]
        async with asyncio.timeout(PATIENT_S):
            while server.in_flight < 4:
                await asyncio.sleep(0)
        # Others have had every chance to start before the gate opens.
        await asyncio.sleep(0.05)
        server.go.set()
        assert await asyncio.gather(*requests) == [b"x"] * 20
    assert server.most_in_flight == 4


async def test_waiting_for_a_place_ends(server: HttpServer) -> None:
    """A host that fills up its places for good takes the wait of those behind it, and no more."""
    limits = MediaLimits(max_in_flight_per_host=1, total_s=PATIENT_S, connect_s=PATIENT_S, queue_s=0.1)
    async with MediaFetcher(limits, addresses=LOOPBACK) as fetcher:
        first = asyncio.create_task(fetcher.fetch(MediaReference(url=f"{server.url}/gate")))
        await asyncio.sleep(0)
        with pytest.raises(MediaUnavailable, match=r"no request to 127\.0\.0\.1 came free in time"):
            await fetcher.fetch(MediaReference(url=f"{server.url}/ok"))
        # Another address of the same machine is another host and has places of its own.
        other = server.url.replace("127.0.0.1", OTHER_ADDRESS)
        assert await fetcher.fetch(MediaReference(url=f"{other}/ok")) == b"picture"
        first.cancel()
