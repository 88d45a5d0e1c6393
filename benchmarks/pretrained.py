"""A model repository with the pretrained encoders, and heads that are good enough to be timed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from genrestream.repository import Repository
from genrestream.sample import SET_NAMES, generate
from genrestream.schemas import Kind, Modality

FOLDER = Path(".genrestream/benchmark")
"""Kept from run to run."""
TASK = "genres"
SAMPLE_ITEMS, SAMPLE_SEED = 300, 11
"""A head costs the same whatever it was trained on: the generated sample does."""


def pretrained_models(say: Callable[[str], None]) -> Path:
    """The repository, made at the first call.

    Raises:
        RuntimeError: a command that makes it failed; it has said why.
    """
    models = FOLDER.absolute() / "models"
    repository = Repository(models)
    there = {record.modality for record in repository.encoders()} if models.is_dir() else set()
    if not there >= set(Modality):
        say("pretrained encoders: building them, some minutes once")
        _genrestream("encoders", "build", "--models", str(models))
    missing = [kind for kind in Kind if not models.is_dir() or repository.live(_head(kind)) is None]
    if missing:
        with TemporaryDirectory(prefix="genrestream-bench-") as folder:
            generate(Path(folder), SAMPLE_ITEMS, SAMPLE_SEED)
            for kind in missing:
                say(f"pretrained encoders: training {_head(kind)} on a generated sample")
                _train(kind, Path(folder) / SET_NAMES[kind], models)
    return models


def _train(kind: Kind, items: Path, models: Path) -> None:
    where = ("--models", str(models))
    chosen = ("--kind", kind, "--task", TASK, "--encoders", "pretrained")
    _genrestream("train", str(items), *chosen, "--store", str(models.with_name("embeddings")), *where)
    _genrestream("release", _head(kind), "--offline", "--force", *where)


def _head(kind: Kind) -> str:
    return f"{kind}-{TASK}"


def _genrestream(*arguments: str) -> None:
    command = [sys.executable, "-m", "genrestream", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"genrestream {arguments[0]} ended with status {done.returncode}")
