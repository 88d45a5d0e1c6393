"""A worker's membership in its consumer group: what Kafka refuses it, and leaving for good.

aiokafka waits with an error that it does not try again by itself until it is asked for errors, reads nothing
and sends no heartbeat meanwhile; and Faust never asks. Nor does it know that Kafka gave a member's place to
another one of the same name: both would take it from each other for ever, every few seconds. The error by
which Kafka says so in the middle of a join is unknown to it, and would end the worker whose place was taken.

A static member keeps its partitions when it disconnects, so that a worker that was killed finds them again
at once. One that was asked to stop has to be taken out by name, or nobody would read them until its session
ends; aiokafka does not do that.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Any

import aiokafka.errors

log = logging.getLogger(__name__)

TIMEOUT_MS = 5_000
FENCED_INSTANCE_ID = 82
NEWCOMER_SESSIONS = 2.0
"""A worker is a newcomer for so many session time-outs from its start."""
NEWCOMERS_JOINS = (3, 5)
"""One of these, drawn by chance: of two that start together, one gives way before the other does."""

# An id that is not known any more, which a heartbeat of the same member is told: it joins anew. Source:
# https://kafka.apache.org/protocol#protocol_error_codes; https://github.com/aio-libs/aiokafka/issues/1186
aiokafka.errors.kafka_errors.setdefault(FENCED_INSTANCE_ID, aiokafka.errors.UnknownMemberIdError)


class Membership:
    """How a worker's membership stands; to be asked every second or so."""

    def __init__(self, consumer: Any, name: str, session_timeout_s: float) -> None:
        """`consumer` is Faust's, of the static member `name`."""
        self._consumer = consumer
        self._name = name
        self._newcomer_until_s = time.monotonic() + NEWCOMER_SESSIONS * session_timeout_s
        self._joins_left = random.choice(NEWCOMERS_JOINS)  # noqa: S311 - no secret
        self._last_id = ""
        self.displaced = False
        """Whether another worker has this one's name, so that it is not this one's to leave the group by."""

    async def refusal(self) -> str | None:
        """Why this worker cannot be in the group, in one line; None while it can.

        Of what may pass, aiokafka is told to try again.
        """
        thread = self._consumer._thread  # noqa: SLF001
        member = thread._consumer  # noqa: SLF001
        if member is None:
            return None

        async def ask() -> str:
            coordinator = member._coordinator  # noqa: SLF001
            coordinator.check_errors()
            member_id: str = coordinator.member_id
            return member_id

        try:
            self._count(
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), thread.thread_loop))
            )
        except aiokafka.errors.KafkaError as error:
            if error.retriable:
                log.warning("Kafka's group coordinator: %s", error)
                return None
            return f"Kafka does not take the worker {self._name} into its group: {_words(error)}"
        return f"another worker runs under the name {self._name}" if self.displaced else None

    def _count(self, member_id: str) -> None:
        """Of two workers of one name each takes the other's place, and the other joins anew by its next beat.

        The newcomer gives way: so many joins in its first time are no chance. Kafka gives a new id whenever a
        member joins, which after a session that ended is once a session at most.
        """
        if member_id not in {"", self._last_id} and time.monotonic() < self._newcomer_until_s:
            self._last_id = member_id
            self._joins_left -= 1
            self.displaced = self._joins_left <= 0


def leave_group(bootstrap: str, group: str, name: str, security: Mapping[str, Any] | None = None) -> None:
    """Free the partitions of the member at once. Blocks for some 10 s at most; run it in a thread.

    `security` holds the clients' arguments of that kind. Failing is no error: the partitions are free when
    the session ends.
    """
    # A tenth of a second: a worker's start need not wait for what only its end uses.
    from kafka.admin import KafkaAdminClient, MemberToRemove  # noqa: PLC0415
    from kafka.errors import KafkaError  # noqa: PLC0415

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
