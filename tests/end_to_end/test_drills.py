"""The fault drills in their short form: `make drill` runs the long one."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drills.disk import NoNamespacesError
from drills.faults import DRILLS, SHORT
from drills.places import local
from drills.run import drill
from drills.scene import Scene

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def own_stack(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Servers that may be killed; all drills that need no others share them."""
    with local(tmp_path_factory.mktemp("drills"), models_dir) as scene:
        yield scene


@pytest.mark.parametrize("name", DRILLS)
def test_nothing_is_lost_or_stale(name: str, own_stack: Scene, models_dir: Path, tmp_path: Path) -> None:
    """Claim: under this fault every message that Kafka accepted ends in just one of label, removal and dead
    letter, no older version follows a newer one, and topic and Redis end with the newest.
    """
    with ExitStack() as places:
        scene = Scene(own_stack.state, own_stack.models, tmp_path, servers=own_stack.servers)
        if DRILLS[name].place is not local:
            try:
                scene = places.enter_context(DRILLS[name].place(tmp_path, models_dir))
            except NoNamespacesError as error:
                pytest.skip(str(error))
        figures = asyncio.run(drill(scene, name, SHORT))
    assert figures.published > 100
    assert figures.labelled + figures.removed + figures.dead_lettered == figures.published
    assert (figures.lost, figures.contradictory, figures.stale, figures.overtaken) == (0, 0, 0, 0)
