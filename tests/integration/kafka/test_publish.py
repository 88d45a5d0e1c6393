"""Labels on `catalog.labels` as recommenders read them, in any language."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from genrestream.schemas import (
    Decision,
    Kind,
    LabelConfidence,
    LabelRecord,
    Modality,
    ReleaseReference,
    Revision,
)
from genrestream.schemas.topics import LABELS
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.publish import LabelPublisher

pytestmark = pytest.mark.stack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ReadAll = Callable[[str], Awaitable[list[ConsumerRecord]]]


def record(item_id: str, task: str = "genres") -> LabelRecord:
    return LabelRecord(
        kind=Kind.TRACK,
        id=item_id,
        task=task,
        labels=(LabelConfidence(label="jazz", confidence=0.5),),
        decision=Decision.LABELLED,
        release=ReleaseReference(model="track-genres", version=1, taxonomy="t", taxonomy_version=1),
        modalities_used=(Modality.AUDIO,),
        content_hash="0" * 64,
        revision=Revision(9, 3),
        arrived_at=NOON,
        labelled_at=NOON,
    )


async def with_key(read_all: ReadAll, prefix: str) -> list[ConsumerRecord]:
    return [found for found in await read_all(LABELS.name) if found.key.startswith(prefix.encode())]


async def test_a_record_is_published_as_it_is(producer: KafkaProducer, read_all: ReadAll) -> None:
    """Key kind:id:task, the record in JSON, a CloudEvent named by key and revision."""
    published = record("publish:Ł")
    await LabelPublisher(producer).publish(published)
    [found] = await with_key(read_all, "track:publish:Ł")
    assert found.key.decode() == "track:publish:Ł:genres"
    assert LabelRecord.model_validate_json(found.value) == published
    assert list(found.headers) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", "track:publish:Ł:genres@9.3".encode()),
        ("ce_source", b"/genrestream"),
        ("ce_type", b"genrestream.labels.v1"),
        ("ce_time", b"2026-03-01T12:00:00+00:00"),
        ("content-type", b"application/json"),
    ]


async def test_a_removal_is_a_tombstone_a_task(producer: KafkaProducer, read_all: ReadAll) -> None:
    """Compaction forgets the labels of every task; the header says how new the removal is."""
    await LabelPublisher(producer).remove(Kind.TRACK, "removed", ["genres", "moods"], Revision(12, 4))
    found = await with_key(read_all, "track:removed:")
    assert {each.key: each.value for each in found} == {
        b"track:removed:genres": None,
        b"track:removed:moods": None,
    }
    headers = dict(next(each for each in found if each.key.endswith(b"genres")).headers)
    assert headers["genrestream-revision"] == b"[12,4]"
    assert headers["ce_type"] == b"genrestream.removal.v1"
    assert headers["ce_id"] == b"track:removed:genres@12.4"
    assert "content-type" not in headers


@pytest.mark.parametrize(
    ("key", "murmur"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
async def test_keys_land_where_kafkas_own_partitioner_puts_them(
    producer: KafkaProducer, make_topic: Callable[..., str], read_all: ReadAll, key: bytes, murmur: int
) -> None:
    """The hashes are those of Apache Kafka's `UtilsTest.testMurmur2`; the sign goes, then modulo 12."""
    assert murmur2(key) == murmur % 2**32
    topic = make_topic(partitions=12)
    await producer.deliver(topic, key, b"", [])
    [found] = await read_all(topic)
    assert found.partition == (murmur & 0x7FFFFFFF) % 12
