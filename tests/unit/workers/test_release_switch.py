"""Announced releases take over when they can; until then what runs stays, and nothing runs half."""

from typing import Any

from genrestream.schemas import FeatureSpec, HashedTextFeatures, Kind
from genrestream.workers.live import LiveKind, LiveRelease
from genrestream.workers.release_switch import Switch, switch
from tests.unit.workers.doubles import Encoders, release

NOT_READY = "Triton does not serve it"


def live(task: str, sequence: int, **features: Any) -> LiveRelease:
    made = release(Kind.EVENT, task)
    if features:
        spec = FeatureSpec(**(made.features.model_dump() | features))
        made = made.model_copy(update={"features": spec, "feature_hash": spec.spec_hash})
    return LiveRelease(made, sequence)


def after(
    current: LiveKind | None, *announced: LiveRelease, unusable: dict[str, str] | None = None
) -> Switch:
    by_task = {one.release.task: one for one in announced}
    return switch(Kind.EVENT, current, by_task, unusable or {}, Encoders())


def running(switched: Switch | LiveKind | None) -> dict[str, int]:
    found = switched.live if isinstance(switched, Switch) else switched
    return {one.release.task: one.sequence for one in found.releases} if found else {}


def test_a_kind_begins_with_all_of_its_tasks() -> None:
    """An item labelled before the second task can run would never get that task's labels."""
    genres, tags = live("genres", 1), live("tags", 2)
    waiting = after(None, genres, tags, unusable={"tags": NOT_READY})
    assert (waiting.live, waiting.pending) == (None, {"tags": NOT_READY})
    begun = after(None, genres, tags)
    assert (running(begun), begun.pending) == ({"genres": 1, "tags": 2}, {})


def test_what_runs_stays_until_the_next_can_take_over() -> None:
    """A release that Triton does not serve yet changes nothing; once it does, it alone takes over."""
    current = after(None, live("genres", 1), live("tags", 2)).live
    waiting = after(current, live("genres", 3), live("tags", 2), unusable={"genres": NOT_READY})
    assert waiting.live is current
    assert waiting.pending == {"genres": NOT_READY}
    assert running(after(current, live("genres", 3), live("tags", 2))) == {"genres": 3, "tags": 2}


def test_one_task_does_not_wait_for_another() -> None:
    """Of two new releases the usable one goes live though the other is pending."""
    current = after(None, live("genres", 1), live("tags", 2)).live
    switched = after(current, live("genres", 3), live("tags", 4), unusable={"tags": NOT_READY})
    assert (running(switched), switched.pending) == ({"genres": 3, "tags": 2}, {"tags": NOT_READY})


def test_a_new_task_joins_when_it_can() -> None:
    """A kind that labels already goes on with its old tasks while the new one is pending."""
    current = after(None, live("genres", 1)).live
    waiting = after(current, live("genres", 1), live("tags", 2), unusable={"tags": NOT_READY})
    assert waiting.live is current
    assert running(after(current, live("genres", 1), live("tags", 2))) == {"genres": 1, "tags": 2}


def test_the_same_version_announced_again_is_a_newer_one() -> None:
    """Rolling back and forth raises the sequence, which the revisions of labels need."""
    current = after(None, live("genres", 1)).live
    assert running(after(current, live("genres", 5))) == {"genres": 5}


def test_nothing_new_keeps_the_very_snapshot() -> None:
    """Batches are grouped by the snapshot, so it does not change without need."""
    current = after(None, live("genres", 1)).live
    assert after(current, live("genres", 1)).live is current


def test_retired_tasks_go_and_the_last_one_ends_the_kind() -> None:
    """A task that is no longer announced stops; without tasks nothing is live."""
    current = after(None, live("genres", 1), live("tags", 2)).live
    left = after(current, live("tags", 2))
    assert running(left) == {"tags": 2}
    assert after(left.live) == Switch(None, {})


def test_releases_that_contradict_each_other_wait_for_their_fellows() -> None:
    """Texts are cut once a kind: a release with another length waits until the other task's has it too."""
    current = after(None, live("genres", 1), live("tags", 2)).live
    shorter = after(current, live("genres", 3, max_text_chars=500), live("tags", 2))
    reason = "the releases of event cut texts at different lengths: [500, 20000]"
    assert shorter.live is not None
    assert (running(shorter), shorter.pending) == ({"genres": 1, "tags": 2}, {"genres": reason})
    both = after(current, live("genres", 3, max_text_chars=500), live("tags", 4, max_text_chars=500))
    assert (running(both), both.pending) == ({"genres": 3, "tags": 4}, {})


def test_one_contradiction_does_not_hold_up_the_rest() -> None:
    """Of two new releases that cannot run together, the one that fits what runs goes live."""
    current = after(None, live("genres", 1), live("tags", 2)).live
    hashed = HashedTextFeatures(word_buckets=128)
    switched = after(current, live("genres", 3, max_text_chars=500), live("tags", 4, hashed_text=hashed))
    assert running(switched) == {"genres": 1, "tags": 4}
    assert set(switched.pending) == {"genres"}
