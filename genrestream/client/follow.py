"""Reading a topic from outside any consumer group: all of it up to now, or what comes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from genrestream.client.kafka_errors import KafkaUnavailableError, connecting, kafka_errors
from genrestream.kafka_records import read_any_header_name

_POLL_MS = 200
_TIMEOUT_MS = 15_000
_MAX_RECORDS = 500
_FETCH_BYTES = 8 * 1024 * 1024


class Start(StrEnum):
    """Where reading begins."""

    BEGINNING = "beginning"
    END = "end"


class Follower:
    """An open reader of some topics; `open_follower` makes it."""

    def __init__(self, bootstrap: str, consumer: AIOKafkaConsumer) -> None:
        self._bootstrap = bootstrap
        self._consumer = consumer

    async def new(self) -> AsyncIterator[ConsumerRecord]:
        """Every record as it comes, without end."""
        while True:
            for record in await self._poll():
                yield record

    async def until_now(self) -> AsyncIterator[ConsumerRecord]:
        """The records that are there when reading begins."""
        with kafka_errors(self._bootstrap, "asking for the end"):
            ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        while await self._behind(ends):
            for record in await self._poll():
                if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                    yield record

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        with kafka_errors(self._bootstrap, "reading"):
            # Positions, not records: compaction and transactions leave offsets without any.
            return any([await self._consumer.position(part) < end for part, end in ends.items()])

    async def _poll(self) -> list[ConsumerRecord]:
        """What has arrived, in order of partition and offset; empty after 0.2 s of silence."""
        with kafka_errors(self._bootstrap, "reading"):
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        return [record for batch in batches.values() for record in batch]


@asynccontextmanager
async def open_follower(
    bootstrap: str, topics: tuple[str, ...], start: Start, security: Mapping[str, Any] | None = None
) -> AsyncIterator[Follower]:
    """A reader of all partitions of the topics, positioned when the block is entered.

    `security` holds aiokafka's arguments of that kind.

    Raises:
        KafkaUnavailableError: no broker answers, or a topic is not there.
    """
    read_any_header_name()
    with kafka_errors(bootstrap, "connecting"):
        # Without a group, a subscription assigns all partitions at once.
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            # Seeking would race with the consumer's own first positioning, which follows this.
            auto_offset_reset="earliest" if start is Start.BEGINNING else "latest",
            request_timeout_ms=_TIMEOUT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
            # A label is shown as soon as it is there.
            fetch_max_wait_ms=100,
            **(security or {}),
        )
    try:
        async with connecting(bootstrap, security):
            await consumer.start()
            known = await consumer.topics()
        if missing := sorted(set(topics) - set(known)):
            raise KafkaUnavailableError(
                f"no topic {', '.join(missing)} on {bootstrap}: run `genrestream topics create`"
            )
        with kafka_errors(bootstrap, "finding the position"):
            async with asyncio.timeout(_TIMEOUT_MS / 1000):
                for partition in consumer.assignment():
                    await consumer.position(partition)
        yield Follower(bootstrap, consumer)
    finally:
        await consumer.stop()
