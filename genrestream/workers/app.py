"""The wiring of a worker: settings become plain arguments here, and nowhere else.

An item's way: stream.py (Kafka to messages) -> pipeline.py, which calls intake.py, gather.py (media.py),
features/ (in feature_pool.py), encode.py and fuse.py (triton.py), decide.py and publish.py -> ledger.py (what
may be committed). From the label topic, cache_view.py copies to Redis (cache.py).
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, Self

import uvloop
from faust.types import TP

from genrestream import __version__
from genrestream.repository import Repository
from genrestream.schemas import Kind
from genrestream.workers.budget import Budget
from genrestream.workers.cache import RedisCache
from genrestream.workers.cache_view import CacheView
from genrestream.workers.dead_letters import DeadLetterPublisher, StormLimit
from genrestream.workers.errors import KafkaUnavailableError, PortUnavailableError
from genrestream.workers.faust_app import FaustService, build_faust
from genrestream.workers.feature_pool import FeaturePool, PoolLimits
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.health import Health, HealthServer
from genrestream.workers.intake import Incoming, is_replay
from genrestream.workers.lookups import EarlierRecords, KeepLimits, RedisLookups, StoredEmbeddings
from genrestream.workers.media import MediaFetcher
from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.membership import leave_group
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.pipeline import Adapters, BatchLimits, Outcome, Pipeline
from genrestream.workers.process_memory import collect_rarely, keep_freed_memory
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.protocols import NothingEarlier, NothingKept
from genrestream.workers.publish import LabelPublisher
from genrestream.workers.releases import ReleaseFollower
from genrestream.workers.settings import WorkerSettings
from genrestream.workers.stream import Consumption
from genrestream.workers.triton import TritonInference
from genrestream.workers.versions import VersionReader

log = logging.getLogger(__name__)

WATCH_EVERY_S = 1.0
"""How often lag and liveness are looked at."""


FORCED_EXIT_AFTER_S = 15.0
"""How long after the end of the drain a worker may take to close everything."""


class WorkerFailure(Exception):  # noqa: N818 - the worker's last words, for people
    """The worker cannot go on; the text says why in one line."""


def run_worker(
    settings: WorkerSettings, kafka_bootstrap: str, redis_url: str, triton_url: str, log_level: str
) -> None:
    """Run until SIGTERM or Ctrl-C, then drain.

    Raises:
        WorkerFailure: it cannot go on.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if log_level.lower() == "info":
        # Their services starting and stopping, dozens of lines that tell an operator nothing.
        for chatty in ("aiokafka", "faust", "mode"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    keep_freed_memory()
    with _ForcedExit() as forced_exit, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(settings, kafka_bootstrap, redis_url, triton_url, forced_exit))
        except (KafkaUnavailableError, PortUnavailableError) as error:
            raise WorkerFailure(str(error)) from error


