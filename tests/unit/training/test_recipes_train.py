"""A recipe from a set to a candidate that is served like our own heads, in small."""

import json
from pathlib import Path

import numpy as np
import pytest

from genrestream.repository import GOLDEN, GRAPH, Graph, Repository
from genrestream.repository.golden import check_golden, read_golden
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.fit import FitSettings  # noqa: E402
from genrestream.training.judge import judge  # noqa: E402
from genrestream.training.recipes.spec import RecipeSpec, load_recipe  # noqa: E402
from genrestream.training.recipes.train import TrainedRecipe, train_recipe  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402

ITEMS = 120


def tiny(name: str = "podcast_vgg16_gru", epochs: int = 6) -> RecipeSpec:
    """The recipe on 32 px and with a share of the channels, for seconds instead of minutes."""
    given = load_recipe(name).model_dump()
    given["branches"][Modality.IMAGE] |= {"width": 0.05, "image_px": 32, "embedding": 8}
    if Modality.TEXT in given["branches"]:
        given["branches"][Modality.TEXT] |= {"max_tokens": 16, "word_dim": 16, "hidden": 16, "dropout": 0.1}
    given["fit"] |= {"epochs": epochs, "patience_epochs": epochs, "rate": 0.01, "batch_items": 16}
    return RecipeSpec.model_validate(given)


def request(made: Path, folder: Path, seed: int = 0) -> TrainRequest:
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    settings = FitSettings(seed=seed, epochs=2)
    store = made.parent / "store"
    return TrainRequest(
        [made], Kind.PODCAST, "genres", "genres", models, store, word_buckets=64, fit=settings
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("made") / "shows", ITEMS)


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRecipe:
    return train_recipe(request(made, tmp_path_factory.mktemp("first")), tiny())


def test_a_recipe_becomes_a_candidate(trained):
    """Its best label is mostly right, it hears text and pictures, the golden batch covers every subset of
    them and passes, and the report compares each branch alone with both."""
    release, directory = trained.candidate.release, trained.candidate.directory
    assert trained.evaluation.head.top1 > 0.6
    assert release.modalities == (Modality.TEXT, Modality.IMAGE)
    golden = read_golden(directory / GOLDEN)
    assert len(np.unique(golden.inputs["presence"], axis=0)) == 3
    check_golden(golden, Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES), "it")
    report = json.loads((directory / "report.json").read_bytes())
    assert report["compared"].keys() == {"text", "image", "text+image"}
    assert all(len(found["curves"]["train"]) == 6 for found in report["compared"].values())
    assert {gate.rival for gate in release.gates} == {"frequencies", "all zeros", "TF-IDF"}


def test_served_graphs_say_what_pytorch_said(trained, made):
    """Through features, encoders and head as a worker runs them, the test fold gets the very figures."""
    repository = Repository(trained.candidate.directory.parents[2])
    directory, release = trained.candidate.directory, trained.candidate.release
    judged = judge(repository, directory, release, [made], "genres", made.parent / "judged")
    figures = trained.evaluation.head.as_dict()
    assert judged.head.as_dict() == pytest.approx(figures, abs=1e-4)
