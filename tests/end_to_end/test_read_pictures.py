"""Events that are nothing but a poster are labelled by what stands on it, where workers have readers."""

import asyncio
import base64
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genrestream.client.publisher import item_message
from genrestream.ops.state import StackState
from genrestream.schemas import Event, Kind, LabelRecord, Modality
from genrestream.schemas.items import InlineMedia
from genrestream.workers.features.content import PICTURE_READER
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside
from tests.end_to_end.test_release import command
from tests.unit.training.made_posters import make_nights, poster

pytest.importorskip("torch")
pytest.importorskip(PICTURE_READER)
pytestmark = [pytest.mark.stack, pytest.mark.training]

from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from genrestream.training.train import train  # noqa: E402

TASK = "nights"


async def test_a_poster_alone_is_labelled_by_what_stands_on_it(
    start_worker: StartWorker, outside: Outside, stack: StackState, models_dir: Path, tmp_path: Path
) -> None:
    """Claim: by the head that learnt it and a worker with readers; others go by the picture."""
    asked = TrainRequest(
        [make_nights(tmp_path / "nights")],
        Kind.EVENT,
        "genres",
        TASK,
        models_dir,
        tmp_path / "store",
        word_buckets=256,
        fit=FitSettings(epochs=12),
    )
    await asyncio.to_thread(train, replace(asked, read_pictures=True))
    reading = start_worker("e2e-a", GENRESTREAM_PICTURE_READERS="1")
    head = f"event-{TASK}"
    await asyncio.to_thread(command, stack, "release", head, "--force", "--models", str(models_dir))
    try:
        by_task = await labelled_poster(outside)
        assert by_task[TASK].labels[0].label == "OPERA"
        assert by_task[TASK].picture_text == "OPERA"
        assert set(by_task[TASK].modalities_used) == {Modality.TEXT, Modality.IMAGE}
        assert by_task["genres"].picture_text is None
        assert by_task["genres"].modalities_used == (Modality.IMAGE,)
        await asyncio.to_thread(reading.stop)
        start_worker("e2e-b")
        by_task = await labelled_poster(outside)
        assert by_task[TASK].modalities_used == (Modality.IMAGE,)
    finally:
        await asyncio.to_thread(command, stack, "retire", head, "--models", str(models_dir))


async def labelled_poster(outside: Outside) -> dict[str, LabelRecord]:
    """What is said of a new event that has no text, by task."""
    shown = InlineMedia(data=base64.b64encode(poster("OPERA", np.random.default_rng(1))))
    event = Event(id=uuid.uuid4().hex, title="", poster=shown)
    await outside.publish([item_message(event)])
    await outside.until(lambda seen: len(seen.records[event.id]) == 2)
    return {record.task: record for record in outside.seen.records[event.id]}