async def _run(
    settings: WorkerSettings,
    kafka_bootstrap: str,
    redis_url: str,
    triton_url: str,
    forced_exit: "_ForcedExit",
) -> None:
    stop = _Stop()
    metrics = WorkerMetrics(__version__)
    async with AsyncExitStack() as stack:
        inference = await stack.enter_async_context(
            TritonInference(triton_url, deadline_s=settings.inference_deadline_s)
        )
        media = await stack.enter_async_context(
            MediaFetcher(
                MediaLimits(
                    max_bytes=settings.max_media_bytes,
                    total_s=settings.media_timeout_s,
                    budget_s=settings.media_budget_s,
                ),
                allowed_root=settings.media_root,
                addresses=AddressPolicy(settings.media_allowed_networks, settings.media_ports),
                on_retry=lambda: metrics.count_retry("media"),
            )
        )
        features = await stack.enter_async_context(
            FeaturePool(
                PoolLimits(
                    processes=settings.feature_processes,
                    item_deadline_s=settings.item_deadline_s,
                    chunks_in_flight=2 * settings.feature_processes,
                ),
                FeatureLimits(max_media_bytes=settings.max_media_bytes),
                on_restart=metrics.count_feature_restart,
            )
        )
        producer = KafkaProducer(
            kafka_bootstrap, settings.name, on_retry=lambda: metrics.count_retry("kafka")
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        cache = RedisCache(redis_url)
        stack.push_async_callback(cache.close)
        await stack.enter_async_context(CacheView(kafka_bootstrap, settings.group, cache, metrics))
        releases = await stack.enter_async_context(
            ReleaseFollower(kafka_bootstrap, Repository(settings.models), inference.is_model_ready, metrics)
        )
        lookups = await stack.enter_async_context(RedisLookups(redis_url))
        embeddings = StoredEmbeddings(lookups, KeepLimits(settings.shared_embeddings))
        stack.push_async_callback(embeddings.close)
        pipeline = Pipeline(
            Adapters(
                media=media,
                features=features,
                inference=inference,
                labels=LabelPublisher(producer),
                dead_letters=DeadLetterPublisher(producer),
                releases=releases,
                versions=VersionReader(kafka_bootstrap, on_retry=lambda: metrics.count_retry("kafka")),
                earlier=EarlierRecords(lookups) if settings.skip_done else NothingEarlier(),
                embeddings=embeddings if settings.shared_embeddings else NothingKept(),
            ),
            metrics,
            {
                kind: BatchLimits(settings.batch_items, settings.batch_wait_s, settings.batches_in_flight)
                for kind in settings.kinds
            },
            max_item_bytes=settings.max_message_bytes,
        )
        storm = StormLimit()
        triton = _Watched(inference.is_ready)

        def after(message: Incoming, outcome: Outcome) -> None:
            # A replay that fails again comes from the dead letters: it drains no topic into them.
            if not is_replay(message):
                storm.count(dead_lettered=outcome is Outcome.DEAD_LETTERED)
            if storm.exceeded:
                stop.fail(str(storm))

        budget = Budget(settings.max_in_flight_items, settings.max_in_flight_bytes)
        commit_wanted = asyncio.Event()
        consumption = Consumption(
            pipeline,
            budget,
            on_outcome=after,
            on_failure=stop.fail,
            on_assigned=releases.catch_up,
            commit_soon=commit_wanted.set,
        )
        ledger = consumption.ledger
        metrics.watch_in_flight(lambda: ledger.in_flight, ledger.oldest_age_s)
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
            ),
            commit_wanted,
        )
        health = Health(
            not_ready=lambda: _not_ready(service, releases, triton, settings.kinds),
            not_alive=lambda: _stuck(
                min(ledger.oldest_age_s(), time.monotonic() - metrics.retried_s), settings.stuck_after_s
            ),
        )
        metrics.watch_ready(lambda: not health.not_ready())
        server = await stack.enter_async_context(
            HealthServer(settings.http_host, settings.http_port, metrics.registry, health)
        )
        await service.start()
        collect_rarely()
        log.info("worker %s reads; metrics and health at http://%s", settings.name, server.address)
        try:
            await _until_told(stop, service, metrics, triton)
        finally:
            forced_exit.arm(settings.drain_deadline_s + FORCED_EXIT_AFTER_S)
            await service.stop(settings.drain_deadline_s)
            consumption.forget_all()
            await asyncio.to_thread(leave_group, kafka_bootstrap, settings.group, settings.name)
    if stop.failure is not None:
        raise WorkerFailure(stop.failure)


class _ForcedExit:
    """Ends the process at a stated time should it not have ended by itself.

    Faust and its clients swallow cancellations, so a Kafka that hangs could hold a worker for ever. Ending in
    the middle is safe: what is not committed is read again.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def arm(self, after_s: float) -> None:
        """Set the time, counted from now."""
        self._timer = threading.Timer(after_s, _exit_by_force)
        self._timer.daemon = True
        self._timer.start()


def _exit_by_force() -> NoReturn:
    log.error("something does not close; ending all the same: what is in flight is read again")
    os._exit(1)


class _Stop:
    """Why the worker stops: asked to, or because it cannot go on."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.failure: str | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.wanted.set)

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
        """Ask now."""
        self.answers = await self._ask()


async def _until_told(stop: _Stop, service: FaustService, metrics: WorkerMetrics, triton: _Watched) -> None:
    """Return when the worker is to stop; meanwhile keep up to date what metrics and probes show."""
    crash = asyncio.create_task(service.wait_for_crash())
    told = asyncio.create_task(stop.wanted.wait())
    watch = asyncio.create_task(_watch(service, metrics, triton))
    try:
        await asyncio.wait({crash, told, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch.done():
            watch.result()
        if crash.done() and not told.done():
            stop.fail(f"Faust stopped: {crash.result() or 'no reason given'}")
    finally:
        for task in (crash, told, watch):
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
