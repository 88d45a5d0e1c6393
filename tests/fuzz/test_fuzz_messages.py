"""Any message through the intake: an item, a removal or a rejection, and no other end."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.effort import examples
from tests.fuzz.mutations import damaged
from tests.fuzz.targets import check_message

ITEM = {
    "schema_version": 1, "kind": "track", "id": "t1", "title": "Ünïcode \U0001f3b5", "source": "scraper",
    "artist": "A", "album": None, "lyrics": "la\nla", "audio": {"url": "https://x.example/a.mp3"},
    "cover": {"data": "aGVsbG8="}, "extra": {"deep": [1, 2.5, True, None]},
}  # fmt: skip
VALID = [
    json.dumps(ITEM).encode(),
    json.dumps(ITEM, ensure_ascii=False, indent=1).encode(),
    b'{"id":"t1"}',
    b'{"id":"t1","cover":"https://x.example/c.jpg"}',
]
PIECES = [
    b"\xef\xbb\xbf", b"\0", b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"\xed\xa0\x80", b"\xff",
    b"1e999", b"-0", b"NaN", b"Infinity", b"9" * 5_000, b"0." + b"1" * 5_000, b"[" * 300, b'{"a":' * 300,
    b'"id":"t2",', b'"id":7,', b'"kind":"event",', b'"schema_version":2,', b'"schema_version":1e0,',
    b'"cover":{"data":"=","url":"x"},', b"//", b"'", b"\r", b"\t",
]  # fmt: skip
KEY = st.none() | st.binary(max_size=210)


@pytest.mark.parametrize("value", VALID)
def test_each_sample_arrives(value: bytes) -> None:
    """What is damaged below is an item when it is whole."""
    assert check_message(value) == "arrived"


@examples(400)
@given(st.binary(max_size=300) | st.none(), KEY)
def test_any_bytes(value: bytes | None, key: bytes | None) -> None:
    """Values and keys of any bytes."""
    check_message(value, key=key)


@examples(600)
@given(damaged([*VALID, *PIECES]))
def test_damaged_items(value: bytes) -> None:
    """Items with bytes flipped, cut out, repeated, and pieces put in that parsers fear."""
    check_message(value)


@examples(400)
@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 400), st.sampled_from(PIECES)), max_size=4))
def test_feared_pieces_anywhere(value: bytes, pieces: list[tuple[int, bytes]]) -> None:
    """Byte order marks, NULs, half pairs, huge numbers, depth, fields given twice."""
    for at, piece in pieces:
        value = value[:at] + piece + value[at:]
    check_message(value)


FIELDS = st.sampled_from([*ITEM, "author", "description", "poster"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@examples(400)
@given(st.dictionaries(FIELDS, VALUE, max_size=8))
@example({"id": "t1", "cover": {"data": "A"}})
@example({"id": "\ud800"})
def test_any_value_in_any_field(item: dict[str, Any]) -> None:
    """JSON of the right form with the wrong values."""
    check_message(json.dumps({**ITEM, **item}).encode())


@examples(300)
@given(
    st.sampled_from([b'{"id":"t1"}', None]),
    st.lists(
        st.tuples(
            st.text(st.characters(), max_size=10)
            | st.sampled_from(
                ["genrestream-first-offset", "genrestream-all-scores", "ce_id", "content-type"]
            ),
            st.binary(max_size=50)
            | st.sampled_from([b"41", b"99999999999999999999", b"application/cloudevents"]),
        ),
        max_size=5,
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**63 - 1),
)
def test_any_headers_and_time_stamps(
    value: bytes | None, headers: list[tuple[str, bytes]], timestamp_ms: int, offset: int
) -> None:
    """Headers that others made up, time stamps of any age, offsets up to Kafka's last."""
    check_message(value, headers=headers, timestamp_ms=timestamp_ms, offset=offset)
