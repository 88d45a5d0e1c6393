"""How the servers of a stack are: running, ready, and what memory they take."""

from dataclasses import dataclass

from genrestream.connections.settings import PLAIN, Security
from genrestream.ops import kafka, process, prometheus, redis, triton
from genrestream.ops.redact import without_credentials
from genrestream.ops.state import StackState, StartedServer


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server now."""

    name: str
    title: str
    pid: int | None
    """None for a server that the stack did not start."""
    running: bool
    ready: bool
    memory_bytes: int | None
    addresses: dict[str, str]
    log: str | None


def check(state: StackState, security: Security = PLAIN) -> list[ServerStatus]:
    """Asks every server of the stack, the external ones too, those with `security`."""
    carrying = process.marked(state.marker)
    found = [_check_started(server, carrying) for server in state.servers]
    started = {server.name for server in state.servers}
    if "kafka" not in started:
        found.append(_external("kafka", "Apache Kafka", "bootstrap", state.kafka_bootstrap, security))
    if "redis" not in started:
        found.append(_external("redis", "Redis", "url", state.redis_url, security))
    if "triton" not in started:
        found.append(_external("triton", "Triton", "grpc", state.triton_url, security))
    order = ("kafka", "redis", "triton", "prometheus")
    return sorted(found, key=lambda server: order.index(server.name))


def _check_started(server: StartedServer, carrying: list[process.Identity]) -> ServerStatus:
    running = process.is_running(server.identity)
    own = [found for found in carrying if process.session_of(found) == server.pid]
    return ServerStatus(
        name=server.name,
        title=server.title,
        pid=server.pid,
        running=running,
        ready=running and answers(server.name, server.addresses),
        memory_bytes=process.memory_bytes(own),
        addresses=server.addresses,
        log=server.log,
    )


def _external(name: str, title: str, key: str, address: str, security: Security) -> ServerStatus:
    ready = answers(name, {key: address}, security)
    return ServerStatus(
        name=name,
        title=title,
        pid=None,
        running=ready,
        ready=ready,
        memory_bytes=None,
        addresses={key: without_credentials(address) if "://" in address else address},
        log=None,
    )


def answers(name: str, addresses: dict[str, str], security: Security = PLAIN) -> bool:
    """Whether the server of this name answers requests at its address."""
    match name:
        case "kafka":
            return kafka.answers(addresses["bootstrap"], security=security.kafka)
        case "redis":
            return redis.answers(addresses["url"], security=security.redis)
        case "triton":
            if "http" in addresses:
                return triton.answers_http(addresses["http"])
            return triton.answers_grpc(addresses["grpc"], security=security.triton)
        case "prometheus":
            return prometheus.answers(addresses["url"])
        case _:
            raise ValueError(f"no server is called {name}")
