"""The local stack: Kafka, Redis, Triton and, where there is one, Prometheus, started and stopped together."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from genrestream.connections.kafka import kafka_refusal
from genrestream.connections.settings import PLAIN, Security
from genrestream.connections.tls import triton_refusal
from genrestream.ops import kafka, process, prometheus, redis, triton, watchdog
from genrestream.ops.errors import StackError
from genrestream.ops.ports import Ports
from genrestream.ops.redact import without_credentials
from genrestream.ops.server import Server
from genrestream.ops.state import External, StackState, StartedServer, forget_state

POLL_S = 0.1
LOG_LINES = 5

Report = Callable[[str], None]
"""Takes a line on how far the start has come."""


def _silent(line: str) -> None:
    """Reports nothing."""


@dataclass(slots=True)
class _Start:
    """A start on its way."""

    marker: str
    begun: float = field(default_factory=time.monotonic)
    running: list[tuple[Server, StartedServer, subprocess.Popen[bytes]]] = field(default_factory=list)

    def spawn(self, server: Server) -> None:
        """Raises `StackError` when the program cannot be executed."""
        environment = {**os.environ, **server.env, process.MARKER: self.marker}
        try:
            child = process.spawn(server.argv, env=environment, cwd=server.cwd, log=server.log)
        except OSError as error:
            raise StackError(f"{server.title} cannot be started: {error}") from error
        identity = process.identify(child.pid) or process.Identity(child.pid, 0)
        started = StartedServer(
            name=server.name,
            title=server.title,
            pid=child.pid,
            start_ticks=identity.start_ticks,
            addresses=dict(server.addresses),
            log=str(server.log),
        )
        self.running.append((server, started, child))

    def wait_ready(self, report: Report) -> None:
        """Returns when every server answers; raises `StackError` when one ends or takes too long."""
        waiting = list(self.running)
        while waiting:
            for entry in list(waiting):
                server, _, child = entry
                status = child.poll()
                if status is not None:
                    raise _failure(server, f"ended with status {status}")
                if server.ready():
                    report(f"{server.title} is ready after {time.monotonic() - self.begun:.1f} s")
                    waiting.remove(entry)
                elif time.monotonic() - self.begun > server.start_timeout_s:
                    raise _failure(server, f"was not ready after {server.start_timeout_s:.0f} s")
            if waiting:
                time.sleep(POLL_S)

    def started(self) -> tuple[StartedServer, ...]:
        return tuple(started for _, started, _ in self.running)

    def address(self, name: str, key: str) -> str | None:
        return next((s.addresses[key] for s in self.started() if s.name == name), None)

    def reap(self) -> None:
        """Collects the exit statuses of servers that were stopped."""
        for _, _, child in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5.0)


def _failure(server: Server, what: str) -> StackError:
    lines = "".join(f"\n  {line}" for line in process.last_lines(server.log, LOG_LINES))
    return StackError(f"{server.title} {what}; its log is {server.log}{':' if lines else ''}{lines}")


def _check_external(external: External, security: Security) -> None:
    """Raises `StackError` naming the first server that does not answer."""
    bootstrap, triton_url = external.kafka_bootstrap, external.triton_url
    if bootstrap and not kafka.answers(bootstrap, security=security.kafka):
        refusal = _kafka_refusal(bootstrap, security)
        raise StackError(f"KAFKA_BOOTSTRAP is {bootstrap}, but {refusal or 'no Kafka broker answers there'}")
    if external.redis_url and not redis.answers(external.redis_url, security=security.redis):
        shown = without_credentials(external.redis_url)
        raise StackError(f"REDIS_URL is {shown}, but no Redis server answers there")
    if triton_url and not triton.answers_grpc(triton_url, security=security.triton):
        refusal = asyncio.run(triton_refusal(triton_url, security.triton))
        raise StackError(f"TRITON_URL is {triton_url}, but {refusal or 'no Triton server is ready there'}")


def _kafka_refusal(bootstrap: str, security: Security) -> str | None:
    try:
        return asyncio.run(kafka_refusal(bootstrap, security.kafka))
    except ValueError:  # an address that is none
        return None


def start(
    directory: Path,
    models: Path,
    *,
    load: Sequence[str] = (),
    external: External | None = None,
    usual_ports: bool = True,
    report: Report = _silent,
    security: Security = PLAIN,
) -> StackState:
    """Starts what is not external, each in a session of its own, and returns when all of it answers requests.

    A start that fails or is broken off stops what it started. Raises `StackError` naming the server and its
    log. The servers go on after this process ends: `stop` them. `security` is for external servers.
    """
    state, start_ = _start(directory, models, load, external or External(), usual_ports, report, security)
    for _, _, child in start_.running:
        child.returncode = 0  # they outlive us on purpose: no warning about a child left behind
    return state


def _start(
    directory: Path,
    models: Path,
    load: Sequence[str],
    external: External,
    usual_ports: bool,
    report: Report,
    security: Security = PLAIN,
) -> tuple[StackState, _Start]:
    directory = directory.absolute()
    _check_external(external, security)
    ports = Ports(usual=usual_ports)
    start_ = _Start(uuid.uuid4().hex)
    guard = watchdog.start(start_.marker)
    try:
        if external.redis_url is None:
            start_.spawn(redis.server(directory, ports))
        if external.triton_url is None:
            start_.spawn(triton.server(directory, models, load, ports, start_.marker))
        if external.kafka_bootstrap is None:
            start_.spawn(kafka.server(directory, ports))
        metrics = start_.address("triton", "metrics")
        if monitoring := prometheus.server(directory, ports, triton_metrics=metrics):
            start_.spawn(monitoring)
        start_.wait_ready(report)
        state = StackState(
            marker=start_.marker,
            directory=str(directory),
            models=str(models.absolute()),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            kafka_bootstrap=external.kafka_bootstrap or start_.address("kafka", "bootstrap") or "",
            redis_url=external.redis_url or start_.address("redis", "url") or "",
            triton_url=external.triton_url or start_.address("triton", "grpc") or "",
            triton_http_url=start_.address("triton", "http"),
            prometheus_url=start_.address("prometheus", "url"),
            servers=start_.started(),
        )
        state.save()
    except BaseException:
        _stop_processes(start_.marker, start_.started())
        start_.reap()
        raise
    finally:
        guard.kill()
        guard.wait()
    return state, start_


def run_until_ready(server: Server, marker: str, grace_s: float) -> None:
    """Starts one server, waits until it answers requests, and stops it again.

    Raises `StackError` when it does not start.
    """
    start_ = _Start(marker)
    guard = watchdog.start(marker)
    try:
        start_.spawn(server)
        start_.wait_ready(_silent)
    finally:
        process.terminate([started.identity for started in start_.started()], grace_s)
        process.sweep(marker)
        start_.reap()
        guard.kill()
        guard.wait()


def stop(state: StackState) -> None:
    """Stops what this stack started, and what was started to work on it, and nothing else."""
    _stop_processes(state.marker, state.servers)
    forget_state(Path(state.directory))


def _stop_processes(marker: str, servers: Sequence[StartedServer]) -> None:
    leaders = [server.identity for server in servers]
    sessions = {leader.pid for leader in leaders}
    # Workers first: they finish what they have in flight, for which they need the servers.
    workers = [found for found in process.marked(marker) if process.session_of(found) not in sessions]
    process.terminate(process.roots(workers))
    process.terminate(leaders)
    # What is left belonged to one that was killed.
    process.sweep(marker)


@contextlib.contextmanager
def local_stack(
    directory: Path,
    models: Path,
    *,
    load: Sequence[str] = (),
    external: External | None = None,
    usual_ports: bool = False,
    report: Report = _silent,
) -> Iterator[StackState]:
    """A stack for as long as the block runs.

    It is stopped at the end of the block, also by an exception, Ctrl-C, SIGTERM or SIGHUP; should this
    process be killed, a watchdog stops it. So is every process that was given `state.environment()`.
    Raises `StackError` when it cannot be started.
    """
    with _signals_as_exit():
        state, start_ = _start(directory, models, load, external or External(), usual_ports, report)
        guard = watchdog.start(state.marker)
        try:
            yield state
        finally:
            with _interrupts_held():
                stop(state)
                start_.reap()
                guard.kill()
                guard.wait()


@contextlib.contextmanager
def _signals_as_exit() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does; only the main thread can arrange that."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A second Ctrl-C does not break off the stopping."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Only one process at a time starts or stops the stack of a folder.

    Raises `StackError` when another is at it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(f"another command is starting or stopping the stack in {directory}") from error
        yield
