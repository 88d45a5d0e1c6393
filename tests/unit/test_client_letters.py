"""Dead letters as the commands see them: states, choices, what may be replayed, what a terminal is shown."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from genrestream.cli.letter_options import _moment
from genrestream.client import letters as letters_module
from genrestream.client.letters import MAX_KEY_BYTES, Filed, Letters, State, Wanted, file_letter, state_of
from genrestream.client.replay import Refusal, refusal_at_sight, replay_message
from genrestream.client.show_letter import json_line, letter_fields, letter_lines
from genrestream.schemas import DeadLetter, DeadLetterCode, Kind, Place

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRST = ("genrestream-first-offset", b"5")


def letter(**changes: Any) -> DeadLetter:
    made = DeadLetter(
        code=DeadLetterCode.MEDIA_NOT_FOUND,
        message="nothing left",
        topic="catalog.events",
        partition=3,
        offset=17,
        attempts=1,
        at=AT,
        key=b"e1",
        value=b'{"id": "e1"}',
    )
    return replace(made, **changes)


def filed(**changes: Any) -> Filed:
    return file_letter(letter(**changes), (0, 4))


@pytest.mark.parametrize(
    ("newest", "settled", "marked", "state"),
    [
        ((5, 17), None, False, State.OPEN),
        ((5, 17), 4, False, State.OPEN),  # the labels of an older version
        ((5, 17), None, True, State.REPLAYED),
        ((5, 17), 5, True, State.ENDED),
        ((5, 17), 5, False, State.ENDED),  # replayed, and killed before the mark
        ((5, 17), 6, False, State.SUPERSEDED),
        ((5, 20), None, True, State.DEAD_AGAIN),
        ((5, 20), None, False, State.DEAD_AGAIN),
        ((18, 18), None, False, State.SUPERSEDED),
        ((5, 20), 5, True, State.ENDED),  # of two replays one was labelled
        (None, None, False, State.OPEN),
        (None, None, True, State.REPLAYED),
    ],
)
def test_the_state_follows_from_labels_other_letters_and_marks(
    newest: tuple[int, int] | None, settled: int | None, marked: bool, state: State
) -> None:
    """Of a letter at 17 that replayed the version 5: labels first, then later letters, then its mark."""
    assert state_of(filed(headers=(FIRST,)), newest=newest, settled=settled, marked=marked) is state


def test_a_letter_is_filed_without_what_may_be_large() -> None:
    """Value and headers are left out, key and source cut, however large they came in."""
    large = filed(key=b"k" * 10**6, headers=(("ce_source", b"s" * 10**6),), value=b"v" * 10**6)
    assert (len(large.key or b""), len(large.source), large.value_bytes) == (MAX_KEY_BYTES + 1, 200, 10**6)
    assert large.item is None


def test_the_source_is_the_producers_own_name_or_the_topic() -> None:
    """`ce_source` where there is one."""
    assert filed(headers=(("ce_source", b"/scraper"),)).source == "/scraper"
    assert filed(headers=(("ce_source", b""),)).source == filed().source == "catalog.events"


@pytest.mark.parametrize(
    "changes",
    [{"key": None}, {"key": b""}, {"topic": "elsewhere"}, {"code": DeadLetterCode.KEY_MISMATCH}],
)
def test_letters_of_no_known_item_stand_alone(changes: dict[str, Any]) -> None:
    """Without a key that names an item, one letter says nothing about another."""
    index = Letters()
    index.take(filed(**changes), wanted=True)
    assert (index.newest, len(index.found)) == ({}, 1)


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(), True),
        (Wanted(code=DeadLetterCode.MEDIA_NOT_FOUND, kind=Kind.EVENT, source="catalog.events"), True),
        (Wanted(code=DeadLetterCode.NO_CONTENT), False),
        (Wanted(kind=Kind.TRACK), False),
        (Wanted(source="/scraper"), False),
        (Wanted(since=AT, until=AT + timedelta(seconds=1)), True),
        (Wanted(since=AT + timedelta(seconds=1)), False),
        (Wanted(until=AT), False),
        (Wanted(places=frozenset({Place("catalog.events", 3, 17)})), True),
        (Wanted(places=frozenset({Place("catalog.events", 3, 16)})), False),
    ],
)
def test_letters_are_chosen_by_all_that_is_given(wanted: Wanted, is_wanted: bool) -> None:
    """Code, kind, source, place; from a moment on, and before one."""
    assert wanted(filed()) is is_wanted


def test_the_oldest_letters_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the limit are never kept for long, the newest stay, and what was left out is counted."""
    monkeypatch.setattr(letters_module, "MAX_LETTERS", 20)
    index, most = Letters(), 0
    for number in reversed(range(100)):
        index.take(filed(offset=number, at=AT + timedelta(seconds=number)), wanted=True)
        most = max(most, len(index.found))
    index.trim()
    assert most <= 22
    assert sorted(place.offset for place in index.found) == list(range(80, 100))
    assert index.left_out == 80


