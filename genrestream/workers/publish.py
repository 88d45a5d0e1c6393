"""Label records and tombstones on `catalog.labels`.

aiokafka's partitioner is Kafka's own murmur2, so that consumers in any language find a key in the same
partition; a test holds it to that. Records are serialised by pydantic: 5 us one, as with orjson.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from genrestream.schemas.headers import LABEL_EVENT_TYPE, REMOVAL_EVENT_TYPE, REVISION
from genrestream.schemas.items import Kind
from genrestream.schemas.labels import LabelRecord, label_key
from genrestream.schemas.revision import Revision
from genrestream.schemas.topics import LABELS
from genrestream.workers.cloud_events import event_headers
from genrestream.workers.producer import KafkaProducer


class LabelPublisher:
    """The label topic. Versions of one item are published one after the other by the caller."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    async def publish(self, record: LabelRecord) -> None:
        """Return once all in-sync replicas have the record.

        Raises:
            DeliveryImpossibleError: Kafka refuses it for good.
        """
        if record.revision is None:
            raise ValueError(f"the record of {record.kind} {record.id} has no revision")
        key = label_key(record.kind, record.id, record.task)
        headers = event_headers(LABEL_EVENT_TYPE, _event_id(key, record.revision), record.labelled_at)
        await self._producer.deliver(LABELS.name, key.encode(), record.model_dump_json().encode(), headers)

    async def remove(self, kind: Kind, item_id: str, tasks: Iterable[str], revision: Revision) -> None:
        """Write a tombstone a task; return once all in-sync replicas have them.

        Raises:
            DeliveryImpossibleError: Kafka refuses one for good.
        """
        await asyncio.gather(*(self._remove(label_key(kind, item_id, task), revision) for task in tasks))

    async def _remove(self, key: str, revision: Revision) -> None:
        headers = event_headers(
            REMOVAL_EVENT_TYPE, _event_id(key, revision), datetime.now(UTC), has_data=False
        )
        headers.append((REVISION, revision_header(revision)))
        await self._producer.deliver(LABELS.name, key.encode(), None, headers)


def revision_header(revision: Revision) -> bytes:
    """The revision as it stands in a record's JSON: `[item_offset,release_sequence]`."""
    return b"[%d,%d]" % revision


def _event_id(key: str, revision: Revision) -> str:
    return f"{key}@{revision.item_offset}.{revision.release_sequence}"
