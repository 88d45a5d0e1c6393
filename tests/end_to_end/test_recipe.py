"""An earlier system, trained as a recipe, goes live beside our heads and labels what is published."""

import asyncio
import base64
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from genrestream.client.publisher import item_message
from genrestream.ops.state import StackState
from genrestream.schemas import LabelRecord, Modality, Podcast
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside, Seen
from tests.end_to_end.test_release import command
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = [pytest.mark.stack, pytest.mark.training]

from genrestream.schemas.items import InlineMedia  # noqa: E402
from genrestream.training.recipes.train import train_recipe  # noqa: E402
from tests.unit.training.test_recipes_train import request, tiny  # noqa: E402

TASK = "recipe"


async def test_a_recipe_is_released_and_labels_items(
    start_worker: StartWorker, outside: Outside, stack: StackState, models_dir: Path, tmp_path: Path
) -> None:
    """Claim: trained end to end and released by the commands of our own heads, a recipe labels new podcasts
    for its task, from text and cover or from text alone, while our head labels them for its own.
    """
    made = make_set(tmp_path / "shows", 120)
    asked = replace(request(made, models_dir), served_as=TASK)
    await asyncio.to_thread(train_recipe, asked, tiny())
    start_worker("e2e-a")
    head = f"podcast-{TASK}"
    await asyncio.to_thread(command, stack, "release", head, "--force", "--models", str(models_dir))
    try:
        cover = InlineMedia(data=base64.b64encode((made / "covers" / "1.png").read_bytes()))
        both = Podcast(id=uuid.uuid4().hex, title="A galaxy seen by a telescope", cover=cover)
        text = Podcast(id=uuid.uuid4().hex, title="A galaxy seen by a telescope")
        await outside.publish([item_message(both), item_message(text)])
        await outside.until(lambda seen: all(len(seen.records[item.id]) == 2 for item in (both, text)))
        (seen_both,), (seen_text,) = of_task(outside.seen, both.id), of_task(outside.seen, text.id)
        assert set(seen_both.modalities_used) == {Modality.TEXT, Modality.IMAGE}
        assert set(seen_text.modalities_used) == {Modality.TEXT}
        assert {label.label for label in seen_both.labels} <= {"Science", "Sports", "Cooking"}
        assert seen_both.release.model == head
        assert {record.task for record in outside.seen.records[both.id]} == {TASK, "genres"}
    finally:
        await asyncio.to_thread(command, stack, "retire", head, "--models", str(models_dir))


def of_task(seen: Seen, item_id: str) -> list[LabelRecord]:
    """What the recipe said of an item."""
    return [record for record in seen.records.get(item_id, []) if record.task == TASK]
