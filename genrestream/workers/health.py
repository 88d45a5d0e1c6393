"""Metrics, liveness and readiness over HTTP, on a port of their own; nothing else is served."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from genrestream.workers.errors import PortUnavailableError

MAX_LINE_BYTES = 2048
"""Of the request line and of each header; a scraper's are far shorter."""
KEEP_ALIVE_S = 75.0
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

    A probe is answered with 200, or with 503 and the reasons in JSON.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._health = health
        application = web.Application(client_max_size=0)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/health/live", self._alive)
        application.router.add_get("/health/ready", self._ready)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=0,
            shutdown_timeout=STOP_DEADLINE_S,
        )

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            PortUnavailableError: the port is taken or not allowed; one line for people.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            text = f"cannot listen on {self._host}:{self._port} for metrics and health: {error.strerror}"
            raise PortUnavailableError(text) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """`host:port`, with the port that was taken when 0 was asked for."""
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"

    async def _metrics(self, _request: web.Request) -> web.Response:
        # On the event loop, though it takes some milliseconds: gauges look into what only the loop may touch.
        return web.Response(
            body=generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    async def _alive(self, _request: web.Request) -> web.Response:
        return _answer("alive", self._health.not_alive())

    async def _ready(self, _request: web.Request) -> web.Response:
        return _answer("ready", self._health.not_ready())


def _answer(state: str, reasons: list[str]) -> web.Response:
    return web.json_response({state: not reasons, "reasons": reasons}, status=503 if reasons else 200)
