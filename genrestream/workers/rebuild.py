"""Fills the label cache from `catalog.labels`; safe at any time, also while workers write to it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from genrestream.connections.kafka import no_kafka
from genrestream.schemas.topics import LABELS
from genrestream.workers.cache import RedisCache
from genrestream.workers.cache_feed import feed
from genrestream.workers.errors import CacheUnavailableError, KafkaUnavailableError
from genrestream.workers.producer import kafka_reason
from genrestream.workers.protocols import CacheOutcome

MAX_RECORDS = 1000
POLL_MS = 500
STALLED_S = 60.0
"""So long without a record before the end is reached means that Kafka is away."""

Offsets = Mapping[TopicPartition, int]

Progress = Callable[[int, int], None]
"""Told the offsets passed and how many there are in all."""


async def rebuild(
    bootstrap: str,
    cache: RedisCache,
    progress: Progress = lambda done, total: None,
    partitions: Collection[int] | None = None,
    security: Mapping[str, Any] | None = None,
) -> Counter[CacheOutcome]:
    """How many messages had which outcome, or were `unreadable`, up to the topic's end at the start.

    All partitions of the label topic, or those named; `security` holds aiokafka's arguments of that kind.
    Compare-and-set keeps what is newer, so the order of reading does not matter.

    Raises:
        KafkaUnavailableError: no broker answers, or the topic is not there; one line for people.
        CacheUnavailableError: Redis does not answer; what was written stays, and running again goes on.
    """
    # Without a group, a subscription assigns all partitions at once.
    subscribed = [LABELS.name] if partitions is None else []
    consumer = AIOKafkaConsumer(
        *subscribed,
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=LABELS.max_message_bytes,
        **(security or {}),
    )
    try:
        await consumer.start()
        return await _copy(consumer, cache, progress, partitions)
    except KafkaConnectionError as error:
        raise KafkaUnavailableError(await no_kafka(bootstrap, security)) from error
    except (KafkaError, TimeoutError) as error:
        answered = isinstance(error, KafkaError)
        reason = kafka_reason(error) if answered else f"no answer in {STALLED_S:g} s"
        raise KafkaUnavailableError(
            f"cannot read {LABELS.name} from Kafka at {bootstrap}: {reason}"
        ) from error
    finally:
        await consumer.stop()


async def _copy(
    consumer: AIOKafkaConsumer, cache: RedisCache, progress: Progress, wanted: Collection[int] | None
) -> Counter[CacheOutcome]:
    async with asyncio.timeout(STALLED_S):
        if LABELS.name not in await consumer.topics():
            raise KafkaError("there is no such topic")
        if wanted is not None:
            consumer.assign([TopicPartition(LABELS.name, number) for number in wanted])
        partitions = list(consumer.assignment())
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    total = sum(ends.values()) - sum(starts.values())
    outcomes = Counter[CacheOutcome]()
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


async def _write(cache: RedisCache, records: Sequence[ConsumerRecord]) -> Counter[CacheOutcome]:
    outcomes = Counter(await asyncio.gather(*(feed(cache, record) for record in records)))
    if outcomes[CacheOutcome.FAILED]:
        raise CacheUnavailableError(f"{cache.trouble}; run it again once that is mended")
    return outcomes