def test_a_letter_that_a_crash_doubled_counts_once() -> None:
    """The same place twice is one letter."""
    index = Letters()
    for _ in range(2):
        index.take(filed(), wanted=True)
    assert len(index.found) == 1


@pytest.mark.parametrize(
    ("changes", "state", "named", "refusal"),
    [
        ({}, State.OPEN, False, None),
        ({}, State.REPLAYED, True, Refusal.REPLAYED),
        ({}, State.ENDED, True, Refusal.ENDED),
        ({}, State.SUPERSEDED, True, Refusal.SUPERSEDED),
        ({}, State.DEAD_AGAIN, True, Refusal.DEAD_AGAIN),
        ({"code": DeadLetterCode.MALFORMED_JSON}, State.OPEN, False, Refusal.SAME_AGAIN),
        ({"code": DeadLetterCode.MALFORMED_JSON}, State.OPEN, True, None),
        ({"key": None}, State.OPEN, True, Refusal.NO_ITEM),
        ({"key": b"k" * 801}, State.OPEN, True, Refusal.NO_ITEM),
        ({"topic": "elsewhere"}, State.OPEN, True, Refusal.NO_ITEM),
        ({"partition": 12}, State.OPEN, True, Refusal.OTHER_TOPIC),
    ],
)
def test_what_cannot_be_replayed_has_its_reason(
    changes: dict[str, Any], state: State, named: bool, refusal: Refusal | None
) -> None:
    """Only open letters whose bytes may end otherwise, and whose item and partition are known."""
    assert refusal_at_sight(filed(**changes), state, named=named) is refusal


def test_a_replay_is_the_message_as_it_came_with_its_history() -> None:
    """Bytes, key, partition and headers, duplicates included; an earlier replay is forgotten."""
    theirs = (("x", b"\xff"), ("ce_id", b"1"), ("x", b""))
    earlier = (FIRST, ("genrestream-scanned-to", b"9"), ("genrestream-attempts", b"1"))
    message = replay_message(letter(headers=(*theirs, *earlier), attempts=2, value=b"\x00\xff"), 30)
    assert (message.topic, message.partition) == ("catalog.events", 3)
    assert (message.key, message.value) == (b"e1", b"\x00\xff")
    assert message.headers == (
        *theirs,
        ("genrestream-first-offset", b"5"),
        ("genrestream-scanned-to", b"30"),
        ("genrestream-attempts", b"2"),
    )


def test_a_first_offset_that_workers_refuse_is_replaced() -> None:
    """A producer's own nonsense in the header does not make the letter unreplayable."""
    message = replay_message(letter(headers=(("genrestream-first-offset", b"99"),)), 30)
    assert dict(message.headers)["genrestream-first-offset"] == b"17"


ESCAPE = "\x1b]0;gotcha\x07\x9b31m\u202e"


