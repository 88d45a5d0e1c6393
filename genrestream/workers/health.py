"""Metrics, liveness and readiness over HTTP, on a port of their own; nothing else is served.

A connection carries one request and lives for seconds, and of more than so many at once the oldest ends:
neither a slow client nor a crowd of them stalls the worker or keeps a probe out.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from genrestream.workers.errors import PortUnavailableError

MAX_LINE_BYTES = 2048
"""Of the request line and of each header; a scraper's are far shorter."""
MAX_HEADERS = 32
MAX_CONNECTIONS = 64
"""Of more the oldest is cut off: a scraper and the probes need three, and are answered in milliseconds."""
MAX_CONNECTION_S = 15.0
"""From connecting to the end of the answer, whatever the client does; Prometheus gives up after 10 s."""
METRICS_KEPT_S = 1.0
"""Making the page takes the event loop milliseconds: once in that time, however often it is asked for."""
STOP_DEADLINE_S = 2.0

Reasons = Callable[[], list[str]]
"""What is wrong now, a line each; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Health:
    """The two questions of an orchestrator."""

    not_ready: Reasons
    """Why the worker cannot label now; traffic or a roll-out waits."""
    not_alive: Reasons
    """Why the worker is stuck; it should be restarted."""


class HealthServer:
    """`/metrics`, `/health/live` and `/health/ready`. Use it as an asynchronous context manager.

    A probe is answered with 200, or with 503 and the reasons in JSON; any other path with 404.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        max_connection_s: float = MAX_CONNECTION_S,
    ) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._max_connection_s = max_connection_s
        self._metrics_page = b""
        self._metrics_until_s = 0.0
        self._pages: dict[str, Callable[[], web.Response]] = {
            "/metrics": self._metrics,
            "/health/live": lambda: _verdict("alive", health.not_alive()),
            "/health/ready": lambda: _verdict("ready", health.not_ready()),
        }
        self._requests: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            PortUnavailableError: the port is taken or not allowed; one line for people.
        """
        loop = asyncio.get_running_loop()
        requests = web.Server(self._answer)
        try:
            self._listener = await loop.create_server(
                lambda: _BriefConnection(requests, loop, self._max_connection_s), self._host, self._port
            )
        except OSError as error:
            # asyncio words the error anew, with the address once more; an unknown host has no number above 0.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            text = f"cannot listen on {self._host}:{self._port} for metrics and health: {reason}"
            raise PortUnavailableError(text) from error
        self._requests = requests
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._requests is not None:
            await self._requests.shutdown(STOP_DEADLINE_S)

    @property
    def address(self) -> str:
        """`host:port`, with the port that was taken when 0 was asked for."""
        if self._listener is None:
            raise RuntimeError("the server was not started")
        listening: socket.socket = self._listener.sockets[0]
        host, port = listening.getsockname()[:2]
        return f"{host}:{port}"

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path) if request.method in {"GET", "HEAD"} else None
        response = page() if page else web.Response(status=404, text="not found\n")
        response.force_close()
        return response

    def _metrics(self) -> web.Response:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._metrics_until_s:
            # On the event loop: gauges look into what only the loop may touch.
            self._metrics_page = generate_latest(self._registry)
            self._metrics_until_s = now_s + METRICS_KEPT_S
        return web.Response(body=self._metrics_page, headers={"content-type": CONTENT_TYPE_LATEST})


class _BriefConnection(web.RequestHandler):
    """A connection that ends by itself, and ends the oldest ones when too many are open."""

    __slots__ = ("_end", "_max_s")

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, max_s: float) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner does for no access log
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=0,
        )
        self._max_s = max_s
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # aiohttp's own time-outs begin with the first complete request; this one does not wait for it.
        self._end = self._loop.call_later(self._max_s, transport.abort)
        # In the order of their coming. One that was cut off already may still be among them.
        connections = self._manager.connections if self._manager is not None else []
        for oldest in connections[: max(0, len(connections) - MAX_CONNECTIONS)]:
            if oldest.transport is not None:
                oldest.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def _verdict(state: str, reasons: list[str]) -> web.Response:
    body = json.dumps({state: not reasons, "reasons": reasons})
    return web.Response(text=body, content_type="application/json", status=503 if reasons else 200)
