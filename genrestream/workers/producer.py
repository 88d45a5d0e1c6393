"""Delivery to Kafka: what is handed over here has arrived at all in-sync replicas when the call returns.

aiokafka's producer with idempotence tries again by itself while its batch lives. What it leaves to the
caller is answered here: errors that may pass are tried again without end, a producer that lost its place in
the sequence is replaced, and what Kafka refuses for good says so. No compression: measured on records of
640 bytes in batches of 256, lz4, zstd and snappy cost as much client CPU as they save (29 to 33 us a record,
31 without), gzip more, and readers would need a codec.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from genrestream.connections.kafka import no_kafka
from genrestream.schemas.topics import DEAD_LETTERS
from genrestream.workers.errors import DeliveryImpossibleError, KafkaUnavailableError
from genrestream.workers.retries import Backoff, until_it_works

log = logging.getLogger(__name__)

Headers = list[tuple[str, bytes]]

LINGER_MS = 2
"""Records of one micro-batch travel together; longer would only add to the latency of a quiet worker."""
MAX_BATCH_BYTES = 64 * 1024
REQUEST_TIMEOUT_MS = 30_000
RETRY_BACKOFF_MS = 250
STOP_TIMEOUT_S = 10.0
LOG_EVERY_S = 10.0

REFUSED = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.RecordTooLargeError,
    kafka.TopicAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.InvalidTopicError,
    kafka.InvalidRequiredAcksError,
    kafka.PolicyViolationError,
    kafka.IncompatibleBrokerVersion,
)
"""Trying again gives the same: rights, limits or settings have to change first."""

RETRIABLE_BY_US = (kafka.KafkaTimeoutError, kafka.CorruptRecordException, kafka.BrokerNotAvailableError)
"""May pass, though aiokafka does not mark them so. Anything else unmarked ends the producer's sequence."""


class _NotDeliveredError(Exception):
    """Not this time."""


class KafkaProducer:
    """Delivers records, however long Kafka is away. Order between calls is the callers' business."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        on_retry: Callable[[], None] = lambda: None,
        security: Mapping[str, Any] | None = None,
        max_request_bytes: int = DEAD_LETTERS.max_message_bytes,
        backoff: Backoff | None = None,
    ) -> None:
        """`security` holds aiokafka's arguments of that kind: protocol, TLS context, SASL."""
        self._bootstrap = bootstrap
        self._security = security or {}
        self._settings = {
            "bootstrap_servers": bootstrap,
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": LINGER_MS,
            "max_batch_size": MAX_BATCH_BYTES,
            "max_request_size": max_request_bytes,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            **self._security,
        }
        self._on_retry = on_retry
        self._backoff = backoff or Backoff()
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._logged_s = -LOG_EVERY_S
        self._retired: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaUnavailableError: no broker answers; one line for people.
        """
        self._producer = await self._connected()

    async def stop(self) -> None:
        """Deliver what was handed over, as far as Kafka takes it in time, and disconnect."""
        if self._producer is not None:
            await _stop(self._producer)
        await asyncio.gather(*self._retired)

    async def deliver(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once all in-sync replicas have the record.

        Raises:
            DeliveryImpossibleError: Kafka refuses it for good; the worker cannot go on.
        """
        await until_it_works(
            lambda: self._attempt(topic, key, value, headers),
            _NotDeliveredError,
            self._backoff,
            lambda error: self._on_retry(),
        )

    async def _attempt(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        producer = self._producer
        if producer is None:
            raise RuntimeError("the producer was not started")
        try:
            await producer.send_and_wait(topic, value, key, headers=headers)
        except REFUSED as error:
            raise DeliveryImpossibleError(
                f"Kafka refuses to write to {topic}: {kafka_reason(error)}"
            ) from error
        except kafka.KafkaError as error:
            self._log(f"not delivered to {topic}, trying again: {kafka_reason(error)}")
            if not (error.retriable or isinstance(error, RETRIABLE_BY_US)):
                await self._replace(producer)
            raise _NotDeliveredError from error

    def _log(self, line: str) -> None:
        """One line in a while: what is in flight fails together, and again at every attempt."""
        if time.monotonic() - self._logged_s >= LOG_EVERY_S:
            self._logged_s = time.monotonic()
            log.warning(line)

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        """Take a new producer with a new sequence; whoever comes second finds it done."""
        async with self._replacing:
            if self._producer is not broken:
                return
            try:
                self._producer = await self._connected()
            except KafkaUnavailableError:
                return  # The next attempt comes back here.
            retiring = asyncio.create_task(_stop(broken))
            self._retired.add(retiring)
            retiring.add_done_callback(self._retired.discard)

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self._settings)
        try:
            await producer.start()
        except kafka.KafkaConnectionError as error:
            await _stop(producer)
            raise KafkaUnavailableError(await no_kafka(self._bootstrap, self._security)) from error
        except kafka.KafkaError as error:
            await _stop(producer)
            text = f"cannot write to Kafka at {self._bootstrap}: {kafka_reason(error)}"
            raise KafkaUnavailableError(text) from error
        return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    # What is not delivered by then is not committed either, and is read again.
    with suppress(TimeoutError, kafka.KafkaError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()


def kafka_reason(error: kafka.KafkaError) -> str:
    """What the error says, without the class that aiokafka puts before it; else the class."""
    name = type(error).__name__
    return str(error).removeprefix(f"{name}: ") or name
