"""Reading stretches of partitions from outside any consumer group: whole topics, or parts of partitions."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from genrestream.client.consumer import POLL_MS, open_consumer
from genrestream.client.kafka_errors import KafkaUnavailableError, kafka_errors
from genrestream.schemas.topics import Topic

Progress = Callable[[int, int], None]
"""Told how many offsets are passed, and how many there are in all."""

_MAX_RECORDS = 1000
_MAX_SILENT_POLLS = 300
"""A minute without a record before the end is reached: Kafka is away."""


def silent(done: int, total: int) -> None:
    """Tells nobody."""


def partitions_of(topic: Topic) -> list[TopicPartition]:
    """All of the topic's; their count is fixed."""
    return [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]


class PartitionReader:
    """An open reader; `open_partition_reader` makes it. One reading at a time."""

    def __init__(self, bootstrap: str, consumer: AIOKafkaConsumer) -> None:
        self._bootstrap = bootstrap
        self._consumer = consumer

    async def there(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, range]:
        """The offsets that each partition holds now."""
        with kafka_errors(self._bootstrap, "asking for offsets"):
            starts = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
        return {part: range(starts[part], ends[part]) for part in partitions}

    async def topic(self, topic: Topic, progress: Progress = silent) -> AsyncIterator[ConsumerRecord]:
        """All that the topic holds when reading begins."""
        async for record in self.read(await self.there(partitions_of(topic)), progress):
            yield record

    async def read(
        self, stretches: Mapping[TopicPartition, range], progress: Progress = silent
    ) -> AsyncIterator[ConsumerRecord]:
        """The records at these offsets, in order within a partition; offsets without records are passed over.

        Raises:
            KafkaUnavailableError: Kafka is away, or no longer has these offsets.
        """
        unread = {part: offsets for part, offsets in stretches.items() if offsets}
        total = left = sum(map(len, unread.values()))
        self._consumer.assign(list(unread))
        for part, offsets in unread.items():
            self._consumer.seek(part, offsets.start)
        silence = 0
        while unread:
            with kafka_errors(self._bootstrap, "reading"):
                batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=_MAX_RECORDS)
            for part, records in batches.items():
                for record in records:
                    if record.offset < stretches[part].stop:
                        yield record
            before, left = left, await self._advance(unread)
            progress(total - left, total)
            silence = silence + 1 if left == before else 0
            if silence > _MAX_SILENT_POLLS:
                raise KafkaUnavailableError(f"Kafka at {self._bootstrap} stopped answering while reading")

    async def _advance(self, unread: dict[TopicPartition, range]) -> int:
        """How many offsets are left; partitions that are read to their end go, and are fetched no more."""
        left = 0
        for part, offsets in list(unread.items()):
            with kafka_errors(self._bootstrap, "reading"):
                # Positions, not records: compaction and transactions leave offsets without any.
                ahead = offsets.stop - await self._consumer.position(part)
            if ahead > 0:
                left += ahead
            else:
                self._consumer.pause(part)
                del unread[part]
        return left


@asynccontextmanager
async def open_partition_reader(
    bootstrap: str, topics: Collection[Topic], security: Mapping[str, Any] | None = None
) -> AsyncIterator[PartitionReader]:
    """A reader of the topics. `security` holds aiokafka's arguments of that kind.

    Raises:
        KafkaUnavailableError: no broker answers, or a topic is not there.
    """
    # No reset: a jump over what was deleted meanwhile could pass over a newer version.
    async with open_consumer(
        bootstrap, {topic.name for topic in topics}, security, subscribe=False, auto_offset_reset="none"
    ) as consumer:
        yield PartitionReader(bootstrap, consumer)
