"""Skipping what is done: the same item under the same releases gets its earlier labels, all else new ones."""

import asyncio
import hashlib
from typing import Any

import pytest

from genrestream.schemas import InlineMedia, Item, Kind, LabelRecord, MediaReference, MissingReason, Modality
from genrestream.schemas.items import Event, Podcast
from genrestream.schemas.labels import MissingModality
from genrestream.workers.earlier import LASTING, content_hash
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.pipeline import Outcome
from tests.unit.workers.doubles import Inference, Known, Published, Releases, live_kind, release
from tests.unit.workers.test_pipeline import event, picture, pipeline, run

FORCED = (("genrestream-force", b"1"),)


def items_that_differ() -> list[Item]:
    """No two of them say the same."""
    return [
        Event(id="e", title="ab", description="c"),
        Event(id="e", title="a", description="bc"),
        Event(id="e", title="abc"),
        Event(id="e", description="abc"),
        Event(id="e", title="abc", description=""),
        Event(id="e", title="abc", poster=MediaReference(url="abc")),
        Event(id="e", title="abc", poster=InlineMedia(data=b"YWJj")),
        Podcast(id="e", title="abc", author="abc"),
        Podcast(id="e", title="abc", author="abd"),
    ]


def test_items_that_say_something_else_have_other_hashes() -> None:
    """Claim: texts, their fields, the author, inline bytes and references all tell in the hash."""
    items = items_that_differ()
    assert len({content_hash(item) for item in items}) == len(items)


def test_id_and_scraper_are_not_in_the_hash() -> None:
    """Claim: the hash is SHA-256 over field, form, eight-byte length and bytes of each part that is there."""
    item = Event(id="e", title="é", source="a scraper", poster=InlineMedia(data=b"AQ=="))
    title = b"title\0t" + (2).to_bytes(8, "big") + "é".encode()
    poster = b"poster\0b" + (1).to_bytes(8, "big") + b"\x01"
    expected = hashlib.sha256(b"genrestream item 1\0" + title + poster).hexdigest()
    assert content_hash(item) == expected
    assert content_hash(item.model_copy(update={"id": "f", "source": None})) == expected


async def second(
    first: dict[str, Any],
    again: dict[str, Any],
    releases: Releases | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
    **changes: Any,
) -> tuple[list[LabelRecord], int]:
    """Label an event, then again with its records known, changed by `changes`; records and heads asked."""
    out, inference = Published(), Inference()
    await run(pipeline(out, inference), event(offset=5, **first))
    known = Known(record.model_copy(update=changes) for record in out.records)
    out.records.clear()
    inference.batch_sizes.clear()
    running = pipeline(out, inference, releases, earlier=known)
    message = event(offset=9, **again)
    object.__setattr__(message, "headers", headers)
    assert await run(running, message) == [Outcome.LABELLED]
    return out.records, len(inference.batch_sizes)


TEXT = {"title": "Night"}


async def test_the_same_item_gets_its_earlier_labels() -> None:
    """Claim: nothing is inferred, and the record has the new offset and position."""
    item = {"title": "Night", "poster": {"data": picture()}}
    (record,), asked = await second(item, item)
    assert asked == 0
    assert record.revision == (9, 7)
    assert record.source is not None
    assert record.source.offset == 9
    assert record.modalities_used == (Modality.TEXT, Modality.IMAGE)
    assert record.labelled_at >= record.arrived_at


@pytest.mark.parametrize(
    ("again", "headers", "changes"),
    [
        ({"title": "Day"}, (), {}),
        ({"title": "Night", "description": "long"}, (), {}),
        (TEXT, FORCED, {}),
        (TEXT, (("genrestream-all-scores", b"1"),), {}),
        (TEXT, (), {"id": "another"}),
        (TEXT, (), {"task": "moods"}),
        (TEXT, (), {"schema_version": 2}),
        *(
            (TEXT, (), {"modalities_missing": (MissingModality(modality=Modality.IMAGE, reason=reason),)})
            for reason in MissingReason
            if reason not in LASTING
        ),
    ],
)
async def test_what_is_not_the_same_is_labelled_anew(
    again: dict[str, Any], headers: tuple[tuple[str, bytes], ...], changes: dict[str, Any]
) -> None:
    """Claim: changed texts, force, lacking scores, foreign records and what may pass ask the models."""
    records, asked = await second(TEXT, again, headers=headers, **changes)
    assert (len(records), asked) == (1, 1)
    assert records[0].revision == (9, 7)


async def test_another_release_or_task_labels_anew() -> None:
    """Claim: a new version, a version that was announced anew (it may be another's of that number) and a task
    that the item has no record of ask the models.
    """
    records, asked = await second(TEXT, TEXT, Releases(live_kind(sequence=8)))
    assert (records[0].revision, asked) == ((9, 8), 1)
    newer = release().model_copy(update={"version": 2})
    records, asked = await second(TEXT, TEXT, Releases(live_kind(newer)))
    assert (records[0].release.version, asked) == (2, 1)
    both = Releases(live_kind(release(), release(task="moods")))
    records, asked = await second(TEXT, TEXT, both)
    assert ([record.task for record in records], asked) == (["genres", "moods"], 2)


async def test_scores_are_given_only_on_request() -> None:
    """Claim: earlier scores answer a message that asks for them, and are left out for one that does not."""
    scores = {"a": 0.1, "b": 0.9, "c": 0.2}
    records, asked = await second(TEXT, TEXT, scores=scores)
    assert (records[0].scores, asked) == (None, 0)
    wanted = (("genrestream-all-scores", b"1"),)
    records, asked = await second(TEXT, TEXT, headers=wanted, scores=scores)
    assert (records[0].scores, asked) == (scores, 0)


async def test_an_item_back_after_its_removal_keeps_its_labels_whatever_is_known() -> None:
    """Claim: removed and published again at once, with the removal not known yet, the item ends labelled
    under its last revision; what was removed is not published again under its own.
    """
    out = Published()
    await run(pipeline(out), event(offset=5, **TEXT))
    running = pipeline(out, earlier=Known(out.records))
    removal = event(offset=6)
    object.__setattr__(removal, "value", None)
    ended = await run(running, removal, event(offset=7, **TEXT))
    assert ended == [Outcome.REMOVED, Outcome.LABELLED]
    assert [revision for *_, revision in out.removed] == [(6, 7)]
    assert [record.revision for record in out.records] == [(5, 7), (7, 7)]


async def test_reused_items_are_counted() -> None:
    """Claim: the metric counts by kind what was answered by an earlier result, and nothing else."""
    out, metrics = Published(), WorkerMetrics("test")
    await run(pipeline(out, metrics=metrics), event(**TEXT))
    assert reused(metrics) == 0
    await asyncio.gather(run(pipeline(out, earlier=Known(out.records), metrics=metrics), event(**TEXT)))
    assert reused(metrics) == 1


def reused(metrics: WorkerMetrics) -> float | None:
    """The metric, of events."""
    return metrics.registry.get_sample_value("genrestream_items_reused_total", {"kind": Kind.EVENT})
