"""A replayed item's way through the worker."""

import dataclasses

import pytest

from genrestream.schemas import (
    DeadLetterCode,
)
from genrestream.workers.errors import (
    Rejected,
)
from genrestream.workers.intake import Incoming
from genrestream.workers.pipeline import Outcome
from tests.unit.workers.doubles import (
    Published,
    Versions,
)
from tests.unit.workers.test_pipeline import event, pipeline, run


def replayed(message: Incoming, **headers: bytes) -> Incoming:
    """The message with the headers `genrestream-*` of a replay."""
    named = [(f"genrestream-{name.replace('_', '-')}", value) for name, value in headers.items()]
    return dataclasses.replace(message, headers=named)


async def test_a_replay_with_a_newer_version_ends_as_superseded() -> None:
    """Claim: no label, removal or dead letter comes of it; asked was what lies between scan and replay."""
    out, versions = Published(), Versions(newer=7)
    running = pipeline(out, versions=versions)
    item = replayed(event(offset=9, title="Night"), first_offset=b"3", scanned_to=b"5")
    removal = replayed(Incoming("catalog.events", 3, 10, b"e2", None), first_offset=b"4")
    assert await run(running, item, removal) == [Outcome.SUPERSEDED] * 2
    assert (out.records, out.removed, out.letters) == ([], [], [])
    assert versions.asked == [
        ("catalog.events", 3, b"e1", range(5, 9), 3),
        ("catalog.events", 3, b"e2", range(5, 10), 4),
    ]
    count = running._metrics.registry.get_sample_value
    assert count("genrestream_items_total", {"kind": "event", "outcome": "superseded"}) == 2


async def test_a_replay_without_a_newer_version_is_labelled_by_its_first_offset() -> None:
    """Claim: the replay's record carries its first offset; what is no replay asks for no versions."""
    out, versions = Published(), Versions()
    await run(
        pipeline(out, versions=versions),
        replayed(event("e1", 9, title="Night"), first_offset=b"3"),
        event("e2", 10, title="Day"),
    )
    assert {record.id: record.revision for record in out.records} == {"e1": (3, 7), "e2": (10, 7)}
    assert [key for _, _, key, _, _ in versions.asked] == [b"e1"]


async def test_a_replay_whose_past_is_gone_is_a_dead_letter() -> None:
    """Claim: where nobody can tell whether a newer version came, nothing is labelled."""
    out = Published()
    gone = Rejected(DeadLetterCode.INVALID_ITEM, "gone from Kafka")
    running = pipeline(out, versions=Versions(newer=gone))
    message = replayed(event(offset=9, title="Night"), first_offset=b"3")
    assert await run(running, message) == [Outcome.DEAD_LETTERED]
    assert [(letter.code, letter.message) for letter in out.letters] == [(gone.code, gone.message)]
    assert out.records == []


@pytest.mark.parametrize(
    ("header", "attempts"), [(b"1", 2), (b"41", 42), (b"", 1), (b"-3", 1), (b"9" * 7, 1), ("٣".encode(), 1)]
)
async def test_a_replay_that_fails_again_counts_its_attempts(header: bytes, attempts: int) -> None:
    """Claim: the attempts so far are carried on; what is no count of at most six digits is none."""
    out = Published()
    await run(pipeline(out), replayed(event(offset=9), first_offset=b"3", attempts=header))
    (letter,) = out.letters
    assert (letter.attempts, letter.first_offset) == (attempts, 3)
