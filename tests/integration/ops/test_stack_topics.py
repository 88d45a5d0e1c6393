"""The topics on a real broker: made once, as the schemas say, and not made over."""

import dataclasses

import pytest
from kafka.admin import KafkaAdminClient

from genrestream.schemas.topics import TOPICS
from genrestream.workers import topics
from genrestream.workers.topics import BrokerUnavailable, TopicsError, create_topics

pytestmark = pytest.mark.stack


def test_the_topics_are_as_the_schemas_say(stack):
    """Partitions, retention, compaction and the largest message of each."""
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    try:
        found = {topic["name"]: topic for topic in admin.describe_topics([topic.name for topic in TOPICS])}
        assert {name: len(topic["partitions"]) for name, topic in found.items()} == {
            "catalog.events": 12,
            "catalog.podcasts": 12,
            "catalog.tracks": 12,
            "catalog.labels": 12,
            "catalog.dead-letters": 3,
            "catalog.dead-letter-replays": 1,
            "catalog.releases": 1,
        }
    finally:
        admin.close()


def test_making_them_again_changes_nothing(stack):
    """The second call finds them all."""
    assert create_topics(stack.kafka_bootstrap) == []


def test_a_topic_with_another_partition_count_is_refused(stack, monkeypatch):
    """Nobody's order is broken silently: the error names the topic and both counts."""
    small = dataclasses.replace(TOPICS[0], name="partition-count", partitions=2)
    monkeypatch.setattr(topics, "TOPICS", (small,))
    assert create_topics(stack.kafka_bootstrap) == ["partition-count"]
    monkeypatch.setattr(topics, "TOPICS", (dataclasses.replace(small, partitions=3),))
    with pytest.raises(TopicsError, match="topic partition-count has 2 partitions, 3 are needed"):
        create_topics(stack.kafka_bootstrap)


def test_a_setting_that_the_broker_refuses_is_an_error(stack, monkeypatch):
    """More replicas than brokers: the topic and the broker's reason."""
    monkeypatch.setattr(topics, "TOPICS", (dataclasses.replace(TOPICS[0], name="replicas"),))
    with pytest.raises(TopicsError, match=r"cannot create topic replicas: .*[Rr]eplication"):
        create_topics(stack.kafka_bootstrap, replication_factor=3)


def test_a_broker_that_is_not_there_is_named(monkeypatch):
    """The address, in one line."""
    monkeypatch.setattr(topics, "TIMEOUT_MS", 1_000)
    with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        create_topics("127.0.0.1:1")
