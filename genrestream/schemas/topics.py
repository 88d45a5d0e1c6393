"""The Kafka topics: partitions, retention, limits. Partition counts are fixed when topics are made.

Changing a count would move keys between partitions and break the order of an item's versions.
"""

from dataclasses import dataclass

from genrestream.schemas.items import Kind

DAY_MS = 24 * 60 * 60 * 1000

MAX_ITEM_BYTES = 2 * 1024 * 1024
"""A larger message is dead-lettered: 1 MiB of inline media in base64, and the texts."""


@dataclass(frozen=True, slots=True)
class Topic:
    """How a topic is created."""

    name: str
    partitions: int
    retention_ms: int
    """-1 keeps for ever."""
    compacted: bool
    max_message_bytes: int
    """What the broker accepts; inputs accept more than workers do, so that a large one is a dead letter."""
    description: str
    from_outside: bool = False
    """Written by services whose compression is not ours."""

    def config(self) -> dict[str, str]:
        """Kafka's own topic settings."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            **self.broker_config(),
        }

    def broker_config(self) -> dict[str, str]:
        """What makes the broker answer for messages, and not whoever writes them.

        The broker's clock stamps them: arrival is when Kafka took them, and a writer whose clock jumps is
        neither refused (more than an hour ahead) nor has its messages deleted at once (far behind). What is
        compressed outside the broker unpacks before it applies `max.message.bytes`, so that no reader needs a
        codec and no small message unpacks to a huge one.
        """
        stamps = {"message.timestamp.type": "LogAppendTime"}
        return {**stamps, "compression.type": "uncompressed"} if self.from_outside else stamps


INPUT_TOPICS: dict[Kind, Topic] = {
    kind: Topic(
        name=f"catalog.{kind}s",
        partitions=12,
        retention_ms=7 * DAY_MS,
        compacted=False,
        max_message_bytes=4 * 1024 * 1024,
        description=f"New, changed and removed {kind}s; the key is the item's id, a null value removes it.",
        from_outside=True,
    )
    for kind in Kind
}

LABELS = Topic(
    name="catalog.labels",
    partitions=12,
    retention_ms=-1,
    compacted=True,
    max_message_bytes=1024 * 1024,
    description="Label records, one an item and task, key kind:id:task; a null value means removed.",
)

DEAD_LETTERS = Topic(
    name="catalog.dead-letters",
    partitions=3,
    retention_ms=30 * DAY_MS,
    compacted=False,
    max_message_bytes=5 * 1024 * 1024,
    description="Items that cannot be labelled: the untouched bytes, the reason in headers.",
)

DEAD_LETTER_REPLAYS = Topic(
    name="catalog.dead-letter-replays",
    partitions=1,
    retention_ms=2 * DEAD_LETTERS.retention_ms,
    compacted=False,
    max_message_bytes=1024 * 1024,
    description="Which dead letters were replayed; the key is the letter's place, TOPIC/PARTITION@OFFSET.",
)

RELEASES = Topic(
    name="catalog.releases",
    partitions=1,
    retention_ms=-1,
    compacted=True,
    max_message_bytes=1024 * 1024,
    description="Announced releases, key kind:task; the newest one a key is live.",
)

TOPICS: tuple[Topic, ...] = (*INPUT_TOPICS.values(), LABELS, DEAD_LETTERS, DEAD_LETTER_REPLAYS, RELEASES)

KIND_OF_TOPIC: dict[str, Kind] = {topic.name: kind for kind, topic in INPUT_TOPICS.items()}
