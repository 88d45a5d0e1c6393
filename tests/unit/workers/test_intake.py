"""Raw messages become items, removals or rejections with the right code."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genrestream.schemas import DeadLetterCode, InlineMedia, Kind, MediaReference, SourcePosition
from genrestream.schemas.items import Podcast, Track
from genrestream.workers.errors import Rejected
from genrestream.workers.intake import Arrived, Incoming, Removal, Replay, is_replay, place_of, take_in

RECEIVED = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
STAMPED_MS = 1_772_366_400_000
"""2026-03-01 12:00:00 UTC."""


def message(value: bytes | dict[str, Any] | None, **changes: Any) -> Incoming:
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    fields: dict[str, Any] = {
        "topic": "catalog.podcasts",
        "partition": 3,
        "offset": 42,
        "key": b"p1",
        "value": raw,
        "timestamp_ms": STAMPED_MS,
        "received_at": RECEIVED,
    }
    return Incoming(**(fields | changes))


def rejection(incoming: Incoming) -> tuple[DeadLetterCode, str]:
    with pytest.raises(Rejected) as caught:
        take_in(incoming)
    return caught.value.code, caught.value.message


def test_an_item_arrives_with_its_position_and_times() -> None:
    """An item keeps its place in Kafka; it arrived when Kafka took it."""
    arrived = take_in(message({"id": "p1", "title": "Words", "cover": "https://x.example/a.jpg"}))
    assert arrived == Arrived(
        item=Podcast(id="p1", title="Words", cover=MediaReference(url="https://x.example/a.jpg")),
        position=SourcePosition(topic="catalog.podcasts", partition=3, offset=42),
        item_offset=42,
        arrived_at=datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC),
        all_scores=False,
    )


def test_an_absent_kind_is_the_topics() -> None:
    """Producers may leave `kind` out; the topic says it."""
    arrived = take_in(message({"id": "p1"}, topic="catalog.tracks"))
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.item, Track)


def test_unknown_fields_are_ignored() -> None:
    """Producers may move first."""
    arrived = take_in(message({"id": "p1", "title": "a", "colour": {"deep": [1]}}))
    assert isinstance(arrived, Arrived)
    assert arrived.item == Podcast(id="p1", title="a")


def test_inline_media_are_decoded() -> None:
    """Base64 in the message becomes bytes."""
    arrived = take_in(message({"id": "p1", "cover": {"data": "aGVsbG8="}}))
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.item, Podcast)
    assert isinstance(arrived.item.cover, InlineMedia)
    assert arrived.item.cover.data == b"hello"


def test_a_null_value_removes() -> None:
    """A tombstone in an input topic is a removal of the key's item."""
    assert take_in(message(None, key="Łódź:1".encode())) == Removal(
        kind=Kind.PODCAST,
        item_id="Łódź:1",
        item_offset=42,
    )


@pytest.mark.parametrize("value", [{"id": "p1"}, None])
def test_what_was_replayed_keeps_its_first_offset(value: dict[str, Any] | None) -> None:
    """The revision of a replayed item or removal is that of its first arrival, its position its own."""
    arrived = take_in(message(value, headers=[("genrestream-first-offset", b"7")]))
    assert arrived.item_offset == 7
    if isinstance(arrived, Arrived):
        assert arrived.position.offset == 42


@pytest.mark.parametrize(
    ("headers", "replay"),
    [
        ([], None),
        ([("genrestream-first-offset", b"7")], Replay(first_offset=7, scan_from=8)),
        (
            [("genrestream-first-offset", b"7"), ("genrestream-scanned-to", b"40")],
            Replay(first_offset=7, scan_from=40),
        ),
        # A scan that ended before the item itself says nothing about what came after it.
        (
            [("genrestream-first-offset", b"7"), ("genrestream-scanned-to", b"0")],
            Replay(first_offset=7, scan_from=8),
        ),
        ([("genrestream-scanned-to", b"40")], None),
    ],
)
@pytest.mark.parametrize("value", [{"id": "p1"}, None])
def test_a_replay_says_where_to_look_for_newer_versions(
    headers: list[tuple[str, bytes]], replay: Replay | None, value: dict[str, Any] | None
) -> None:
    """From where the replay's own scan ended, or from its first offset; only replays are looked at."""
    incoming = message(value, headers=headers)
    assert take_in(incoming).replay == replay
    assert is_replay(incoming) is (replay is not None)


