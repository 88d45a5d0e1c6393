"""The demo's books: what counts as labelled, dead-lettered and lost."""

from datetime import timedelta

import pytest

from genrestream.client.labels import Labelled, Removed
from genrestream.demo.journal import Expected, Journal, percentile
from genrestream.demo.summary import to_json
from genrestream.schemas import DeadLetter, DeadLetterCode, Kind
from tests.unit.test_client_show import AT, record

TASKS = {Kind.EVENT: frozenset({"genres"}), Kind.TRACK: frozenset({"genres", "moods"})}


def labelled(kind: Kind, item_id: str, task: str = "genres", latency_s: float = 0.1) -> Labelled:
    return Labelled(record(kind=kind, id=item_id, task=task), AT + timedelta(seconds=latency_s))


def letter(topic: str, key: bytes) -> DeadLetter:
    return DeadLetter(DeadLetterCode.MALFORMED_JSON, "m", topic, 0, 0, 1, AT, key, b"")


def test_every_item_is_labelled_dead_lettered_or_lost() -> None:
    """Three events, one labelled, one a dead letter, one silent: the figures add up to the published."""
    journal = Journal(TASKS)
    for item_id in ("a", "b", "c"):
        journal.publish(Expected(Kind.EVENT, item_id, item_id))
    journal.take(labelled(Kind.EVENT, "a"))
    journal.take(letter("catalog.events", b"b"))
    assert (journal.published, journal.labelled, journal.dead_lettered) == (3, 1, 1)
    assert [item.item_id for item in journal.outstanding()] == ["c"]
    assert to_json(journal) == (
        '{"published": 3, "labelled": 1, "dead_lettered": 1, "lost": 1, "p50_s": 0.1, "p99_s": 0.1, '
        '"top1": {"event": null, "podcast": null, "track": null}}'
    )


def test_an_item_needs_a_record_for_every_live_task() -> None:
    """A track with one of its two tasks is outstanding."""
    journal = Journal(TASKS)
    journal.publish(Expected(Kind.TRACK, "t", "t"))
    journal.take(labelled(Kind.TRACK, "t", "genres"))
    assert journal.labelled == 0
    journal.take(labelled(Kind.TRACK, "t", "moods"))
    assert (journal.labelled, journal.outstanding()) == (1, [])


def test_duplicates_count_once() -> None:
    """At-least-once delivery gives a record twice: one item, one latency, that of the first."""
    journal = Journal(TASKS)
    journal.publish(Expected(Kind.EVENT, "a", "a"))
    journal.take(labelled(Kind.EVENT, "a", latency_s=0.1))
    journal.take(labelled(Kind.EVENT, "a", latency_s=9.0))
    assert journal.labelled == 1
    assert journal.latencies_s == [0.1]


def test_a_removed_item_stays_labelled() -> None:
    """A removal is no loss: the item had its labels; only its tombstone makes it removed."""
    journal = Journal(TASKS)
    item = Expected(Kind.EVENT, "a", "a")
    journal.publish(item)
    journal.take(labelled(Kind.EVENT, "a"))
    assert not journal.is_removed(item)
    journal.take(Removed(Kind.EVENT, "a", "genres"))
    assert journal.is_removed(item)
    assert (journal.labelled, journal.outstanding()) == (1, [])


def test_the_same_id_in_two_kinds_are_two_items() -> None:
    """A dead letter is booked for the kind of the topic that it came from."""
    journal = Journal(TASKS)
    journal.publish(Expected(Kind.EVENT, "x", "x"))
    journal.publish(Expected(Kind.TRACK, "x", "x"))
    journal.take(letter("catalog.tracks", b"x"))
    assert [item.kind for item in journal.outstanding()] == [Kind.EVENT]


def test_others_items_are_not_booked() -> None:
    """What the demo did not publish changes nothing."""
    journal = Journal(TASKS)
    assert journal.take(labelled(Kind.EVENT, "foreign")) is None
    assert journal.take(letter("catalog.events", b"\xff")) is None
    assert (journal.published, journal.labelled, journal.dead_lettered) == (0, 0, 0)


def test_accuracy_counts_judged_items_of_the_judged_task() -> None:
    """One of two events has the best label, Techno, among its true ones: 0.5; moods are not judged."""
    journal = Journal(TASKS)
    journal.publish(Expected(Kind.EVENT, "a", "a", "genres", frozenset({"House", "Techno"})))
    journal.publish(Expected(Kind.EVENT, "b", "b", "genres", frozenset({"Jazz"})))
    journal.publish(Expected(Kind.EVENT, "c", "c"))
    journal.publish(Expected(Kind.TRACK, "t", "t", "genres", frozenset({"Techno"})))
    for item_id in ("a", "b", "c"):
        journal.take(labelled(Kind.EVENT, item_id))
    journal.take(labelled(Kind.TRACK, "t", "moods"))
    assert (journal.top1(Kind.EVENT), journal.judged(Kind.EVENT)) == (0.5, 2)
    assert journal.top1(Kind.TRACK) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3.0], 0.99, 3.0), ([4.0, 1.0, 2.0, 3.0], 0.5, 2.0), (list(range(1, 101)), 0.99, 99)],
)
def test_percentiles_are_values_that_occurred(
    values: list[float], share: float, expected: float | None
) -> None:
    """Nearest rank: half of 1, 2, 3, 4 do not exceed 2; 99 of 1..100 do not exceed 99."""
    assert percentile(values, share) == expected
