"""Follows `catalog.releases`: what is announced goes live once Triton serves it and its files are here.

Until then what was live before stays live, so that a release under way fails no item.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from genrestream.repository import Repository, RepositoryError
from genrestream.schemas import Kind, Release, ReleaseAnnouncement
from genrestream.schemas.releases import release_key
from genrestream.schemas.topics import RELEASES
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.live import LiveKind, LiveRelease, ReleaseUnusableError, build_live
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.retries import Backoff

log = logging.getLogger(__name__)

POLL_MS = 500
START_DEADLINE_S = 30.0
MAX_RECORDS = 500
PENDING_BACKOFF = Backoff(first_s=0.2, longest_s=5.0)

IsReady = Callable[[str, int], Awaitable[bool]]
"""Whether Triton serves this version of this model."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """The newest announcement of a task."""

    release: Release
    sequence: int
    attempts: int = 0


class _NotYetError(Exception):
    """The announced release cannot go live now; the text says why."""


class ReleaseFollower:
    """The `Releases` of a worker. Entering it reads all announcements so far; then it follows new ones."""

    def __init__(
        self, kafka_bootstrap: str, repository: Repository, is_ready: IsReady, metrics: WorkerMetrics
    ) -> None:
        self._kafka_bootstrap = kafka_bootstrap
        self._repository = repository
        self._is_ready = is_ready
        self._metrics = metrics
        self._partition = TopicPartition(RELEASES.name, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._following: asyncio.Task[None] | None = None
        self._announced: dict[tuple[Kind, str], _Announced] = {}
        self._applied: dict[tuple[Kind, str], LiveRelease] = {}
        self._live: dict[Kind, LiveKind] = {}
        self._pending: dict[tuple[Kind, str], str] = {}

    def live(self, kind: Kind) -> LiveKind | None:
        """What is live for the kind, None while nothing is."""
        return self._live.get(kind)

    @property
    def pending(self) -> tuple[str, ...]:
        """Why announced releases are not live yet, a line each."""
        return tuple(f"{kind} {task}: {reason}" for (kind, task), reason in self._pending.items())

    async def __aenter__(self) -> Self:
        """Read what is announced so far.

        Raises:
            KafkaUnavailableError: Kafka does not answer, or has no topic of releases.
        """
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka_bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=RELEASES.max_message_bytes,
        )
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await self._consumer.start()
                self._consumer.assign([self._partition])
                await self._consumer.seek_to_beginning(self._partition)
                end = (await self._consumer.end_offsets([self._partition]))[self._partition]
                while await self._consumer.position(self._partition) < end:
                    await self._poll(self._consumer)
        except (KafkaError, TimeoutError) as error:
            await self._consumer.stop()
            text = (
                f"cannot read {RELEASES.name} from Kafka at {self._kafka_bootstrap}: {error or 'no answer'}"
            )
            raise KafkaUnavailableError(text) from error
        await self._apply()
        self._following = asyncio.create_task(self._follow(self._consumer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        attempt = 0
        while True:
            try:
                await self._poll(consumer)
                attempt = 0
            except KafkaError as error:
                attempt += 1
                self._metrics.count_retry("releases")
                log.warning("cannot read releases, trying again: %s", error)
                await asyncio.sleep(PENDING_BACKOFF.delay_s(attempt))
            await self._apply()

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        for records in batches.values():
            for record in records:
                self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        """Note an announcement. One that cannot be read changes nothing; a null value retires the task."""
        if record.value is None:
            self._retire(record.key or b"")
            return
        try:
            release = ReleaseAnnouncement.model_validate_json(record.value).release
        except ValidationError as error:
            log.error("announcement %d is unreadable, ignored: %s", record.offset, error)  # noqa: TRY400
            return
        self._announced[release.kind, release.task] = _Announced(release, record.offset)

    def _retire(self, key: bytes) -> None:
        for kind, task in list(self._announced):
            if release_key(kind, task).encode() == key:
                del self._announced[kind, task]
                self._applied.pop((kind, task), None)
                self._pending.pop((kind, task), None)
                self._metrics.show_pending(kind, task, pending=False)
                self._rebuild_after_retiring(kind)

    def _rebuild_after_retiring(self, kind: Kind) -> None:
        left = [running for (other, _), running in self._applied.items() if other == kind]
        if left:
            self._go_live(build_live(kind, left, self._repository))
        else:
            self._live.pop(kind, None)

    async def _apply(self) -> None:
        """Let go live what can; name the reason of what cannot, once a reason."""
        for key, announced in list(self._announced.items()):
            applied = self._applied.get(key)
            if applied is not None and applied.sequence == announced.sequence:
                continue
            kind, task = key
            try:
                await self._apply_one(key, announced)
            except (_NotYetError, ReleaseUnusableError, RepositoryError) as error:
                if self._pending.get(key) != str(error):
                    log.warning("release of %s %s is not live yet: %s", kind, task, error)
                self._pending[key] = str(error)
            else:
                self._pending.pop(key, None)
            self._metrics.show_pending(kind, task, pending=key in self._pending)

    async def _apply_one(self, key: tuple[Kind, str], announced: _Announced) -> None:
        kind, task = key
        release = announced.release
        wanted = [(release.model, release.version)]
        wanted += [(encoder.model, encoder.version) for encoder in release.encoders.values()]
        for model, version in wanted:
            if not await self._is_ready(model, version):
                raise _NotYetError(f"Triton does not serve {model} version {version}")
        await asyncio.to_thread(self._verify, release)
        running = LiveRelease(release, announced.sequence)
        others = [live for other, live in self._applied.items() if other[0] == kind and other != key]
        live = await asyncio.to_thread(build_live, kind, [*others, running], self._repository)
        self._applied[key] = running
        self._go_live(live)
        log.info("live: %s %s is %s version %d", kind, task, release.model, release.version)

    def _verify(self, release: Release) -> None:
        """The tokenizers that workers read from the model repository must be those of the release."""
        for encoder in release.encoders.values():
            self._repository.verify(encoder.model, encoder.version)

    def _go_live(self, live: LiveKind) -> None:
        self._live[live.kind] = live
        self._metrics.show_live(live)
