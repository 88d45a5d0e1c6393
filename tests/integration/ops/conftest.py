"""Puts this folder's graphs within reach of its tests, and gives those a place in the served repository."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def graphs_dir(models_dir: Path) -> Iterator[Path]:
    """The served repository; what a test adds is taken away again: each model there has to have a record."""
    before = set(models_dir.iterdir())
    yield models_dir
    for added in set(models_dir.iterdir()) - before:
        shutil.rmtree(added)
