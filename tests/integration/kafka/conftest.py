"""Topics of a test's own on the session's Kafka, and plain ways to read and set them up."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from kafka.admin import KafkaAdminClient

from genrestream.cli.addresses import Addresses
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.retries import Backoff

MakeTopic = Callable[..., str]
ReadAll = Callable[[str], Awaitable[list[ConsumerRecord]]]


@pytest.fixture
def bootstrap(addresses: Addresses) -> str:
    return addresses.kafka_bootstrap


@pytest.fixture
def make_topic(bootstrap: str) -> MakeTopic:
    """Creates a topic with a name of its own: partitions, then Kafka's settings."""

    def make(partitions: int = 1, settings: Mapping[str, str] | None = None) -> str:
        name = f"test.{uuid.uuid4().hex}"
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(settings or {})}
            admin.create_topics({name: wanted}, timeout_ms=30_000)
            admin.wait_for_topics([name], timeout_ms=30_000)
        finally:
            admin.close()
        return name

    return make


@pytest.fixture
def read_all(bootstrap: str) -> ReadAll:
    """Everything in a topic up to now, in order of partition and offset."""

    async def read(topic: str) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 * 2**20,
            fetch_max_bytes=8 * 2**20,
        )
        await consumer.start()
        try:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
            found: list[ConsumerRecord] = []
            async with asyncio.timeout(60):
                while any([await consumer.position(part) < end for part, end in ends.items()]):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found += records
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    return read


@pytest.fixture
async def producer(bootstrap: str) -> AsyncIterator[KafkaProducer]:
    """The producer as workers use it, in more of a hurry."""
    made = KafkaProducer(bootstrap, "test", backoff=Backoff(first_s=0.01, longest_s=0.05))
    await made.start()
    yield made
    await made.stop()
