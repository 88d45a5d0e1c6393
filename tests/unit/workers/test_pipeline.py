"""An item's way: each message ends in exactly one of its labels, its removal, or a dead letter."""

import asyncio
import base64
import dataclasses
import io
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genrestream.schemas import (
    DeadLetter,
    DeadLetterCode,
    Kind,
    LabelRecord,
    MissingReason,
    Modality,
    Revision,
)
from genrestream.workers.breaker import BreakerLimits
from genrestream.workers.budget import MediaRoom
from genrestream.workers.errors import (
    InferenceRejected,
    InferenceUnavailable,
)
from genrestream.workers.intake import Incoming
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.ordering import KeyOrder, Turn
from genrestream.workers.pipeline import Adapters, BatchLimits, Outcome, Pipeline
from genrestream.workers.protocols import Array, Earlier, EmbeddingStore, NothingEarlier, NothingKept
from genrestream.workers.retries import Backoff
from tests.unit.workers.doubles import (
    THEN,
    Features,
    Inference,
    Media,
    Published,
    Releases,
    Versions,
    live_kind,
    release,
)


def picture(colour: str = "blue") -> str:
    """A small PNG in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def event(item_id: str = "e1", offset: int = 5, **fields: Any) -> Incoming:
    """A message of the event topic."""
    value = json.dumps({"id": item_id, **fields}).encode()
    return Incoming("catalog.events", 3, offset, item_id.encode(), value)


def pipeline(
    out: Published,
    inference: Inference | None = None,
    releases: Releases | None = None,
    max_items: int = 8,
    versions: Versions | None = None,
    max_batches: int = 2,
    earlier: Earlier | None = None,
    embeddings: EmbeddingStore | None = None,
    metrics: WorkerMetrics | None = None,
    media: Media | None = None,
    features: Features | None = None,
    media_room: MediaRoom | None = None,
) -> Pipeline:
    """The pipeline over adapters in memory."""
    adapters = Adapters(
        media=media or Media(),
        features=features or Features(),
        inference=inference or Inference(),
        labels=out,
        dead_letters=out,
        releases=releases or Releases(live_kind()),
        versions=versions or Versions(),
        earlier=earlier or NothingEarlier(),
        embeddings=embeddings or NothingKept(),
    )
    limits = {kind: BatchLimits(max_items, 0.001, max_batches) for kind in Kind}
    return Pipeline(
        adapters, metrics or WorkerMetrics("test"), limits, Backoff(0.001, 0.002), media_room=media_room
    )


async def run(running: Pipeline, *messages: Incoming) -> list[Outcome]:
    """Process the messages as they would arrive, all in flight together."""
    order = KeyOrder()
    turns = [order.enter(message.key) for message in messages]

    async def process(message: Incoming, turn: Turn) -> Outcome:
        try:
            return await running.process(message, turn)
        finally:
            turn.leave()

    async with asyncio.timeout(20):
        return await asyncio.gather(*map(process, messages, turns))


async def test_an_item_becomes_a_record_with_its_provenance() -> None:
    """Claim: text and picture give one record that names release, modalities, source and revision."""
    out = Published()
    assert await run(pipeline(out), event(title="Night", poster={"data": picture()})) == [Outcome.LABELLED]
    (record,) = out.records
    assert [label.label for label in record.labels] == ["b"]
    assert record.modalities_used == (Modality.TEXT, Modality.IMAGE)
    assert record.modalities_missing == ()
    assert record.revision == Revision(5, 7)
    assert record.source is not None
    assert (record.source.topic, record.source.partition, record.source.offset) == ("catalog.events", 3, 5)
    assert (record.release.model, record.release.version) == ("event-genres", 1)


async def test_a_broken_medium_is_named_and_the_rest_is_labelled() -> None:
    """Claim: with a poster that is not there the text alone is labelled, and the record says why."""
    out = Published()
    assert await run(pipeline(out), event(title="Night", poster="http://gone")) == [Outcome.LABELLED]
    (record,) = out.records
    assert record.modalities_used == (Modality.TEXT,)
    (missing,) = record.modalities_missing
    assert (missing.modality, missing.reason) == (Modality.IMAGE, MissingReason.NOT_FOUND)
    assert missing.detail == "HTTP 404"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, DeadLetterCode.NO_CONTENT),
        ({"title": "  "}, DeadLetterCode.NO_CONTENT),
        ({"poster": "http://gone"}, DeadLetterCode.MEDIA_NOT_FOUND),
        ({"poster": {"data": base64.b64encode(b"no picture").decode()}}, DeadLetterCode.MEDIA_UNREADABLE),
        ({"kind": "opera", "title": "x"}, DeadLetterCode.UNKNOWN_KIND),
        ({"kind": "track", "title": "x"}, DeadLetterCode.WRONG_TOPIC),
        ({"title": 5}, DeadLetterCode.INVALID_ITEM),
    ],
)
async def test_what_cannot_be_labelled_is_a_dead_letter_with_its_code(
    fields: dict[str, Any], code: DeadLetterCode
) -> None:
    """Claim: the untouched bytes, key and position go to the dead letters under the code."""
    out = Published()
    message = event(**fields)
    assert await run(pipeline(out), message) == [Outcome.DEAD_LETTERED]
    (letter,) = out.letters
    assert letter.code is code
    assert (letter.key, letter.value) == (message.key, message.value)
    assert (letter.topic, letter.partition, letter.offset) == ("catalog.events", 3, 5)
    assert out.records == []


async def test_a_null_value_removes_the_item_from_every_task() -> None:
    """Claim: a removal writes a tombstone for each live task with the removal's revision."""
    out = Published()
    both = live_kind(release(task="genres"), release(task="moods"))
    message = Incoming("catalog.events", 3, 9, b"e1", None)
    assert await run(pipeline(out, releases=Releases(both)), message) == [Outcome.REMOVED]
    assert out.removed == [(Kind.EVENT, "e1", ("genres", "moods"), Revision(9, 7))]


