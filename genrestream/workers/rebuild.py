"""Fills the label cache from `catalog.labels`; safe at any time, also while workers write to it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import TypeAdapter

from genrestream.schemas.headers import REVISION
from genrestream.schemas.items import Kind
from genrestream.schemas.labels import LabelRecord
from genrestream.schemas.revision import Revision
from genrestream.schemas.topics import LABELS
from genrestream.workers.cache import RedisCache
from genrestream.workers.errors import CacheUnavailableError, KafkaUnavailableError
from genrestream.workers.producer import kafka_reason
from genrestream.workers.protocols import CacheOutcome

log = logging.getLogger(__name__)

UNREADABLE = "unreadable"
MAX_RECORDS = 1000
POLL_MS = 500
STALLED_S = 60.0
"""So long without a record before the end is reached means that Kafka is away."""

_REVISION = TypeAdapter(Revision)

Offsets = Mapping[TopicPartition, int]

Progress = Callable[[int, int], None]
"""Told the offsets passed and how many there are in all."""


async def rebuild(
    bootstrap: str, cache: RedisCache, progress: Progress = lambda done, total: None
) -> Counter[str]:
    """How many messages had which outcome, or were `unreadable`, up to the topic's end at the start.

    Compare-and-set keeps what is newer, so the order of reading does not matter.

    Raises:
        KafkaUnavailableError: no broker answers, or the topic is not there; one line for people.
        CacheUnavailableError: Redis does not answer; what was written stays, and running again goes on.
    """
    # Without a group, a subscription assigns all partitions at once.
    consumer = AIOKafkaConsumer(
        LABELS.name,
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=LABELS.max_message_bytes,
    )
    try:
        await consumer.start()
        return await _copy(consumer, cache, progress)
    except KafkaConnectionError as error:
        raise KafkaUnavailableError(f"no Kafka broker answers at {bootstrap}") from error
    except (KafkaError, TimeoutError) as error:
        answered = isinstance(error, KafkaError)
        reason = kafka_reason(error) if answered else f"no answer in {STALLED_S:g} s"
        raise KafkaUnavailableError(
            f"cannot read {LABELS.name} from Kafka at {bootstrap}: {reason}"
        ) from error
    finally:
        await consumer.stop()


async def _copy(consumer: AIOKafkaConsumer, cache: RedisCache, progress: Progress) -> Counter[str]:
    async with asyncio.timeout(STALLED_S):
        if LABELS.name not in await consumer.topics():
            raise KafkaError("there is no such topic")
        partitions = list(consumer.assignment())
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    total = sum(ends.values()) - sum(starts.values())
    outcomes: Counter[str] = Counter()
    done = 0
    while done < total:
        batches, passed = await _next(consumer, starts, ends, done)
        done = passed
        for records in batches.values():
            outcomes += await _write(cache, records)
        progress(done, total)
    return outcomes


async def _next(
    consumer: AIOKafkaConsumer, starts: Offsets, ends: Offsets, done: int
) -> tuple[dict[TopicPartition, list[ConsumerRecord]], int]:
    """Some records, and how many offsets are passed by now: more than `done`; compaction leaves gaps."""
    gathered: dict[TopicPartition, list[ConsumerRecord]] = {}
    passed = done
    async with asyncio.timeout(STALLED_S):
        while passed == done:
            gathered = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            positions = {partition: await consumer.position(partition) for partition in starts}
            passed = sum(
                min(positions[partition], ends[partition]) - starts[partition] for partition in starts
            )
    return gathered, passed


async def _write(cache: RedisCache, records: Sequence[ConsumerRecord]) -> Counter[str]:
    outcomes = Counter(await asyncio.gather(*(_write_one(cache, record) for record in records)))
    if outcomes[CacheOutcome.FAILED]:
        raise CacheUnavailableError(f"{cache.trouble}; run it again once that is mended")
    return outcomes


async def _write_one(cache: RedisCache, record: ConsumerRecord) -> str:
    try:
        if record.value is None:
            kind, item_id = _item_of(record.key or b"")
            return await cache.remove(kind, item_id, _item_offset(record))
        return await cache.write(LabelRecord.model_validate_json(record.value))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        log.warning("%s/%d@%d is no label record: %s", record.topic, record.partition, record.offset, reason)
        return UNREADABLE


def _item_of(key: bytes) -> tuple[Kind, str]:
    """Kind and id of a key `kind:id:task`; the id may hold colons."""
    kind, _, rest = key.decode().partition(":")
    item_id, _, task = rest.rpartition(":")
    if not item_id or not task:
        raise ValueError(f"{key!r} is no key kind:id:task")
    return Kind(kind), item_id


def _item_offset(record: ConsumerRecord) -> int:
    """The offset that the removal had in its input topic."""
    revision = dict(record.headers).get(REVISION)
    if revision is None:
        raise ValueError(f"a removal without the header {REVISION}")
    return _REVISION.validate_json(revision).item_offset
