"""Leaving the consumer group for good.

A static member keeps its partitions when it disconnects, so that a worker that was killed finds them again
at once. One that was asked to stop has to be taken out by name, or nobody would read them until its session
ends; aiokafka does not do that.
"""

import logging
from collections.abc import Mapping
from typing import Any

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import KafkaError

log = logging.getLogger(__name__)

TIMEOUT_MS = 5_000


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
