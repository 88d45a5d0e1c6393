"""Messages of the label and dead-letter topics as what they mean."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from genrestream.client.labels import Labelled, Removed, Unreadable, read_dead_letter, read_label
from genrestream.schemas import DeadLetter, DeadLetterCode, Kind
from tests.unit.test_client_show import AT, record


def message(key: bytes | None, value: bytes | None, headers: Any = (), at: datetime = AT) -> ConsumerRecord:
    stamp_ms = int(at.timestamp() * 1000)
    return ConsumerRecord("catalog.labels", 3, 9, stamp_ms, 0, key, value, None, 0, 0, tuple(headers))


def test_a_record_has_the_latency_of_its_publication() -> None:
    """From the item's arrival to Kafka's time stamp on the record: 250 ms."""
    made = record()
    at = AT + timedelta(milliseconds=250)
    found = read_label(message(b"event:e1:genres", made.model_dump_json().encode(), at=at))
    assert found == Labelled(made, at)
    assert isinstance(found, Labelled)
    assert found.latency_s == 0.25


def test_clocks_that_disagree_give_no_negative_latency() -> None:
    """A record stamped before its item's arrival has a latency of 0."""
    early = AT - timedelta(seconds=1)
    found = read_label(message(b"event:e1:genres", record().model_dump_json().encode(), at=early))
    assert isinstance(found, Labelled)
    assert found.latency_s == 0.0


def test_a_tombstone_names_the_item_even_with_colons_in_its_id() -> None:
    """kind and task are the first and the last part of the key."""
    assert read_label(message(b"track:a:b:c:genres", None)) == Removed(Kind.TRACK, "a:b:c", "genres")


def test_what_cannot_be_read_is_told_not_raised() -> None:
    """Junk, a foreign key, and a dead letter without headers are `Unreadable`, with their place."""
    found = [
        read_label(message(b"event:e1:genres", b"junk")),
        read_label(message(b"nonsense", None)),
        read_label(message(None, None)),
        read_dead_letter(message(b"k", b"v")),
    ]
    assert all(isinstance(each, Unreadable) and each.offset == 9 and each.partition == 3 for each in found)
    assert isinstance(found[3], Unreadable)
    assert found[3].reason == "no header dead-letter-code"


def test_a_dead_letter_comes_back_as_it_was_written() -> None:
    """Headers, key and value give the same dead letter."""
    letter = DeadLetter(
        DeadLetterCode.NO_CONTENT, "nothing", "catalog.tracks", 2, 5, 1, datetime.now(UTC), b"k", b"{}"
    )
    assert read_dead_letter(message(b"k", b"{}", letter.to_headers())) == letter


LETTER = DeadLetter(
    DeadLetterCode.NO_CONTENT, "nothing", "catalog.tracks", 2, 5, 1, datetime.now(UTC), b"k", b"{}"
)


@pytest.mark.parametrize("foreign", [("dead-letter-trace", b"\xff"), ("dead-letter-code", b"\xff")])
def test_headers_that_an_item_came_with_spoil_no_dead_letter(foreign: tuple[str, bytes]) -> None:
    """Those of a foreign name are not read, and of one name the last counts: that of the worker."""
    carried = dataclasses.replace(LETTER, headers=(foreign,))
    assert read_dead_letter(message(b"k", b"{}", carried.to_headers())) == LETTER


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (("dead-letter-code", None), "no header dead-letter-code"),
        (("dead-letter-message", b"\xff"), "'utf-8' codec can't decode byte 0xff"),
        (("dead-letter-offset", b"x"), "invalid literal for int"),
    ],
)
def test_a_dead_letter_without_a_valid_description_is_unreadable(
    last: tuple[str, bytes | None], reason: str
) -> None:
    """Also where a header is there without a value."""
    found = read_dead_letter(message(b"k", b"{}", [*LETTER.to_headers(), last]))  # type: ignore[list-item]
    assert isinstance(found, Unreadable)
    assert found.reason.startswith(reason)
