"""The fault drills in their short form: `make drill` runs the long one."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drills.faults import DRILLS, SHORT
from drills.run import drill
from drills.scene import Scene
from genrestream.ops.stack import local_stack
from genrestream.ops.state import StackState
from genrestream.workers.announce import announce_live
from genrestream.workers.topics import create_topics

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def own_stack(
    models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StackState, Path]]:
    """Servers that may be killed, and the models that they serve."""
    models = tmp_path_factory.mktemp("drills") / "triton_models"
    shutil.copytree(models_dir, models)
    with local_stack(tmp_path_factory.mktemp("stack"), models) as state:
        create_topics(state.kafka_bootstrap)
        asyncio.run(announce_live(models, state.kafka_bootstrap, state.triton_url))
        yield state, models


@pytest.mark.parametrize("name", DRILLS)
async def test_nothing_is_lost_or_stale(
    name: str, own_stack: tuple[StackState, Path], tmp_path: Path
) -> None:
    """Claim: under this fault every message that Kafka accepted ends in just one of label, removal and dead
    letter, no older version follows a newer one, and topic and Redis end with the newest.
    """
    scene = Scene(*own_stack, tmp_path)
    try:
        figures = await drill(scene, name, SHORT)
    finally:
        await asyncio.to_thread(scene.close)
    assert figures.published > 100
    assert figures.labelled + figures.removed + figures.dead_lettered == figures.published
    assert (figures.lost, figures.contradictory, figures.stale, figures.overtaken) == (0, 0, 0, 0)
