"""Every message that an input topic takes can be dead-lettered untouched."""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError

from genrestream.schemas import DeadLetter, DeadLetterCode
from genrestream.schemas.dead_letters import MAX_MESSAGE_CHARS
from genrestream.schemas.topics import DEAD_LETTERS, INPUT_TOPICS
from genrestream.workers.dead_letters import DeadLetterPublisher
from genrestream.workers.producer import KafkaProducer

pytestmark = pytest.mark.stack

PODCASTS = INPUT_TOPICS["podcast"]
ReadAll = Callable[[str], Awaitable[list[ConsumerRecord]]]


def letter(key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> DeadLetter:
    return DeadLetter(
        code=DeadLetterCode.MALFORMED_JSON,
        message="é" * MAX_MESSAGE_CHARS,
        topic="catalog.podcasts",
        partition=3,
        offset=2**40,
        attempts=1,
        at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        key=key,
        value=value,
        headers=headers,
    )


def read(record: ConsumerRecord) -> DeadLetter:
    return DeadLetter.from_message(record.key, record.value, list(record.headers))


@pytest.mark.parametrize(
    ("key", "value"), [(b"dl-1", b"\x00\xff not json"), (b"dl-2", None), (b"dl-3", b""), (None, b"dl-4")]
)
async def test_a_letter_comes_back_as_it_went(
    producer: KafkaProducer, read_all: ReadAll, key: bytes | None, value: bytes | None
) -> None:
    """Bytes, key and headers are untouched, CloudEvents included; the reason is beside them."""
    sent = letter(key, value, (("ce_id", b"theirs"), ("x", b"\xff"), ("x", b"")))
    await DeadLetterPublisher(producer).publish(sent)
    found = [read(record) for record in await read_all(DEAD_LETTERS.name)]
    assert [each for each in found if (each.key, each.value) == (key, value)] == [sent]


async def test_a_message_that_had_nothing_keeps_its_reason(
    producer: KafkaProducer, read_all: ReadAll
) -> None:
    """Neither key nor value: the client needs one of them, so the key becomes empty."""
    await DeadLetterPublisher(producer).publish(letter(None, None))
    found = [read(record) for record in await read_all(DEAD_LETTERS.name)]
    assert [(each.key, each.code) for each in found if each.value is None and not each.key] == [
        (b"", DeadLetterCode.MALFORMED_JSON)
    ]


async def test_the_largest_message_of_an_input_topic_fits(
    bootstrap: str, producer: KafkaProducer, read_all: ReadAll
) -> None:
    """What the broker takes as an item at most, random and with headers, is taken as a dead letter too."""
    size = PODCASTS.max_message_bytes - 1000
    value = os.urandom(size)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=8 * 2**20) as ingest:
        await ingest.send_and_wait(PODCASTS.name, value, key=b"dl-large", headers=[("h", b"x" * 500)])
        with pytest.raises(MessageSizeTooLargeError):
            await ingest.send_and_wait(PODCASTS.name, value + b"x" * 1000, key=b"dl-large")
    await DeadLetterPublisher(producer).publish(letter(b"dl-large", value, (("h", b"x" * 500),)))
    found = [record for record in await read_all(DEAD_LETTERS.name) if record.key == b"dl-large"]
    assert [record.value == value for record in found] == [True]


async def test_a_small_message_cannot_unpack_to_a_large_one(bootstrap: str, read_all: ReadAll) -> None:
    """The broker unpacks items before it looks at their size, and keeps them unpacked for readers."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type="gzip",
        max_request_size=64 * 2**20,
        max_batch_size=64 * 2**20,
    ) as ingest:
        with pytest.raises(MessageSizeTooLargeError):
            await ingest.send_and_wait(PODCASTS.name, b"0" * 32 * 2**20, key=b"dl-bomb")
        sent = await ingest.send_and_wait(PODCASTS.name, b"0" * 100_000, key=b"dl-packed")
    found = [record for record in await read_all(PODCASTS.name) if record.key in {b"dl-bomb", b"dl-packed"}]
    assert [(record.offset, record.value) for record in found] == [(sent.offset, b"0" * 100_000)]


async def test_the_brokers_clock_stamps_items(bootstrap: str, read_all: ReadAll) -> None:
    """A producer's wrong clock does not move an item's arrival."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as ingest:
        await ingest.send_and_wait(PODCASTS.name, b"{}", key=b"dl-clock", timestamp_ms=1)
    [found] = [record for record in await read_all(PODCASTS.name) if record.key == b"dl-clock"]
    assert found.timestamp > datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000
