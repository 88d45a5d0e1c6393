"""Kafka's troubles as one line for people."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError


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
