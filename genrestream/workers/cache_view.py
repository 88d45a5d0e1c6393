"""Keeps the label cache equal to `catalog.labels`, whatever happens to Redis.

The cache is a view of the topic. The workers share its partitions as a consumer group of its own, write each
message to Redis and commit behind it: while Redis is away the messages wait in Kafka, labels flow on, and
nothing is missing afterwards. A Redis that lost something (emptied, restarted from an old snapshot, failed
over to a replica that lagged) is noticed, and filled anew beside what comes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError

from genrestream.connections.kafka import no_kafka
from genrestream.schemas.topics import LABELS
from genrestream.workers.cache import RedisCache
from genrestream.workers.cache_feed import feed
from genrestream.workers.errors import CacheUnavailableError, KafkaUnavailableError
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.observe import Stage, Timer
from genrestream.workers.producer import kafka_reason
from genrestream.workers.protocols import CacheOutcome
from genrestream.workers.rebuild import rebuild
from genrestream.workers.retries import Backoff

log = logging.getLogger(__name__)

POLL_MS = 200
MAX_RECORDS = 500
COMMIT_EVERY_S = 1.0
COMMIT_S = 10.0
"""For one commit; without a limit, the client waits for as long as it knows no coordinator."""
PATIENCE_S = 20.0
LONGEST_PATIENCE_S = 1800.0
"""How long a consumer may bring nothing of what is there before another one takes its place."""
READ_S = 20.0
"""For one reading, which ends after `POLL_MS` as a rule: a client that hangs is told and asked again."""
WATCH_EVERY_S = 1.0
DRAIN_S = 3.0
"""At the end, for what this worker has just published."""
SESSION_S = 10.0
"""A worker that dies leaves its share of the cache standing still for so long. Shorter than the input's
session and without a static name: changing hands costs nothing here, since writes compare revisions."""
NEVER_MS = 24 * 3600 * 1000
"""An outage of Redis is no reason to leave the group."""
BACKOFF = Backoff(first_s=0.2, longest_s=2.0)

Offsets = dict[TopicPartition, int]


class CacheView:
    """Copies the label topic into the cache for as long as it is open."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        cache: RedisCache,
        metrics: WorkerMetrics,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`group` is the workers' consumer group; `security` holds aiokafka's arguments of that kind."""
        self._bootstrap = bootstrap
        self._cache = cache
        self._metrics = metrics
        self._timer = Timer(metrics.observe_stage)
        self._group = group
        self._security = security or {}
        self._consumer: AIOKafkaConsumer = None
        self._written: Offsets = {}
        self._in_hand = 0
        self._closing = False
        self._committed_s = time.monotonic()
        self._filling: asyncio.Task[None] | None = None
        self._standstill = _Standstill()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to join the group.

        Raises:
            KafkaUnavailableError: no broker answers; one line for people.
        """
        self._consumer = await self._join()
        steps = (self._step, self._look)
        self._tasks = [asyncio.create_task(self._again_and_again(step)) for step in steps]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._catch_up()
        except (TimeoutError, KafkaError):
            log.warning("some labels are not in Redis yet; the next worker writes them")
        self._closing = True
        tasks = [*self._tasks, *([self._filling] if self._filling else [])]
        for task in tasks:
            task.cancel()
        closing = asyncio.gather(*tasks, return_exceptions=True)
        # Not `timeout`: what aiokafka swallows is the cancellation that would end it.
        await asyncio.wait({asyncio.ensure_future(closing)}, timeout=DRAIN_S)
        await asyncio.wait({asyncio.create_task(self._leave())}, timeout=DRAIN_S)

    async def _leave(self) -> None:
        await self._commit()
        await self._consumer.stop()

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=f"{self._group}-cache",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=round(SESSION_S * 1000),
            heartbeat_interval_ms=round(SESSION_S * 200),
            max_poll_interval_ms=NEVER_MS,
            rebalance_timeout_ms=round(SESSION_S * 1000),
            max_partition_fetch_bytes=LABELS.max_message_bytes,
            **self._security,
        )
        try:
            await consumer.start()
            # Fails here, and not later and again and again, where the group or the topic may not be read.
            await consumer.committed(TopicPartition(LABELS.name, 0))
        except KafkaConnectionError as error:
            await consumer.stop()
            raise KafkaUnavailableError(await no_kafka(self._bootstrap, self._security)) from error
        except KafkaError as error:
            await consumer.stop()
            text = f"cannot read {LABELS.name} from Kafka at {self._bootstrap}: {kafka_reason(error)}"
            raise KafkaUnavailableError(text) from error
        # Not before: the start would wait for partitions, and after a crash these are free when the session
        # of who crashed has ended. The worker has labels to make meanwhile.
        consumer.subscribe([LABELS.name], listener=_CommitWhenRevoked(self._commit))
        return consumer

    async def _rejoin(self) -> None:
        """Take a new consumer: seen once after a broker's restart, the old one waited for ever, silently."""
        log.warning("the cache reads nothing though there is something to read; joining its group anew")
        broken, self._consumer = self._consumer, await self._join()
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_S):
                await broken.stop()

    async def _catch_up(self) -> None:
        """Return once Redis has what was in our partitions at the call."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        while True:
            if not await self._lag(ends):
                return
            await asyncio.sleep(0.02)

    async def _lag(self, ends: Mapping[TopicPartition, int | None]) -> int:
        """Messages before these ends that Redis does not have yet."""
        lag = self._in_hand
        for partition, end in ends.items():
            if end is not None:
                lag += max(0, end - await self._consumer.position(partition))
        return lag

    async def _again_and_again(self, step: Callable[[], Awaitable[None]]) -> None:
        """Labels flow on whatever happens here, and what is not written yet is still in the topic."""
        attempt = 0
        # Being cancelled may not be enough: aiokafka's `wait_for` can swallow it.
        while not self._closing:
            try:
                await step()
                attempt = 0
                continue
            except (KafkaError, IllegalStateError) as error:
                log.warning("cannot follow %s for the cache: %s", LABELS.name, kafka_reason(error))
            except asyncio.CancelledError:
                if self._closing:
                    raise
                # Not ours: aiokafka cancels what waits for a connection that it gives up.
                log.warning("cannot follow %s for the cache: a request was given up", LABELS.name)
            except Exception:
                log.exception("cannot follow %s for the cache", LABELS.name)
            attempt += 1
            self._metrics.count_retry("kafka", holds_items=False)
            await asyncio.sleep(BACKOFF.delay_s(attempt))

    async def _step(self) -> None:
        consumer = self._consumer
        async with asyncio.timeout(READ_S):
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        messages = [message for batch in batches.values() for message in batch]
        self._in_hand = len(messages)
        try:
            await self._write(messages)
        except BaseException:
            # The reading has passed them: without this, the next commit would too.
            mine = consumer.assignment()
            for partition, batch in batches.items():
                if partition in mine:
                    consumer.seek(partition, batch[0].offset)
            raise
        finally:
            self._in_hand = 0
        self._written |= {partition: batch[-1].offset + 1 for partition, batch in batches.items()}
        if time.monotonic() - self._committed_s >= COMMIT_EVERY_S:
            await self._commit()

    async def _write(self, messages: Sequence[ConsumerRecord]) -> None:
        """Return once Redis has all of them, however long it is away."""
        attempt = 0
        while messages:
            with self._timer.stage(Stage.CACHE):
                outcomes = await asyncio.gather(*(feed(self._cache, message) for message in messages))
            for outcome in outcomes:
                self._metrics.count_cache_write(outcome)
            messages = [
                message
                for message, outcome in zip(messages, outcomes, strict=True)
                if outcome is CacheOutcome.FAILED
            ]
            if messages:
                attempt += 1
                self._metrics.count_retry("redis", holds_items=False)
                await asyncio.sleep(BACKOFF.delay_s(attempt))

    async def _commit(self) -> None:
        """Commit what is written of the partitions that are still ours."""
        self._committed_s = time.monotonic()
        mine = self._consumer.assignment() if self._written else set()
        done = {partition: offset for partition, offset in self._written.items() if partition in mine}
        self._written = {}
        if not done:
            return
        try:
            async with asyncio.timeout(COMMIT_S):
                await self._consumer.commit(done)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            # Taken away meanwhile, or Kafka is away: whoever has them then writes the same once more.
            log.debug("offsets of the cache are not committed: %r", error)

    async def _look(self) -> None:
        """Keep the lag up to date, and fill Redis anew where it lost something."""
        await asyncio.sleep(WATCH_EVERY_S)
        mine = self._consumer.assignment()
        async with asyncio.timeout(READ_S):
            ends = await self._consumer.end_offsets(list(mine))
            lag = await self._lag(ends)
            positions = [await self._consumer.position(partition) for partition in mine]
        self._metrics.show_cache_lag(lag)
        # Without a partition nobody knows whether there is something to read; with more workers than
        # partitions that is in order, so that it is tried less and less often.
        waits = bool(lag or not mine) and not self._in_hand
        if self._standstill.lasts(waits=waits, progress=positions):
            await self._rejoin()
            return
        if self._filling is not None and not self._filling.done():
            return
        # The copying of messages says it when Redis is away.
        with suppress(CacheUnavailableError):
            if lacking := await self._cache.unfilled([partition.partition for partition in mine]):
                self._filling = asyncio.create_task(self._fill(lacking))

    async def _fill(self, partitions: Sequence[int]) -> None:
        """Copy all of these partitions; `_look` begins again with what failed or was lost meanwhile."""
        try:
            token = await self._cache.begin_fill(partitions)
            outcomes = await rebuild(
                self._bootstrap, self._cache, partitions=partitions, security=self._security
            )
            await self._cache.end_fill(partitions, token)
        except (CacheUnavailableError, KafkaUnavailableError) as error:
            log.warning("Redis lost labels and is not filled anew yet: %s", error)
            return
        if outcomes[CacheOutcome.WRITTEN]:
            log.warning("Redis had lost labels: %d are written anew", outcomes[CacheOutcome.WRITTEN])


class _Standstill:
    """Whether reading has stood still for too long; the patience doubles each time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress: object = None
        self._since_s = clock()
        self._patience_s = PATIENCE_S

    def lasts(self, *, waits: bool, progress: object) -> bool:
        """Tell it whether something waits to be read, and how far the reading has come."""
        now_s = self._clock()
        if not waits or progress != self._progress:
            self._progress, self._since_s = progress, now_s
            if not waits:
                self._patience_s = PATIENCE_S
            return False
        if now_s - self._since_s < self._patience_s:
            return False
        self._since_s = now_s
        self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
        return True


class _CommitWhenRevoked(ConsumerRebalanceListener):  # type: ignore[misc]
    """The next owner of a partition begins behind what is written."""

    def __init__(self, commit: Callable[[], Awaitable[None]]) -> None:
        self._commit = commit

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Commit while they are still ours."""
        await self._commit()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Nothing to do: reading begins at the committed offsets."""