@pytest.mark.parametrize("value", [b"43", b"x", b""])
def test_a_scan_of_the_future_is_refused(value: bytes) -> None:
    """A scan that claims to have seen what came after the replay would hide a newer version."""
    headers = [("genrestream-first-offset", b"7"), ("genrestream-scanned-to", value)]
    code, text = rejection(message({"id": "p1"}, headers=headers))
    assert code is DeadLetterCode.INVALID_ITEM
    assert text.startswith("genrestream-scanned-to: ")


def test_a_replay_that_would_cost_a_long_look_is_refused() -> None:
    """A header that anyone can set makes no worker read more than a million messages."""
    headers = [("genrestream-first-offset", b"9")]
    assert take_in(message({"id": "p1"}, headers=headers, offset=1_000_010)).replay == Replay(9, 10)
    code, text = rejection(message({"id": "p1"}, headers=headers, offset=1_000_011))
    assert code is DeadLetterCode.INVALID_ITEM
    assert text.startswith("genrestream-first-offset: 1000001 messages since are more than a worker looks at")


@pytest.mark.parametrize("value", [b"43", b"-1", b"", b"7.5", b" 7", b"9" * 400, "٣".encode()])
def test_a_first_offset_from_the_future_is_refused(value: bytes) -> None:
    """One item with a huge first offset would beat all its later versions for ever."""
    code, text = rejection(message({"id": "p1"}, headers=[("genrestream-first-offset", value)]))
    assert code is DeadLetterCode.INVALID_ITEM
    assert text.startswith("genrestream-first-offset: ")
    assert len(text) < 200


@pytest.mark.parametrize(("value", "wanted"), [(b"1", True), (b"", True), (b"0", False)])
def test_all_scores_are_given_on_request(value: bytes, wanted: bool) -> None:
    """Any value but 0 asks for every label's confidence."""
    arrived = take_in(message({"id": "p1"}, headers=[("genrestream-all-scores", value)]))
    assert isinstance(arrived, Arrived)
    assert arrived.all_scores is wanted


