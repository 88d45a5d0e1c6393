"""Kafka's troubles as one line for people."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError

from genrestream.connections.kafka import no_kafka


class KafkaUnavailableError(Exception):
    """Kafka cannot be reached or does not do as asked; one line for people."""


@contextmanager
def kafka_errors(bootstrap: str, doing: str) -> Iterator[None]:
    """Turn the client's errors into `KafkaUnavailableError`, and keep its log quiet: it repeats them."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except KafkaConnectionError as error:
        raise KafkaUnavailableError(f"no Kafka broker answers at {bootstrap}") from error
    except (KafkaError, OSError, ValueError) as error:
        detail = str(error) or type(error).__name__
        raise KafkaUnavailableError(f"Kafka at {bootstrap} failed while {doing}: {detail}") from error


@asynccontextmanager
async def connecting(bootstrap: str, security: Mapping[str, Any] | None) -> AsyncIterator[None]:
    """`kafka_errors` around a client's start, which finds out why it could not connect."""
    with kafka_errors(bootstrap, "connecting"):
        try:
            yield
        except KafkaConnectionError as error:
            raise KafkaUnavailableError(await no_kafka(bootstrap, security)) from error
