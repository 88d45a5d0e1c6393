"""Creates the Kafka topics."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownBrokerIdError, for_code

from genrestream.connections.kafka import kafka_refusal
from genrestream.schemas.topics import TOPICS, Topic

T = TypeVar("T")

BROKER_DEFAULT = -1
LATEST_OFFSET = -1
TIMEOUT_MS = 30_000
LEADERS_POLL_S = 0.3
TOPIC_ALREADY_EXISTS = TopicAlreadyExistsError.errno


class TopicsError(Exception):
    """The topics are not as they have to be, and trying again will not help."""


class BrokerUnavailable(Exception):  # noqa: N818 - says what is the matter
    """The broker does not answer; it may later."""


def create_topics(
    bootstrap: str, replication_factor: int | None = None, security: Mapping[str, Any] | None = None
) -> list[str]:
    """The names of the topics that were missing and are there now, in no order that matters.

    `replication_factor` None takes the broker's default. Topics that exist stay as they are. Raises
    `TopicsError` when one of them has another partition count, since messages of one key would then have no
    order, or when the broker refuses; `BrokerUnavailable` when it does not answer, or refuses the
    connection. `security` holds the clients' arguments of that kind.
    """
    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        # Asked before the client, which would try a login that is refused again until its time is over.
        if (refusal := asyncio.run(kafka_refusal(bootstrap, security))) is not None:
            raise BrokerUnavailable(refusal)
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            bootstrap_timeout_ms=TIMEOUT_MS,
            request_timeout_ms=TIMEOUT_MS,
            **(security or {}),
        )
    except (KafkaError, OSError, ValueError) as error:
        raise BrokerUnavailable(f"no Kafka broker answers at {bootstrap}: {error}") from error
    try:
        return _create_missing(admin, replication_factor)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"the Kafka broker at {bootstrap} failed: {error}") from error
    finally:
        admin.close()


def _create_missing(admin: KafkaAdminClient, replication_factor: int | None) -> list[str]:
    existing = set(admin.list_topics())
    _check_partitions(admin, [topic for topic in TOPICS if topic.name in existing])
    missing = [topic for topic in TOPICS if topic.name not in existing]
    if not missing:
        return []
    wanted = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": replication_factor or BROKER_DEFAULT,
            "configs": topic.config(),
        }
        for topic in missing
    }
    answer = _patiently(lambda: admin.create_topics(wanted, timeout_ms=TIMEOUT_MS, raise_errors=False))
    created = []
    for result in answer["topics"]:
        match result["error_code"]:
            case 0:
                created.append(result["name"])
            case code if code == TOPIC_ALREADY_EXISTS:  # another was quicker
                continue
            case code:
                reason = result.get("error_message") or for_code(code).__name__
                raise TopicsError(f"cannot create topic {result['name']}: {reason}")
    admin.wait_for_topics([topic.name for topic in missing], timeout_ms=TIMEOUT_MS)
    _await_leaders(admin, missing)
    _check_partitions(admin, [topic for topic in missing if topic.name not in created])
    return created


def _await_leaders(admin: KafkaAdminClient, topics: Iterable[Topic]) -> None:
    """Returns when every partition takes requests: a new leader is known before it does."""
    ends = {
        TopicPartition(topic.name, partition): LATEST_OFFSET
        for topic in topics
        for partition in range(topic.partitions)
    }
    _patiently(lambda: admin.list_partition_offsets(ends, timeout_ms=TIMEOUT_MS))


def _patiently(ask: Callable[[], T]) -> T:
    """The answer, once the client has heard of the broker that gives it: in a cluster that has just started,
    one can lead or control before that."""
    give_up_s = time.monotonic() + TIMEOUT_MS / 1000
    while True:
        try:
            return ask()
        except UnknownBrokerIdError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(LEADERS_POLL_S)


def _check_partitions(admin: KafkaAdminClient, topics: Iterable[Topic]) -> None:
    expected = {topic.name: topic.partitions for topic in topics}
    if not expected:
        return
    for found in admin.describe_topics(list(expected)):
        count = len(found["partitions"])
        if count != expected[found["name"]]:
            raise TopicsError(
                f"topic {found['name']} has {count} partitions, {expected[found['name']]} are needed; "
                "the count cannot be changed without breaking the order of an item's versions"
            )