async def test_a_removal_also_takes_what_a_retired_task_said() -> None:
    """Claim: labels of a task that is out of service do not stay in the topic when the item goes."""
    out = Published()
    releases = Releases(live_kind(release(task="genres")), retired=["moods"])
    await run(pipeline(out, releases=releases), Incoming("catalog.events", 3, 9, b"e1", None))
    assert out.removed == [(Kind.EVENT, "e1", ("genres", "moods"), Revision(9, 7))]


async def test_each_task_has_its_own_record() -> None:
    """Claim: two heads of a kind give two records of one item."""
    out = Published()
    both = live_kind(release(task="genres"), release(task="moods"))
    await run(pipeline(out, releases=Releases(both)), event(title="Night"))
    assert [record.task for record in out.records] == ["genres", "moods"]


async def test_versions_of_one_item_are_published_in_order() -> None:
    """Claim: though the first version waits for Triton longer than the second, it is published first."""
    out = Published()
    calls = 0

    def slow_first(inputs: Mapping[str, Array]) -> Array:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise InferenceUnavailable("away")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(next(iter(inputs.values()))), 1))

    running = pipeline(out, Inference(slow_first), max_items=1)
    await run(running, event(offset=5, title="one"), event(offset=6, title="two"))
    assert [record.revision for record in out.records] == [Revision(5, 7), Revision(6, 7)]


async def test_while_triton_is_away_items_wait_and_none_is_dead_lettered() -> None:
    """Claim: five failures that may pass lead to labels and to no dead letter."""
    out = Published()
    failures = iter([True] * 5)

    def away(inputs: Mapping[str, Array]) -> Array:
        if next(failures, False):
            raise InferenceUnavailable("connection refused")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(next(iter(inputs.values()))), 1))

    outcomes = await run(pipeline(out, Inference(away)), *(event(f"e{n}", n, title="x") for n in range(4)))
    assert outcomes == [Outcome.LABELLED] * 4
    assert out.letters == []


