"""Whether a replayed item has a newer version: the input topics, read back from outside the consumer group.

Only replays ask, so a consumer is opened for each look and closed after it. Replays that wait at the same
time are answered by one look: each partition is read once, from the earliest offset asked for to the latest.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from genrestream.schemas.dead_letters import DeadLetterCode
from genrestream.schemas.headers import FIRST_OFFSET, version_offset
from genrestream.workers.batches import MicroBatcher
from genrestream.workers.errors import Rejected
from genrestream.workers.producer import kafka_reason
from genrestream.workers.retries import Backoff, until_it_works

log = logging.getLogger(__name__)

MAX_QUESTIONS = 512
"""Replays that one look answers; the limit on items in flight is about as large."""
GATHER_S = 0.02
POLL_MS = 200
MAX_RECORDS = 500
FETCH_BYTES = 8 * 1024 * 1024
STALLED_S = 30.0
"""A look that does not come forward for so long is given up and begun again."""


@dataclass(slots=True)
class _Question:
    partition: TopicPartition
    key: bytes
    offsets: range
    than: int
    newer: int | None = field(default=None)


class VersionReader:
    """The `Versions` of a worker."""

    def __init__(
        self,
        bootstrap: str,
        on_retry: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`security` holds aiokafka's arguments of that kind."""
        self._bootstrap = bootstrap
        self._security = security or {}
        self._on_retry = on_retry
        self._backoff = backoff or Backoff()
        self._looks = MicroBatcher(
            self._patiently, max_items=MAX_QUESTIONS, max_wait_s=GATHER_S, max_batches=1
        )

    async def newer(self, topic: str, partition: int, key: bytes, offsets: range, than: int) -> int | None:
        """Of the messages at `offsets` under the key, one that is a newer version than `than`, or None.

        Returns however long Kafka is away.

        Raises:
            Rejected: Kafka does not have all of these messages any more; dead-letter the item.
        """
        if not offsets:
            return None
        answer = await self._looks.submit(_Question(TopicPartition(topic, partition), key, offsets, than))
        if isinstance(answer, Rejected):
            raise answer
        return answer

    async def _patiently(self, questions: Sequence[_Question]) -> list[int | Rejected | None]:
        return await until_it_works(
            lambda: self._look(questions), (KafkaError, OSError), self._backoff, self._tell
        )

    def _tell(self, error: Exception) -> None:
        self._on_retry()
        reason = kafka_reason(error) if isinstance(error, KafkaError) else str(error) or "no answer"
        log.warning("cannot look for newer versions of replays, trying again: %s", reason)

    async def _look(self, questions: Sequence[_Question]) -> list[int | Rejected | None]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            # What is deleted in the middle of a look is an error: the next look sees that it is gone.
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            **self._security,
        )
        try:
            async with asyncio.timeout(STALLED_S):
                await consumer.start()
                starts = await consumer.beginning_offsets({each.partition for each in questions})
            whole = [each for each in questions if each.offsets.start >= starts[each.partition]]
            await _read(consumer, whole)
        finally:
            await consumer.stop()
        return [
            each.newer if each.offsets.start >= starts[each.partition] else _lost(each) for each in questions
        ]


async def _read(consumer: AIOKafkaConsumer, questions: Iterable[_Question]) -> None:
    """Note in each question whether a newer version came under its key."""
    asked: Mapping[tuple[TopicPartition, bytes], list[_Question]] = defaultdict(list)
    ends: dict[TopicPartition, int] = defaultdict(int)
    starts: dict[TopicPartition, int] = {}
    for question in questions:
        partition = question.partition
        asked[partition, question.key].append(question)
        starts[partition] = min(starts.get(partition, question.offsets.start), question.offsets.start)
        ends[partition] = max(ends[partition], question.offsets.stop)
    consumer.assign(list(ends))
    for partition, start in starts.items():
        consumer.seek(partition, start)
    unread = set(ends)
    while unread:
        for partition, records in (await _next(consumer)).items():
            for record in records:
                _compare(record, asked.get((partition, record.key), ()))
        # Positions, not records: transactions leave offsets without any.
        read = {part for part in unread if await consumer.position(part) >= ends[part]}
        if read:
            consumer.pause(*read)
            unread -= read


async def _next(consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Some records, at least one.

    Raises:
        TimeoutError: none came in `STALLED_S`: Kafka is away.
    """
    async with asyncio.timeout(STALLED_S):
        while True:
            batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=POLL_MS, max_records=MAX_RECORDS
            )
            if batches:
                return batches


def _compare(record: ConsumerRecord, questions: Iterable[_Question]) -> None:
    for question in questions:
        if (
            record.offset in question.offsets
            and version_offset(record.headers, record.offset) > question.than
        ):
            question.newer = record.offset


def _lost(question: _Question) -> Rejected:
    text = (
        f"the messages from {question.offsets.start} on, which may hold a newer version, are gone from Kafka"
    )
    return Rejected(DeadLetterCode.INVALID_ITEM, f"{FIRST_OFFSET}: {text}")
