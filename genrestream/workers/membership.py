"""A worker's membership in its consumer group: what Kafka refuses it, and leaving for good.

aiokafka waits with an error that it does not try again by itself until it is asked for errors, reads nothing
and sends no heartbeat meanwhile; and Faust never asks.

A static member keeps its partitions when it disconnects, so that a worker that was killed finds them again
at once. One that was asked to stop has to be taken out by name, or nobody would read them until its session
ends; aiokafka does not do that.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import aiokafka.errors
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import KafkaError

log = logging.getLogger(__name__)

TIMEOUT_MS = 5_000


async def refusal(consumer: Any, name: str) -> str | None:
    """Why Kafka will not have the member `name` in its group, in one line; None while it does.

    Of what may pass, aiokafka is told to try again. `consumer` is Faust's.
    """
    thread = consumer._thread  # noqa: SLF001
    member = thread._consumer  # noqa: SLF001
    if member is None:
        return None

    async def ask() -> None:
        member._coordinator.check_errors()  # noqa: SLF001

    try:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), thread.thread_loop))
    except aiokafka.errors.KafkaError as error:
        if error.retriable:
            log.warning("Kafka's group coordinator: %s", error)
            return None
        return f"Kafka does not take the worker {name} into its group: {_words(error)}"
    return None


def leave_group(bootstrap: str, group: str, name: str, security: Mapping[str, Any] | None = None) -> None:
    """Free the partitions of the member at once. Blocks for some 10 s at most; run it in a thread.

    `security` holds the clients' arguments of that kind. Failing is no error: the partitions are free when
    the session ends.
    """
    # It retries and complains by itself; what comes of it is told here in one line.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            bootstrap_timeout_ms=TIMEOUT_MS,
            request_timeout_ms=TIMEOUT_MS,
            **(security or {}),
        )
        try:
            admin.remove_group_members(group, [MemberToRemove(group_instance_id=name)])
        finally:
            admin.close()
    except (KafkaError, OSError, ValueError) as error:
        log.warning("the partitions of %s are free when its session ends: %s", name, error)


def _words(error: aiokafka.errors.KafkaError) -> str:
    """Kafka's description, where there is one, without its line breaks."""
    description = getattr(error, "description", None) or str(error)
    return " ".join(description.split()).rstrip(".")