async def test_a_triton_that_keeps_failing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim: after three failures in a row, all batches wait and none asks before the cool-down is over."""
    limits = BreakerLimits(failures=3, first_open_s=3600, longest_open_s=3600)
    monkeypatch.setattr("genrestream.workers.pipeline.TRITON_BREAKER", limits)
    asked = 0

    def away(inputs: Mapping[str, Array]) -> Array:
        nonlocal asked
        asked += 1
        raise InferenceUnavailable("connection refused")

    running = pipeline(Published(), Inference(away), max_items=1, max_batches=3)
    waiting = asyncio.create_task(run(running, *(event(f"e{n}", n, title="x") for n in range(20))))
    while asked < 3:
        await asyncio.sleep(0.001)
    # Without the breaker, each batch would ask again every two milliseconds.
    await asyncio.sleep(0.1)
    assert asked == 3
    waiting.cancel()
    batches = asyncio.all_tasks() - {asyncio.current_task()}
    while batches:
        for batch in batches:
            batch.cancel()
        await asyncio.gather(*batches, return_exceptions=True)
        batches = asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_refused_item_is_buried_and_its_neighbours_are_labelled() -> None:
    """Claim: of a batch of six with one refused item, five are labelled and one is a dead letter."""
    out = Published()

    def picky(inputs: Mapping[str, Array]) -> Array:
        # The refused item is the only one with a picture.
        if inputs["presence"][:, 1].any():
            raise InferenceRejected("unexpected shape")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(inputs["presence"]), 1))

    messages = [
        event(f"e{n}", n, title="x", poster={"data": picture()} if n == 2 else None) for n in range(6)
    ]
    outcomes = await run(pipeline(out, Inference(picky)), *messages)
    assert outcomes.count(Outcome.LABELLED) == 5
    assert [(letter.offset, letter.code) for letter in out.letters] == [
        (2, DeadLetterCode.INFERENCE_REJECTED)
    ]


async def test_when_a_version_is_gone_items_go_on_with_what_is_live_now() -> None:
    """Claim: items that set out under a release that vanished are labelled by its successor."""
    out = Published()
    releases = Releases(live_kind(sequence=7))

    def replaced(inputs: Mapping[str, Array]) -> Array:
        if releases.kinds[Kind.EVENT].releases[0].sequence == 7:
            releases.kinds[Kind.EVENT] = live_kind(sequence=8)
            raise InferenceUnavailable("version 1 is not available")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(inputs["presence"]), 1))

    await run(pipeline(out, Inference(replaced), releases), event(title="x"))
    assert [record.revision for record in out.records] == [Revision(5, 8)]


async def test_a_successor_that_hears_more_gets_what_it_hears() -> None:
    """Claim: where the release that an item set out under read no picture and its successor does, the
    picture is read before it is asked.
    """
    out = Published()
    releases = Releases(live_kind(release(modalities=[Modality.TEXT]), sequence=7))

    def replaced(inputs: Mapping[str, Array]) -> Array:
        if releases.kinds[Kind.EVENT].releases[0].sequence == 7:
            releases.kinds[Kind.EVENT] = live_kind(release(), sequence=8)
            raise InferenceUnavailable("version 1 is not available")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(inputs["presence"]), 1))

    running = pipeline(out, Inference(replaced), releases)
    await run(running, event(title="x", poster={"data": picture()}))
    (record,) = out.records
    assert record.revision == Revision(5, 8)
    assert (record.modalities_used, record.modalities_missing) == ((Modality.TEXT, Modality.IMAGE), ())


async def test_media_that_set_out_twice_are_counted_once() -> None:
    """Claim: a picture whose batch went on with newer releases is one miss in the metric, not two."""
    out, metrics = Published(), WorkerMetrics("test")
    releases = Releases(live_kind(sequence=7))

    def replaced(inputs: Mapping[str, Array]) -> Array:
        if releases.kinds[Kind.EVENT].releases[0].sequence == 7:
            releases.kinds[Kind.EVENT] = live_kind(sequence=8)
            raise InferenceUnavailable("version 1 is not available")
        return np.tile(np.float32([0.9, 0.1, 0.1]), (len(inputs["presence"]), 1))

    running = pipeline(out, Inference(replaced), releases, metrics=metrics)
    await run(running, event(title="x", poster={"data": picture()}))
    assert [record.revision for record in out.records] == [Revision(5, 8)]
    counts = [
        metrics.registry.get_sample_value(
            "genrestream_shared_embeddings_total", {"modality": "image", "outcome": outcome}
        )
        for outcome in ("hit", "miss")
    ]
    assert counts == [0, 1]
    read = metrics.registry.get_sample_value("genrestream_media_bytes_total", {"modality": "image"})
    assert read == len(base64.b64decode(picture()))


async def test_the_latency_ends_with_the_acknowledgement() -> None:
    """Claim: a minute in which Kafka takes the record is part of the time from arrival to label."""
    now = THEN

    class Slow(Published):
        async def publish(self, written: LabelRecord | DeadLetter) -> None:
            nonlocal now
            now += timedelta(minutes=1)
            await super().publish(written)

    running = pipeline(Slow())
    running._clock = lambda: now
    await run(running, dataclasses.replace(event(title="Night"), received_at=THEN))
    seconds = running._metrics.registry.get_sample_value(
        "genrestream_arrival_to_label_seconds_sum", {"kind": "event"}
    )
    assert seconds == 60


async def test_a_dead_letter_is_told_with_the_producers_name_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Claim: a producer finds its event in the log by its `ce_id`."""
    message = dataclasses.replace(event(title=5), headers=[("ce_id", b"scrape-9")])
    with caplog.at_level(logging.INFO, "genrestream"):
        await run(pipeline(Published()), message)
    assert caplog.messages == ["catalog.events/3@5 (ce_id 'scrape-9') is a dead letter: invalid_item"]


async def test_a_fault_of_ours_costs_one_item_and_is_told() -> None:
    """Claim: an unforeseen exception becomes a dead letter `internal_error` that names its type."""
    out = Published()

    def nonsense(inputs: Mapping[str, Array]) -> Array:
        return np.zeros((len(inputs["presence"]), 2), np.float32)

    assert await run(pipeline(out, Inference(nonsense)), event(title="x")) == [Outcome.DEAD_LETTERED]
    (letter,) = out.letters
    assert letter.code is DeadLetterCode.INTERNAL_ERROR
    assert letter.message.startswith("ValueError: confidences of shape (2,)")
