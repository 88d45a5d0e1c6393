"""The wiring of a worker: settings become plain arguments here, and nowhere else.

An item's way: stream.py (Kafka to messages) -> pipeline.py, which calls intake.py, gather.py (media.py),
features/ (in feature_pool.py), encode.py and fuse.py (triton.py), decide.py and publish.py -> ledger.py (what
may be committed). From the label topic, cache_view.py copies to Redis (cache.py).
"""

import asyncio
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import uvloop
from faust.types import TP

from genrestream import __version__
from genrestream.connections.settings import PLAIN, Security
from genrestream.connections.tls import triton_refusal
from genrestream.kafka_records import read_any_header_name
from genrestream.schemas import Kind
from genrestream.workers.budget import Budget
from genrestream.workers.dead_letters import StormLimit
from genrestream.workers.errors import (
    CacheAccessError,
    DeliveryImpossibleError,
    KafkaUnavailableError,
    PortUnavailableError,
)
from genrestream.workers.faust_app import FaustService, build_faust
from genrestream.workers.health import Health, HealthServer
from genrestream.workers.intake import Incoming, is_replay
from genrestream.workers.log_limit import SeldomRepeated
from genrestream.workers.membership import leave_group
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.parts import open_parts
from genrestream.workers.pipeline import Outcome
from genrestream.workers.process_memory import keep_freed_memory, keep_what_is_there
from genrestream.workers.releases import ReleaseFollower
from genrestream.workers.settings import WorkerSettings
from genrestream.workers.stream import Consumption

log = logging.getLogger(__name__)

WATCH_EVERY_S = 1.0
"""How often lag and liveness are looked at."""
LOOK_S = 2.0
"""For Triton's answer whether it is ready."""

FAILED_DRAIN_S = 1.0
FORCED_EXIT_AFTER_S = 15.0
"""How long after the end of the drain a worker may take to close everything."""


class WorkerFailure(Exception):  # noqa: N818 - the worker's last words, for people
    """The worker cannot go on; the text says why in one line."""


def run_worker(
    settings: WorkerSettings,
    kafka_bootstrap: str,
    redis_url: str,
    triton_url: str,
    log_level: str,
    security: Security = PLAIN,
) -> None:
    """Run until SIGTERM or Ctrl-C, then drain.

    Raises:
        WorkerFailure: it cannot go on.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if log_level.lower() != "debug":
        for handler in logging.getLogger().handlers:
            handler.addFilter(SeldomRepeated())
    if log_level.lower() == "info":
        # Their services starting and stopping, dozens of lines that tell an operator nothing.
        for chatty in ("aiokafka", "faust", "mode"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    keep_freed_memory()
    read_any_header_name()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(settings, kafka_bootstrap, redis_url, triton_url, security))
        except (
            CacheAccessError,
            DeliveryImpossibleError,
            KafkaUnavailableError,
            PortUnavailableError,
        ) as error:
            raise WorkerFailure(str(error)) from error


async def _run(
    settings: WorkerSettings,
    kafka_bootstrap: str,
    redis_url: str,
    triton_url: str,
    security: Security,
) -> None:
    forced_exit = _ForcedExit()
    # From the signal on, and not from the end of the start: what is started may hang as well.
    stop = _Stop(asked=lambda: forced_exit.arm(settings.drain_deadline_s + FORCED_EXIT_AFTER_S))
    metrics = WorkerMetrics(__version__)
    # One that is away is waited for; one that refuses will go on refusing.
    if (refusal := await triton_refusal(triton_url, security.triton)) is not None:
        raise WorkerFailure(refusal)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            open_parts(settings, kafka_bootstrap, redis_url, triton_url, security, metrics)
        )
        storm = StormLimit()
        triton = _Watched(parts.inference.is_ready)

        def after(message: Incoming, outcome: Outcome) -> None:
            # A replay that fails again comes from the dead letters: it drains no topic into them.
            if not is_replay(message):
                storm.count(dead_lettered=outcome is Outcome.DEAD_LETTERED)
            if storm.exceeded:
                stop.fail(str(storm))

        budget = Budget(settings.max_in_flight_items, settings.max_in_flight_bytes)
        commit_wanted = asyncio.Event()
        consumption = Consumption(
            parts.pipeline,
            budget,
            on_outcome=after,
            on_failure=stop.fail,
            on_assigned=parts.releases.catch_up,
            commit_soon=commit_wanted.set,
        )
        ledger = consumption.ledger
        metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
        metrics.watch_in_flight(lambda: ledger.in_flight, consumption.oldest_age_s)
        service = FaustService(
            build_faust(
                group=settings.group,
                name=settings.name,
                kafka_bootstrap=kafka_bootstrap,
                kinds=settings.kinds,
                agent=consumption.run,
                on_revoked=consumption.forget,
                on_committed=consumption.committed,
                max_buffered_messages=settings.max_buffered_messages,
                session_timeout_s=settings.session_timeout_s,
                commit_interval_s=settings.commit_interval_s,
                rebalance_drain_s=settings.rebalance_drain_s,
                scratch=Path(stack.enter_context(TemporaryDirectory(prefix="genrestream-faust-"))),
                security=security.kafka,
            ),
            commit_wanted,
        )
        health = Health(
            not_ready=lambda: _not_ready(service, parts.releases, triton, settings.kinds),
            not_alive=lambda: _stuck(
                min(consumption.oldest_age_s(), time.monotonic() - metrics.retried_s), settings.stuck_after_s
            ),
        )
        metrics.watch_ready(lambda: not health.not_ready())
        server = await stack.enter_async_context(
            HealthServer(settings.http_host, settings.http_port, metrics.registry, health)
        )
        try:
            await _until_told(stop, service, metrics, triton, server.address)
        finally:
            # Who cannot deliver need not wait for what is in flight.
            drain_s = FAILED_DRAIN_S if stop.failure else settings.drain_deadline_s
            forced_exit.arm(drain_s + FORCED_EXIT_AFTER_S)
            await service.stop(drain_s)
            consumption.forget_all()
            if not service.displaced:
                await asyncio.to_thread(
                    leave_group, kafka_bootstrap, settings.group, settings.name, security.kafka
                )
    if stop.failure is not None:
        raise WorkerFailure(stop.failure)


class _ForcedExit:
    """Ends the process at a stated time should it not have ended by itself.

    Faust and its clients swallow cancellations, so a Kafka that hangs could hold a worker for ever. Ending in
    the middle is safe: what is not committed is read again. It is never called off: at its end, Python waits
    for the threads that read and hash files, however long one of them hangs.
    """

    def __init__(self) -> None:
        self._at_s = math.inf

    def arm(self, after_s: float) -> None:
        """Set the time, counted from now, unless it is set to an earlier one."""
        at_s = time.monotonic() + after_s
        if at_s < self._at_s:
            self._at_s = at_s
            timer = threading.Timer(after_s, _exit_by_force)
            timer.daemon = True
            timer.start()


def _exit_by_force() -> NoReturn:
    log.error("something does not close; ending all the same: what is in flight is read again")
    os._exit(1)


class _Stop:
    """Why the worker stops: asked to, or because it cannot go on."""

    def __init__(self, asked: Callable[[], None]) -> None:
        """`asked` is called when the worker is asked to stop."""
        self.wanted = asyncio.Event()
        self.failure: str | None = None
        self._asked = asked
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        self.wanted.set()
        self._asked()

    def fail(self, reason: str) -> None:
        """Stop, with the first reason told as the worker's last words."""
        self.failure = self.failure or reason
        self.wanted.set()


