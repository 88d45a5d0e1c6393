"""Messages of `catalog.labels`, and of `catalog.dead-letters`, as what they mean."""

from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from genrestream.schemas import DeadLetter, Kind, LabelRecord


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label record."""

    record: LabelRecord
    published_at: datetime
    """When Kafka took the record, UTC."""

    @property
    def latency_s(self) -> float:
        """From the item's arrival in Kafka to its labels' publication there."""
        return max((self.published_at - self.record.arrived_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Removed:
    """The labels of an item for a task are gone."""

    kind: Kind
    item_id: str
    task: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that this version cannot read; newer ones may have written it."""

    topic: str
    partition: int
    offset: int
    reason: str


def read_label(message: ConsumerRecord) -> Labelled | Removed | Unreadable:
    """What a message of the label topic means."""
    try:
        if message.value is None:
            # kind and task hold no colon, the id may.
            kind, rest = (message.key or b"").decode().split(":", 1)
            item_id, task = rest.rsplit(":", 1)
            return Removed(Kind(kind), item_id, task)
        record = LabelRecord.model_validate_json(message.value)
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        return Unreadable(message.topic, message.partition, message.offset, reason)
    return Labelled(record, datetime.fromtimestamp(message.timestamp / 1000, UTC))


def read_dead_letter(message: ConsumerRecord) -> DeadLetter | Unreadable:
    """What a message of the dead-letter topic means."""
    try:
        return DeadLetter.from_message(message.key, message.value, list(message.headers))
    except ValueError as error:
        return Unreadable(message.topic, message.partition, message.offset, str(error))
