"""A consumer of the command line's: outside any group, so that reading moves nobody's offsets."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer

from genrestream.client.kafka_errors import KafkaUnavailableError, connecting, kafka_errors
from genrestream.kafka_records import read_any_header_name

TIMEOUT_MS = 15_000
POLL_MS = 200
"""How long one poll waits for records."""

_FETCH_BYTES = 8 * 1024 * 1024


@asynccontextmanager
async def open_consumer(
    bootstrap: str,
    topics: Collection[str],
    security: Mapping[str, Any] | None,
    *,
    subscribe: bool,
    auto_offset_reset: Literal["earliest", "latest", "none"],
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer, of all partitions of the topics with `subscribe`, else of none yet.

    `security` holds aiokafka's arguments of that kind.

    Raises:
        KafkaUnavailableError: no broker answers, or a topic is not there.
    """
    read_any_header_name()
    with kafka_errors(bootstrap, "connecting"):
        # Without a group, a subscription assigns all partitions at once.
        consumer = AIOKafkaConsumer(
            *(topics if subscribe else ()),
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset=auto_offset_reset,
            request_timeout_ms=TIMEOUT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
            # What is there is shown at once, and a topic's end waited for no longer than it takes.
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
        yield consumer
    finally:
        await consumer.stop()
