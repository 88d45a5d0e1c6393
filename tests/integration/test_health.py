"""The metrics and health port: right answers, nothing else, and no client that stalls it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from genrestream.workers import health as health_module
from genrestream.workers.errors import PortUnavailableError
from genrestream.workers.health import MAX_CONNECTIONS, Health, HealthServer


@asynccontextmanager
async def serving(
    not_ready: list[str] | None = None, not_alive: list[str] | None = None, max_connection_s: float = 15.0
) -> AsyncIterator[str]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(3)
    health = Health(lambda: not_ready or [], lambda: not_alive or [])
    async with HealthServer("127.0.0.1", 0, registry, health, max_connection_s) as server:
        yield server.address


async def get(address: str, path: str, method: str = "GET") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as client,
        client.request(method, f"http://{address}{path}") as response,
    ):
        return response.status, await response.text()


async def test_metrics_are_served_in_prometheus_format() -> None:
    """The registry's series are there."""
    async with serving() as address:
        status, text = await get(address, "/metrics")
    assert status == 200
    assert "seen_total 3.0" in text.splitlines()


@pytest.mark.parametrize(("path", "state"), [("/health/ready", "ready"), ("/health/live", "alive")])
async def test_a_healthy_worker_says_yes(path: str, state: str) -> None:
    """Without reasons against it a probe passes."""
    async with serving() as address:
        status, text = await get(address, path)
    assert (status, json.loads(text)) == (200, {state: True, "reasons": []})


async def test_each_probe_gives_its_own_reasons() -> None:
    """Not ready is not the same as stuck: a worker that waits for Triton must not be restarted."""
    async with serving(not_ready=["Triton is not ready"]) as address:
        ready, alive = await get(address, "/health/ready"), await get(address, "/health/live")
    assert (ready[0], json.loads(ready[1])) == (503, {"ready": False, "reasons": ["Triton is not ready"]})
    assert (alive[0], json.loads(alive[1])) == (200, {"alive": True, "reasons": []})


@pytest.mark.parametrize(
    ("path", "method"),
    [("/", "GET"), ("/health", "GET"), ("/metrics/", "GET"), ("/metrics", "POST"), ("/../etc/passwd", "GET")],
)
async def test_nothing_else_is_served(path: str, method: str) -> None:
    """Any other path or method is not found."""
    async with serving() as address:
        assert await get(address, path, method) == (404, "not found\n")


async def talk(address: str, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    return reader, writer


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the server ends the connection, in whatever way."""
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 3000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(40)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["path", "header", "headers", "tls"],
)
async def test_oversized_and_foreign_requests_are_refused(sent: bytes) -> None:
    """Long lines, many headers and other protocols end in 400, and the next client is served."""
    async with serving() as address:
        reader, writer = await talk(address, sent)
        answer = await rest_of(reader)
        writer.close()
        assert answer.split(b"\r\n")[0].split(b" ")[1] == b"400"
        assert (await get(address, "/health/live"))[0] == 200


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_client_that_never_finishes_is_cut_off(sent: bytes) -> None:
    """A request that does not arrive ends with its connection, and others are served meanwhile."""
    async with serving(max_connection_s=2.0) as address:
        reader, writer = await talk(address, sent)
        assert (await get(address, "/health/live"))[0] == 200
        assert await rest_of(reader) == b""
        writer.close()


async def test_one_connection_carries_one_request() -> None:
    """Nobody holds a place by asking again and again."""
    async with serving() as address:
        request = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
        reader, writer = await talk(address, request + request)
        answer = await rest_of(reader)
        writer.close()
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_crowd_does_not_keep_probes_out() -> None:
    """Each newcomer beyond what is let in takes the place of the oldest, and of no other."""
    async with serving() as address:
        crowd = [await talk(address, b"GET /") for _ in range(MAX_CONNECTIONS + 20)]
        assert (await get(address, "/health/live"))[0] == 200
        for _, writer in crowd[21:]:
            writer.write(b"health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        answers = [await rest_of(reader) for reader, _ in crowd]
        assert [answer.split(b"\r\n")[0] for answer in answers] == [
            *[b""] * 21,
            *[b"HTTP/1.1 200 OK"] * (MAX_CONNECTIONS - 1),
        ]
        for _, writer in crowd:
            writer.close()


async def test_metrics_are_not_made_anew_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd that asks for the page does not take the event loop; after its time a new one is made."""
    made = []

    def page(registry: CollectorRegistry) -> bytes:
        made.append(registry)
        return b"page %d" % len(made)

    monkeypatch.setattr(health_module, "generate_latest", page)
    monkeypatch.setattr(health_module, "METRICS_KEPT_S", 3600.0)
    async with serving() as address:
        assert {await get(address, "/metrics") for _ in range(5)} == {(200, "page 1")}
    monkeypatch.setattr(health_module, "METRICS_KEPT_S", 0.0)
    async with serving() as address:
        assert [await get(address, "/metrics") for _ in range(2)] == [(200, "page 2"), (200, "page 3")]


async def test_a_taken_port_is_one_clear_line() -> None:
    """The operator reads which address is taken."""
    registry = CollectorRegistry()
    health = Health(list, list)
    async with serving() as address:
        port = int(address.split(":")[1])
        second = HealthServer("127.0.0.1", port, registry, health)
        with pytest.raises(
            PortUnavailableError,
            match=f"^cannot listen on {address} for metrics and health: Address already in use$",
        ):
            await second.__aenter__()
    with pytest.raises(
        PortUnavailableError, match=r"^cannot listen on 192\.0\.2\.1:80 .*: Cannot assign requested address$"
    ):
        await HealthServer("192.0.2.1", 80, registry, health).__aenter__()