def test_logs_name_the_cloud_event() -> None:
    """The producer's name of the event is in logs, escaped and cut; its clock is not believed."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"scrape-9"), ("ce_time", b"1999-01-01T00:00:00Z")]
    assert place_of(message({"id": "p1"}, headers=headers)) == "catalog.podcasts/3@42 (ce_id 'scrape-9')"
    assert place_of(message({"id": "p1"})) == "catalog.podcasts/3@42"
    hostile = place_of(message({"id": "p1"}, headers=[("ce_id", b"a\nb" + b"c" * 500)]))
    assert hostile == f"catalog.podcasts/3@42 (ce_id 'a\\nb{'c' * 57}...')"
    arrived = take_in(message({"id": "p1"}, headers=headers))
    assert isinstance(arrived, Arrived)
    assert arrived.arrived_at.year == 2026


def test_an_envelope_is_refused_by_name() -> None:
    """An item inside a structured CloudEvent is not taken for an item without fields."""
    headers = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    code, text = rejection(message({"id": "p1"}, headers=headers))
    assert code is DeadLetterCode.INVALID_ITEM
    assert "structured mode" in text


@pytest.mark.parametrize("timestamp_ms", [-1, STAMPED_MS + 60_000, 10**18])
def test_an_impossible_time_stamp_is_replaced_by_the_reading(timestamp_ms: int) -> None:
    """No arrival is later than its reading, whatever clock the producer has."""
    arrived = take_in(message({"id": "p1"}, timestamp_ms=timestamp_ms))
    assert arrived.arrived_at == RECEIVED


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"[]",
        b"7",
        b"null",
        b'{"id":"p1"} {}',
        b'{"id":"p1","title":"\xff"}',
        b'{"id":"p1","title":"\\ud800"}',
        b'\xef\xbb\xbf{"id":"p1"}',
        b'{"id":"p1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":"p1","x":' + b"9" * 100_000 + b"}",
        b'{"id":"p1","x":"' + b"a" * 100_000,
    ],
)
def test_what_is_not_one_json_object_is_malformed(value: bytes) -> None:
    """Broken JSON, deep nesting and huge numbers end the same, with a short message."""
    code, text = rejection(message(value))
    assert code is DeadLetterCode.MALFORMED_JSON
    assert text
    assert len(text) < 200


@pytest.mark.parametrize(
    ("item", "code", "text"),
    [
        (
            {"id": "p1", "schema_version": 2, "kind": "festival", "title": 7},
            DeadLetterCode.UNSUPPORTED_SCHEMA_VERSION,
            "schema_version: newer than 1, the newest that this worker knows",
        ),
        (
            {"id": "p1", "schema_version": 10**300},
            DeadLetterCode.UNSUPPORTED_SCHEMA_VERSION,
            "schema_version: newer than 1, the newest that this worker knows",
        ),
        (
            {"id": "p1", "schema_version": 0},
            DeadLetterCode.INVALID_ITEM,
            "schema_version: Input should be greater than or equal to 1",
        ),
        (
            {"id": "p1", "kind": "festival", "title": 7},
            DeadLetterCode.UNKNOWN_KIND,
            "kind: 'festival' is none of event, podcast, track",
        ),
        (
            {"id": "p1", "kind": {"a": 1}},
            DeadLetterCode.UNKNOWN_KIND,
            "kind: a dict is none of event, podcast, track",
        ),
        (
            {"id": "p1", "kind": "x" * 100_000},
            DeadLetterCode.UNKNOWN_KIND,
            f"kind: '{'x' * 60}...' is none of event, podcast, track",
        ),
        (
            {"id": "p1", "kind": "track"},
            DeadLetterCode.WRONG_TOPIC,
            "kind: this topic takes podcast, not track",
        ),
        ({"title": "a"}, DeadLetterCode.INVALID_ITEM, "id: Field required"),
        (
            {"id": "p1", "title": 7, "author": [], "cover": {"data": 5}, "description": {}},
            DeadLetterCode.INVALID_ITEM,
            (
                "title: Input should be a valid string; author: Input should be a valid string; "
                "description: Input should be a valid string; and 1 more"
            ),
        ),
        (
            {"id": "p1", "cover": {"data": "A" * 1_500_000}},
            DeadLetterCode.INVALID_ITEM,
            "cover.inline.data: Data should have at most 1398104 bytes",
        ),
        ({"id": "p2"}, DeadLetterCode.KEY_MISMATCH, "the key is 'p1', the id 'p2'"),
    ],
)
def test_an_item_that_breaks_the_schema_is_told_by_field(
    item: dict[str, Any], code: DeadLetterCode, text: str
) -> None:
    """One readable line names the field; of several faults the most telling one gives the code."""
    assert rejection(message(item)) == (code, text)


def test_a_missing_key_is_a_mismatch() -> None:
    """Without a key an item's versions would not stay in order."""
    assert rejection(message({"id": "p1"}, key=None)) == (
        DeadLetterCode.KEY_MISMATCH,
        "the key is absent, the id 'p1'",
    )


@pytest.mark.parametrize("key", [None, b"", b"a\nb", b"\xff\xfe", b"k" * 201])
def test_a_removal_needs_an_item_id_as_key(key: bytes | None) -> None:
    """A null value under a key that no item can have removes nothing and is not dropped silently."""
    code, text = rejection(message(None, key=key))
    assert code is DeadLetterCode.KEY_MISMATCH
    assert "\n" not in text
    assert len(text) < 200


def test_an_oversized_value_is_refused_before_it_is_read() -> None:
    """The limit comes first: what is too large is not even parsed, so broken JSON is not reported."""
    incoming = message(b"[" * 2_097_153)
    assert rejection(incoming) == (
        DeadLetterCode.OVERSIZED_MESSAGE,
        "the value has 2097153 bytes, at most 2097152 are taken",
    )


def test_a_strange_topic_is_refused() -> None:
    """A worker wired to a topic that is none of items' does not guess a kind."""
    assert rejection(message({"id": "p1"}, topic="catalog.labels"))[0] is DeadLetterCode.WRONG_TOPIC


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ["id", "schema_version", "kind", "title", "source", "author", "description", "cover", "poster"]


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text loads Unicode's tables
@given(
    st.binary(max_size=200) | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    st.binary(max_size=20),
)
@example(b'{"id":"p1","schema_version":1e999}', b"p1")
@example(b'{"id":"p1","cover":{"data":"\xc3\xa9"}}', b"p1")
def test_any_message_ends_in_an_answer(value: bytes | dict[str, Any], key: bytes) -> None:
    """Whatever comes in, the answer is an item, a removal or a rejection with a short line."""
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    text = ""
    try:
        take_in(message(raw, key=key))
    except Rejected as rejected:
        text = rejected.message or "empty\n"
    assert len(text) <= 500
    assert "\n" not in text
