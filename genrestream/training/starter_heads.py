"""The starter heads: small, trained on the generated sample with the starter encoders, released offline."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from genrestream.repository import Repository
from genrestream.schemas.items import Kind
from genrestream.schemas.releases import Release
from genrestream.training.fit_loop import FitSettings
from genrestream.training.release import Offline, release
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.train import Trained, train

TASK = "genres"
BUCKETS = 2048
"""Hash buckets for words, and as many for characters: the sample's vocabulary is small."""
SEED = 0


def train_starter_heads(
    sets: Mapping[Kind, Path],
    models: Path,
    store: Path,
    progress: Callable[[Kind], Progress],
) -> list[tuple[Trained, Release]]:
    """The heads of all kinds, trained and live in the model repository.

    Raises:
        TrainingError, RepositoryError: as `train` and `release` do.
    """
    repository = Repository(models)
    done = []
    for kind, folder in sets.items():
        request = TrainRequest(
            sets=[folder],
            kind=kind,
            task=TASK,
            served_as=TASK,
            models=models,
            store=store,
            encoders="starter",
            word_buckets=BUCKETS,
            fit=FitSettings(seed=SEED),
        )
        trained = train(request, progress(kind))
        # Trained again they beat the live ones by nothing.
        released = release(repository, trained.candidate, Offline(repository), force=True)
        done.append((trained, asyncio.run(released)))
    return done