@pytest.mark.parametrize(
    "value",
    [
        json.dumps({"title": ESCAPE}, ensure_ascii=False).replace("\\u001b", "\x1b").encode(),
        json.dumps({ESCAPE: [1, ESCAPE]}, ensure_ascii=False).encode(),
        ESCAPE.encode(),
        ESCAPE.encode("utf-16"),
        b'"\\ud800"',
        b"\x1b[2J\xff\xfe",
        b"[" * 100_000,
        b"9" * 5000,
        b"x" * 10**6,
        json.dumps({"data": "A" * 10**6}).encode(),
        json.dumps(list(range(10**5))).encode(),
        b"",
        None,
    ],
)
def test_nothing_from_outside_controls_the_terminal(value: bytes | None) -> None:
    """Whatever a letter holds, its lines are printable, and bounded in number and length."""
    made = letter(
        value=value, key=ESCAPE.encode(), message=ESCAPE, headers=((ESCAPE, ESCAPE.encode()),) * 500
    )
    index = file_letter(made, (0, 4))
    lines = list(letter_lines(index, made, State.OPEN))
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 350
    assert max(map(len, lines)) <= 1100
    line = json_line(letter_fields(index, made, State.OPEN))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["code"] == "media_not_found"


def test_a_letter_is_shown_with_what_to_do() -> None:
    """Reason, meaning, remedy, headers and the payload's fields."""
    made = letter(headers=(("ce_id", b"id-1"),), value=b'{"id":"e1","title":"Caf\xc3\xa9"}')
    text = "\n".join(letter_lines(file_letter(made, (0, 4)), made, State.OPEN))
    for part in (
        "catalog.events/3@17\n",
        "Replay once they are, or scrape again.",
        "ce_id: id-1",
        '      "title": "Café"\n',
    ):
        assert part in text


def test_what_is_no_json_is_dumped() -> None:
    """Offset, hexadecimal bytes and ASCII, sixteen a line."""
    made = letter(value=b"\x00not json at all \xff")
    lines = list(letter_lines(file_letter(made, (0, 4)), made, State.OPEN))
    assert lines[-2:] == [
        "    00000000  00 6e 6f 74 20 6a 73 6f 6e 20 61 74 20 61 6c 6c  .not json at all",
        f"    00000010  {'20 ff':<48}  .",
    ]


def test_bytes_are_whole_in_json() -> None:
    """UTF-8 as text, anything else as base64; an absent payload as null."""
    made = letter(headers=(("a", b"\xff"), ("b", b"x")), value=b"\xfe")
    fields = letter_fields(file_letter(made, (0, 4)), made, State.OPEN)
    assert fields["headers"] == [{"name": "a", "base64": "/w=="}, {"name": "b", "text": "x"}]
    assert fields["payload"] == {"base64": "/g=="}
    gone = letter(value=None)
    assert letter_fields(file_letter(gone, (0, 4)), gone, State.OPEN)["payload"] is None


@pytest.mark.parametrize(("text", "days"), [("86400s", 1), ("1440m", 1), ("48h", 2), ("7d", 7)])
def test_a_moment_may_be_so_long_ago(text: str, days: int) -> None:
    """Seconds, minutes, hours, days."""
    before = datetime.now(UTC)
    assert before <= _moment(text) + timedelta(days=days) <= datetime.now(UTC)


def test_a_moment_may_be_a_date() -> None:
    """With its zone."""
    assert _moment("2026-03-01T13:00+01:00") == AT


@pytest.mark.parametrize("text", ["", "yesterday", "-1h", "7w", "2026-13-01", "999999d", "0001-01-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """The message shows both forms."""
    with pytest.raises(typer.BadParameter, match="a moment is so long ago"):
        _moment(text)


@pytest.mark.parametrize("text", ["catalog.events/3@17", "a/0@0"])
def test_a_place_reads_as_it_is_written(text: str) -> None:
    """There and back."""
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "a/0", "a@0", "a/-1@0", "a/0@1e3", "a b/0@0", "a/0@" + "9" * 19, "a/0@٣"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(ValueError, match="TOPIC/PARTITION@OFFSET"):
        Place.parse(text)
