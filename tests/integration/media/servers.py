"""Servers that misbehave in every way servers do, on the loopback range."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from aiohttp import web

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_address import AddressPolicy

OTHER_ADDRESS = "127.0.0.2"
"""The loopback range has many, and no name service is asked for them."""
LOOPBACK = AddressPolicy((ip_network("127.0.0.0/8"),))
"""What an operator allows whose media are there."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture"

Fetch = Callable[[str], Awaitable[bytes]]


class BareServer:
    """A bare socket that answers each connection with the next script, the last one from then on."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.scripts: list[bytes | None] = [OK]
        self.connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


class HttpServer:
    """An HTTP server whose paths say what they do."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.requests: list[web.Request] = []
        self.arrivals_s: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.go = asyncio.Event()
        self.statuses: list[int] = []
        """What `/next` answers with, one after the other, and then always with the last."""
        self.retry_after: str | None = None
        self.location = ""
        """Where `/away` redirects to."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ok", self.ok),
            web.get("/status/{code}", self.status),
            web.get("/next", self.next),
            web.get("/sized/{bytes}", self.sized),
            web.get("/endless", self.endless),
            web.get("/slow", self.slow),
            web.get("/paced/{bytes}", self.paced),
            web.get("/never", self.never),
            web.get("/bomb", self.bomb),
            web.get("/loop", self.loop),
            web.get("/hop/{hops}", self.hop),
            web.get("/dawdle/{hops}", self.dawdle),
            web.get("/away", self.away),
            web.get("/gate", self.gate),
        ]

    @web.middleware
    async def note(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(request)
        self.arrivals_s.append(asyncio.get_running_loop().time())
        return await handler(request)

    async def ok(self, request: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]), body=b"<html>no</html>")

    async def next(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=status, body=b"picture", headers=headers)

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

    async def paced(self, request: web.Request) -> web.StreamResponse:
        """As slow, and with an end."""
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(int(request.match_info["bytes"])):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

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

    async def dawdle(self, request: web.Request) -> web.Response:
        """Redirects, each of them in time by itself."""
        await asyncio.sleep(0.3)
        hops = int(request.match_info["hops"])
        raise web.HTTPFound(f"/dawdle/{hops - 1}" if hops else "/ok")

    async def away(self, request: web.Request) -> web.Response:
        # Set as it is: the class for redirects would mend it.
        return web.Response(status=302, headers={"Location": self.location})

    async def gate(self, request: web.Request) -> web.Response:
        """Answers once the test says so, and counts who waits at the same time."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.go.wait()
        self.in_flight -= 1
        return web.Response(body=b"x")


@asynccontextmanager
async def http_server() -> AsyncIterator[HttpServer]:
    """The server, at 127.0.0.1 and at the same port of the other address."""
    server = HttpServer()
    app = web.Application(middlewares=[server.note])
    app.add_routes(server.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{server.port}"
    await web.TCPSite(runner, OTHER_ADDRESS, server.port).start()
    yield server
    await runner.cleanup()


@asynccontextmanager
async def bare_server() -> AsyncIterator[BareServer]:
    """The server, at 127.0.0.1."""
    server = BareServer()
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{server.port}"
    yield server
    listener.close()


async def refused(fetch: Fetch, url: str) -> tuple[MissingReason, str]:
    """Why the medium is not to be had."""
    with pytest.raises(MediaUnavailable) as raised:
        await fetch(url)
    return raised.value.reason, raised.value.detail
