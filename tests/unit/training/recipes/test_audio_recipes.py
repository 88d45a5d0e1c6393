"""The recipes of recordings from a set to candidates that are served like our own heads, in small."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genrestream.repository import GOLDEN, GRAPH, Repository
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.graph import Graph
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES
from tests.unit.training.recipes.made_tracks import make_tracks

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.judge import judge  # noqa: E402
from genrestream.training.recipes.spec import RecipeSpec, load_recipe  # noqa: E402
from genrestream.training.recipes.train import TrainedRecipe, train_recipe  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402

ITEMS = 90


def tiny(name: str, audio: dict[str, Any], text: dict[str, Any], epochs: int) -> RecipeSpec:
    """The recipe with small networks and few epochs, for seconds instead of minutes."""
    given = load_recipe(name).model_dump()
    given["branches"][Modality.AUDIO] |= {"width": 0.1, "dropout": 0.0, **audio}
    if Modality.TEXT in given["branches"]:
        given["branches"][Modality.TEXT] |= {"dropout": 0.0, **text}
    given["balance"] |= {"draws": 2}
    given["fit"] |= {"epochs": epochs, "patience_epochs": epochs, "rate": 0.01, "batch_items": 16}
    return RecipeSpec.model_validate(given)


MFCC_CNN = tiny("track_mfcc_cnn", {"middle_s": 1}, {}, epochs=4)
AUDIO_LYRICS = tiny(
    "track_audio_lyrics",
    {"patches": 1, "embedding": 8},
    {"units": 8, "hidden": 8, "max_tokens": 24, "min_count": 2, "language_epochs": 2},
    epochs=4,
)


def trained(spec: RecipeSpec, tracks: Path, folder: Path) -> TrainedRecipe:
    settings = FitSettings(epochs=2)
    asked = TrainRequest(
        [tracks],
        Kind.TRACK,
        "genres",
        "genres",
        folder / "models",
        tracks.parent / "store",
        word_buckets=64,
        fit=settings,
    )
    asked.models.mkdir(parents=True)
    return train_recipe(asked, spec)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tracks(tmp_path_factory.mktemp("made") / "tracks", ITEMS)


def check_served(found: TrainedRecipe, tracks: Path) -> None:
    """Through features, encoders and head as a worker runs them, the test fold gets the very figures."""
    directory, release = found.candidate.directory, found.candidate.release
    golden = read_golden(directory / GOLDEN)
    check_golden(golden, Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES), "it")
    repository = Repository(directory.parents[2])
    judged = judge(repository, directory, release, [tracks], "genres", tracks.parent / "judged")
    assert judged.head.as_dict() == pytest.approx(found.evaluation.head.as_dict(), abs=1e-3)


def encoder_graphs(found: TrainedRecipe) -> list[bytes]:
    repository = Repository(found.candidate.directory.parents[2])
    references = found.candidate.release.encoders.values()
    return [(repository.version_dir(one.model, one.version) / GRAPH).read_bytes() for one in references]


def test_mfccs_become_a_candidate(tracks, tmp_path):
    """Its best label is mostly right, it is served as it was trained, and the same seed gives the same
    graphs."""
    first = trained(MFCC_CNN, tracks, tmp_path / "first")
    assert first.candidate.release.modalities == (Modality.AUDIO,)
    assert first.evaluation.head.top1 > 0.6
    check_served(first, tracks)
    again = trained(MFCC_CNN, tracks, tmp_path / "again")
    assert encoder_graphs(first) == encoder_graphs(again)


def test_a_merged_tail_is_served_and_evaluated_as_it_was_learnt(tracks, tmp_path):
    """Two of the three genres keep their names; `evaluate`, which reads the set's own labels, finds the very
    figures of the training with the third as Others."""
    spec = MFCC_CNN.model_copy(update={"balance": MFCC_CNN.balance.model_copy(update={"keep_labels": 2})})
    found = trained(spec, tracks, tmp_path / "merged")
    release = found.candidate.release
    assert release.others == "Others"
    assert len(release.labels) == 3
    assert len({"Folk", "Techno", "Blues"} & set(release.labels)) == 2
    check_served(found, tracks)


def test_audio_and_lyrics_become_a_candidate(tracks, tmp_path):
    """The two encoders are compared alone and together, an item without lyrics is heard by its recording,
    and what is served is what was trained."""
    found = trained(AUDIO_LYRICS, tracks, tmp_path / "first")
    release, directory = found.candidate.release, found.candidate.directory
    assert release.modalities == (Modality.TEXT, Modality.AUDIO)
    golden = read_golden(directory / GOLDEN)
    assert len(np.unique(golden.inputs["presence"], axis=0)) == 3
    report = json.loads((directory / "report.json").read_bytes())
    assert report["compared"].keys() == {"text", "audio", "text+audio"}
    assert found.evaluation.head.top1 > 0.5
    check_served(found, tracks)
