"""Follows `catalog.releases`: what is announced goes live once Triton serves it and its files are here.

Until then what was live before stays live, so that a release under way fails no item. A null value retires
its task. An announcement's offset is its sequence number: a rollback is a newer announcement of an older
version.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import ValidationError

from genrestream.connections.kafka import no_kafka
from genrestream.repository import Repository, RepositoryError
from genrestream.schemas import Kind, Release, ReleaseAnnouncement
from genrestream.schemas.releases import release_key
from genrestream.schemas.topics import RELEASES
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.live import EncoderKey, LiveKind, LiveRelease
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.producer import kafka_reason
from genrestream.workers.release_switch import switch
from genrestream.workers.retries import Backoff, until_it_works

log = logging.getLogger(__name__)

POLL_MS = 500
START_DEADLINE_S = 30.0
MAX_RECORDS = 500
RETRY = Backoff(first_s=0.5, longest_s=5.0)

IsReady = Callable[[str, int], Awaitable[bool]]
"""Whether Triton serves this version of this model."""


class ReleaseFollower:
    """The `Releases` of a worker. Entering it reads all announcements so far; then it follows new ones."""

    def __init__(
        self,
        kafka_bootstrap: str,
        repository: Repository,
        is_ready: IsReady,
        metrics: WorkerMetrics,
        topic: str = RELEASES.name,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`security` holds aiokafka's arguments of that kind: protocol, TLS context, SASL."""
        self._kafka_bootstrap = kafka_bootstrap
        self._repository = repository
        self._is_ready = is_ready
        self._metrics = metrics
        # One partition, so that offsets order the announcements of all tasks.
        self._partition = TopicPartition(topic, 0)
        self._security = security or {}
        self._consumer: AIOKafkaConsumer | None = None
        self._following: asyncio.Task[None] | None = None
        self._closing = False
        self._announced: dict[Kind, dict[str, LiveRelease]] = defaultdict(dict)
        self._tasks: dict[Kind, set[str]] = defaultdict(set)
        self._unreadable: dict[str, str] = {}
        self._verified: set[EncoderKey] = set()
        self._applied = 0
        self._new_applied = asyncio.Event()
        self._live: dict[Kind, LiveKind] = {}
        self._pending: dict[Kind, Mapping[str, str]] = {}

    def live(self, kind: Kind) -> LiveKind | None:
        """What is live for the kind, None while nothing is."""
        return self._live.get(kind)

    def tasks(self, kind: Kind) -> tuple[str, ...]:
        """The kind's tasks by name, also the retired ones, as far as the topic still tells of them.

        A retirement is compacted away like any null value, a day after it at the earliest.
        """
        return tuple(sorted(self._tasks[kind]))

    @property
    def pending(self) -> tuple[str, ...]:
        """Why announced releases are not live, a line each."""
        waiting = (
            f"{kind} {task}: {reason}"
            for kind, tasks in self._pending.items()
            for task, reason in tasks.items()
        )
        return (*waiting, *self._unreadable.values())

    async def catch_up(self) -> None:
        """Return once what is announced at the call is applied, however long Kafka is away.

        Whoever takes over a partition must not label by an older release than the one before it did.
        """
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError("releases are caught up with before they are followed")
        ends = await until_it_works(
            lambda: consumer.end_offsets([self._partition]),
            KafkaError,
            RETRY,
            lambda error: self._metrics.count_retry("kafka"),
        )
        while self._applied < ends[self._partition]:
            self._new_applied.clear()
            await self._new_applied.wait()

    async def __aenter__(self) -> Self:
        """Read what is announced so far, and let go live what can.

        Raises:
            KafkaUnavailableError: Kafka does not answer, or has no topic of releases; one line for people.
        """
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka_bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=RELEASES.max_message_bytes,
            **self._security,
        )
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await self._read_to_end(self._consumer)
        except KafkaConnectionError as error:
            await self._consumer.stop()
            raise KafkaUnavailableError(await no_kafka(self._kafka_bootstrap, self._security)) from error
        except (KafkaError, TimeoutError) as error:
            await self._consumer.stop()
            answered = isinstance(error, KafkaError)
            reason = kafka_reason(error) if answered else f"no answer in {START_DEADLINE_S:g} s"
            text = f"cannot read {self._partition.topic} from Kafka at {self._kafka_bootstrap}: {reason}"
            raise KafkaUnavailableError(text) from error
        await self._apply()
        await self._note_applied(self._consumer)
        self._following = asyncio.create_task(self._follow(self._consumer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _read_to_end(self, consumer: AIOKafkaConsumer) -> None:
        await consumer.start()
        if self._partition.topic not in await consumer.topics():
            raise KafkaError("there is no such topic")
        consumer.assign([self._partition])
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        while await consumer.position(self._partition) < end:
            await self._poll(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        attempt = 0
        retry_at_s = time.monotonic()
        noted = False
        # Being cancelled may not be enough: aiokafka's `wait_for` can swallow it.
        while not self._closing:
            try:
                # What is noted and could not be applied is not polled again.
                if not noted and (noted := await self._poll(consumer)):
                    attempt = 0
                if not noted and (not self._pending or time.monotonic() < retry_at_s):
                    continue
                await self._apply()
                await self._note_applied(consumer)
                noted = False
            except asyncio.CancelledError:
                if self._closing:
                    raise
                # Not ours: aiokafka cancels what waits for a connection that it gives up.
                log.warning("cannot follow releases, trying again: a request was given up")
                self._metrics.count_retry("releases")
                await asyncio.sleep(RETRY.longest_s)
            except Exception:
                # What is live stays live; a worker that labels must not stop for what it cannot follow.
                log.exception("cannot follow releases, trying again")
                self._metrics.count_retry("releases")
                await asyncio.sleep(RETRY.longest_s)
            attempt += 1
            retry_at_s = time.monotonic() + RETRY.delay_s(attempt)

    async def _poll(self, consumer: AIOKafkaConsumer) -> bool:
        """Note what was announced; whether there was anything."""
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        records = [record for batch in batches.values() for record in batch]
        for record in records:
            self._take(record)
        return bool(records)

    async def _note_applied(self, consumer: AIOKafkaConsumer) -> None:
        self._applied = await consumer.position(self._partition)
        self._new_applied.set()

    def _take(self, record: ConsumerRecord) -> None:
        """Note an announcement. One that cannot be read changes nothing that runs."""
        key = (record.key or b"").decode("utf-8", "replace")
        self._unreadable.pop(key, None)
        kind_name, _, named = key.partition(":")
        if named and kind_name in tuple(Kind):
            self._tasks[Kind(kind_name)].add(named)
        if record.value is None:
            for kind, tasks in self._announced.items():
                for task in [task for task in tasks if release_key(kind, task) == key]:
                    log.info("retired: %s %s", kind, task)
                    del tasks[task]
            return
        try:
            release = _announced(record.value, key)
        except ValueError as error:
            self._unreadable[key] = f"announcement {record.offset} of {key!r} cannot be read: {error}"
            log.warning(self._unreadable[key])
        else:
            self._announced[release.kind][release.task] = LiveRelease(release, record.offset)

    async def _apply(self) -> None:
        """Let go live what can; tell why the rest cannot, once a reason."""
        for kind, announced in self._announced.items():
            current = self._live.get(kind)
            running = {live.release.task: live for live in current.releases} if current else {}
            unusable = {}
            for task, live in announced.items():
                if running.get(task) != live and (reason := await self._why_unusable(live.release)):
                    unusable[task] = reason
            chosen = await asyncio.to_thread(
                switch, kind, current, dict(announced), unusable, self._repository
            )
            self._go_live(kind, chosen.live)
            self._tell_pending(kind, chosen.pending)

    async def _why_unusable(self, release: Release) -> str | None:
        wanted = [(release.model, release.version)]
        wanted += [(encoder.model, encoder.version) for encoder in release.encoders.values()]
        for model, version in wanted:
            if not await self._is_ready(model, version):
                return f"Triton does not serve {model} version {version}"
        try:
            for encoder in release.encoders.values():
                key = encoder.model, encoder.version
                if key not in self._verified:
                    # The tokenizers that workers read must be those of the release. Once: a version's files
                    # stay as they are, and are gigabytes to hash.
                    await asyncio.to_thread(self._repository.verify, *key)
                    self._verified.add(key)
        except RepositoryError as error:
            return str(error)
        return None

    def _go_live(self, kind: Kind, live: LiveKind | None) -> None:
        if live is self._live.get(kind):
            return
        if live is None:
            del self._live[kind]
        else:
            self._live[kind] = live
        running = live.releases if live else ()
        self._metrics.show_live(kind, [each.release for each in running])
        heads = ", ".join(f"{each.release.model} version {each.release.version}" for each in running)
        log.info("live for %s: %s", kind, heads or "nothing")

    def _tell_pending(self, kind: Kind, pending: Mapping[str, str]) -> None:
        before = self._pending.pop(kind, {})
        if pending:
            self._pending[kind] = pending
        for task, reason in pending.items():
            if before.get(task) != reason:
                log.warning("release of %s %s is not live yet: %s", kind, task, reason)
        for task in before.keys() | pending.keys() | self._announced[kind].keys():
            self._metrics.show_pending(kind, task, pending=task in pending)


def _announced(value: bytes, key: str) -> Release:
    """The release of an announcement; raises `ValueError` with one line when it is none for this key."""
    try:
        release = ReleaseAnnouncement.model_validate_json(value).release
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}".removeprefix(": ")) from error
    if release_key(release.kind, release.task) != key:
        raise ValueError(f"it is of {release.kind} {release.task}")
    return release
