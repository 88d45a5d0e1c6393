"""Reading what comes in topics, from outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from genrestream.client.consumer import POLL_MS, TIMEOUT_MS, open_consumer
from genrestream.client.kafka_errors import kafka_errors

_MAX_RECORDS = 500


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

    async def _poll(self) -> list[ConsumerRecord]:
        """What has arrived, in order of partition and offset; empty after 0.2 s of silence."""
        with kafka_errors(self._bootstrap, "reading"):
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=_MAX_RECORDS)
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
    async with open_consumer(
        bootstrap,
        topics,
        security,
        subscribe=True,
        # Seeking would race with the consumer's own first positioning, which follows this.
        auto_offset_reset="earliest" if start is Start.BEGINNING else "latest",
    ) as consumer:
        with kafka_errors(bootstrap, "finding the position"):
            async with asyncio.timeout(TIMEOUT_MS / 1000):
                for partition in consumer.assignment():
                    await consumer.position(partition)
        yield Follower(bootstrap, consumer)
