"""What the commands that read topics have in common."""

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.client.labels import Unreadable
from genrestream.client.show import printable
from genrestream.ops.state import External

Result = TypeVar("Result")


def run_reading(work: Coroutine[Any, Any, Result]) -> Result:
    """The result; Kafka's troubles become one line."""
    try:
        return asyncio.run(work)
    except KafkaUnavailableError as error:
        raise CommandError(str(error)) from error


def kafka_bootstrap() -> str:
    """Where Kafka is. Reading topics needs nothing else to run or to be named."""
    return External.from_environment().kafka_bootstrap or resolve_addresses().kafka_bootstrap


def kafka_login() -> Mapping[str, Any]:
    """How Kafka is connected to: aiokafka's arguments of that kind."""
    return connection_security(kafka=True).kafka


def tell_unreadable(message: Unreadable) -> None:
    """Say on standard error what was passed over."""
    where = f"{message.topic}/{message.partition}@{message.offset}"
    sys.stderr.write(f"cannot read {where}: {printable(message.reason, 200)}\n")


def write_line(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