class _Watched:
    """Whether a server answers, asked from time to time, so that a probe never waits for it."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self.answers = False

    async def look(self) -> None:
        """Ask now, for `LOOK_S` at most: who answers later does not serve."""
        try:
            async with asyncio.timeout(LOOK_S):
                self.answers = await self._ask()
        except TimeoutError:
            self.answers = False


async def _until_told(
    stop: _Stop, service: FaustService, metrics: WorkerMetrics, triton: _Watched, address: str
) -> None:
    """Start, and return when the worker is to stop; until then keep metrics and probes up to date."""
    starting = asyncio.create_task(service.start())
    refused = asyncio.create_task(service.wait_for_refusal())
    tasks: list[asyncio.Task[Any]] = [starting, refused]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            keep_what_is_there()
            log.info("%s reads; metrics and health at http://%s", service.name, address)
            crash = asyncio.create_task(service.wait_for_crash())
            told = asyncio.create_task(stop.wanted.wait())
            watch = asyncio.create_task(_watch(service, metrics, triton))
            tasks += [crash, told, watch]
            await asyncio.wait({refused, crash, told, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            if crash.done() and not told.done():
                stop.fail(crash.result())
        # Not once it stops for another reason: the consumer that it asks is being closed then.
        if refused.done() and not stop.wanted.is_set():
            stop.fail(refused.result())
    finally:
        for task in tasks:
            task.cancel()


async def _watch(service: FaustService, metrics: WorkerMetrics, triton: _Watched) -> NoReturn:
    shown: set[TP] = set()
    while True:
        await triton.look()
        lag = service.lag()
        for partition, messages in lag.items():
            metrics.set_lag(partition.topic, partition.partition, messages)
        for partition in shown - lag.keys():
            metrics.forget_lag(partition.topic, partition.partition)
        shown = set(lag)
        await asyncio.sleep(WATCH_EVERY_S)


def _not_ready(
    service: FaustService, releases: ReleaseFollower, triton: _Watched, kinds: tuple[Kind, ...]
) -> list[str]:
    reasons = [f"no release of kind {kind} is live" for kind in kinds if releases.live(kind) is None]
    if reasons:
        reasons += releases.pending
    if not triton.answers:
        reasons.append("Triton is not ready")
    if not service.assignment():
        reasons.append("no partition is assigned")
    return reasons


def _stuck(standstill_s: float, stuck_after_s: float) -> list[str]:
    """A restart helps one that neither goes on nor knows what it waits for."""
    if standstill_s <= stuck_after_s:
        return []
    reason = f"in flight for {standstill_s:.0f} s and nothing is tried again, allowed are {stuck_after_s:g} s"
    return [f"the oldest message has been {reason}"]
