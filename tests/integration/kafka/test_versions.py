"""Newer versions of replayed items are found in the real input partition, and only there."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from kafka.admin import KafkaAdminClient

from drills.proxy import proxy
from genrestream.schemas import DeadLetterCode
from genrestream.schemas.headers import FIRST_OFFSET
from genrestream.workers.errors import Rejected
from genrestream.workers.retries import Backoff
from genrestream.workers.versions import VersionReader
from tests.integration.kafka.conftest import MakeTopic

pytestmark = pytest.mark.stack

LATER = Backoff(first_s=0.01, longest_s=0.05)


@pytest.fixture
async def ingest(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        yield producer


async def fill(
    ingest: AIOKafkaProducer, topic: str, *messages: tuple[bytes, bytes | None, int | None]
) -> None:
    """Key, value and first offset of each message of partition 0, one after the other."""
    for key, value, first in messages:
        headers = [] if first is None else [(FIRST_OFFSET, b"%d" % first)]
        await ingest.send_and_wait(topic, value, key, partition=0, headers=headers)


async def test_a_newer_version_is_one_with_a_greater_first_offset(
    bootstrap: str, ingest: AIOKafkaProducer, make_topic: MakeTopic
) -> None:
    """Claim: new items, removals and replays of newer versions count; other keys, replays of the same or an
    older version, and what lies outside the offsets asked for do not.
    """
    topic = make_topic(2)
    await fill(
        ingest,
        topic,
        (b"a", b"0", None),
        (b"b", b"1", None),
        (b"a", b"2", 0),
        (b"c", b"3", None),
        (b"c", None, None),
        (b"b", b"5", None),
        (b"b", b"6", 1),
        (b"c", b"7", 4),
    )
    await ingest.send_and_wait(topic, b"elsewhere", b"a", partition=1)
    reader = VersionReader(bootstrap, backoff=LATER)
    answers = await asyncio.gather(
        reader.newer(topic, 0, b"a", range(1, 8), 0),  # its own replay at 2 is no newer version
        reader.newer(topic, 0, b"b", range(2, 8), 1),
        reader.newer(topic, 0, b"b", range(2, 5), 1),  # the newer one, at 5, is not asked for
        reader.newer(topic, 0, b"b", range(6, 7), 5),  # a replay of the version 1 is older than 5
        reader.newer(topic, 0, b"c", range(4, 5), 3),  # a removal
        reader.newer(topic, 0, b"c", range(5, 8), 3),  # the replay of that removal
        reader.newer(topic, 0, b"nobody", range(8), 0),
    )
    assert answers == [None, 5, None, None, 4, 7, None]


async def test_two_partitions_are_read_in_one_look(
    bootstrap: str, ingest: AIOKafkaProducer, make_topic: MakeTopic
) -> None:
    """Claim: of two partitions of very different length each is read to its own end."""
    topic = make_topic(2)
    await fill(ingest, topic, *((b"a", b"x", None) for _ in range(3)))
    deliveries = [await ingest.send(topic, b"x", b"n%d" % n, partition=1) for n in range(3000)]
    await asyncio.gather(*deliveries)
    reader = VersionReader(bootstrap, backoff=LATER)
    assert await asyncio.gather(
        reader.newer(topic, 0, b"a", range(1, 2), 0), reader.newer(topic, 1, b"n2999", range(1, 3000), 0)
    ) == [1, 2999]


async def test_no_answer_is_given_for_messages_that_are_gone(
    bootstrap: str, ingest: AIOKafkaProducer, make_topic: MakeTopic
) -> None:
    """Claim: where retention has taken messages that might be newer, the replay is refused and its neighbour,
    whose messages are all there, is answered.
    """
    topic = make_topic()
    await fill(ingest, topic, *((b"a", b"x", None) for _ in range(6)))
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_records({TopicPartition(topic, 0): 3})
    finally:
        admin.close()
    reader = VersionReader(bootstrap, backoff=LATER)
    gone, there = await asyncio.gather(
        reader.newer(topic, 0, b"a", range(2, 6), 1),
        reader.newer(topic, 0, b"a", range(3, 4), 1),
        return_exceptions=True,
    )
    assert isinstance(gone, Rejected)
    assert (gone.code, "from 2 on" in gone.message) == (DeadLetterCode.INVALID_ITEM, True)
    assert there == 3


async def test_kafka_being_away_is_waited_for(
    bootstrap: str, ingest: AIOKafkaProducer, make_topic: MakeTopic
) -> None:
    """Claim: while no broker answers there is no answer, and each failed look is told; then it comes."""
    topic = make_topic()
    await fill(ingest, topic, (b"a", b"0", None), (b"a", b"1", None), (b"b", b"2", None))
    failed = asyncio.Event()
    async with proxy(bootstrap) as gone:
        address = gone.address
    reader = VersionReader(address, on_retry=failed.set, backoff=LATER)
    waiting = asyncio.create_task(reader.newer(topic, 0, b"a", range(1, 2), 0))
    async with asyncio.timeout(60):
        await failed.wait()
        assert not waiting.done()
        async with proxy(bootstrap, int(address.rsplit(":", 1)[1])):
            assert await waiting == 1
