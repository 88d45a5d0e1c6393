"""Publishing to the input topics: keyed by item id, partitioned as Kafka's own clients do, acknowledged."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from genrestream.client.kafka_errors import KafkaUnavailableError, connecting, kafka_errors
from genrestream.schemas import Item, Kind
from genrestream.schemas.headers import ALL_SCORES, CONTENT_TYPE, FORCE
from genrestream.schemas.topics import INPUT_TOPICS

Headers = list[tuple[str, bytes]]

_MAX_REQUEST_BYTES = 5 * 1024 * 1024
"""Above the input topics' limit, so that the broker decides."""
_OVERHEAD_BYTES = 4096
"""Of a record batch; far above what is needed."""
_BATCH_BYTES = 128 * 1024
_LINGER_MS = 5
_TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent; `value` None removes the item."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None leaves the choice to the key."""


def item_message(item: Item, *, all_scores: bool = False, force: bool = False) -> Message:
    """The message that publishes an item; `force` has it labelled anew in any case."""
    value = item.model_dump_json(exclude_none=True).encode()
    headers: Headers = [("content-type", CONTENT_TYPE)]
    if all_scores:
        headers.append((ALL_SCORES, b"1"))
    if force:
        headers.append((FORCE, b"1"))
    return Message(INPUT_TOPICS[item.kind].name, item.id.encode(), value, tuple(headers))


def removal_message(kind: Kind, item_id: str) -> Message:
    """The message that removes an item and its labels."""
    return Message(INPUT_TOPICS[kind].name, item_id.encode(), None)


def fits(message: Message) -> bool:
    """Whether the topic takes a message of this size; workers may take less and dead-letter it."""
    limit_bytes = next(t.max_message_bytes for t in INPUT_TOPICS.values() if t.name == message.topic)
    headers_bytes = sum(len(name.encode()) + len(value) for name, value in message.headers)
    sent_bytes = len(message.key) + len(message.value or b"") + headers_bytes
    return sent_bytes + _OVERHEAD_BYTES <= limit_bytes


class Publisher:
    """Sends messages and tells when all in-sync replicas have them. An asynchronous context manager.

    aiokafka's default partitioner is Java's murmur2 on the key, so that an item's versions share a partition
    with those of every other producer of the catalogue. Entering and sending raise `KafkaUnavailableError`.
    """

    def __init__(self, bootstrap: str, security: Mapping[str, Any] | None = None) -> None:
        """`security` holds aiokafka's arguments of that kind."""
        self._bootstrap = bootstrap
        self._security = security or {}
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        async with connecting(self._bootstrap, self._security):
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                max_batch_size=_BATCH_BYTES,
                max_request_size=_MAX_REQUEST_BYTES,
                request_timeout_ms=_TIMEOUT_MS,
                **self._security,
            )
            try:
                await producer.start()
                topics = (await producer.client.fetch_all_metadata()).topics()
            except BaseException:
                await producer.stop()
                raise
        self._producer = producer
        missing = sorted({topic.name for topic in INPUT_TOPICS.values()} - set(topics))
        if missing:
            await self._stop()
            raise KafkaUnavailableError(
                f"no topic {', '.join(missing)} on {self._bootstrap}: run `genrestream topics create`"
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with kafka_errors(self._bootstrap, "closing"):
                await producer.stop()

    async def send(self, message: Message) -> Awaitable[RecordMetadata]:
        """What gives topic, partition and offset once the message is safe; waits while buffers are full."""
        if self._producer is None:
            raise RuntimeError("the publisher is not open")
        with kafka_errors(self._bootstrap, f"taking {message.key.decode(errors='replace')}"):
            delivery = await self._producer.send(
                message.topic,
                message.value,
                message.key,
                partition=message.partition,
                headers=list(message.headers),
            )
        return self._acknowledged(delivery, message)

    async def _acknowledged(
        self, delivery: "asyncio.Future[RecordMetadata]", message: Message
    ) -> RecordMetadata:
        with kafka_errors(self._bootstrap, f"taking {message.key.decode(errors='replace')}"):
            return await delivery
