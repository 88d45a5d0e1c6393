"""A head that knows texts read from pictures: trained, measured, exported, and used by `classify`."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genrestream.cli.main import app
from genrestream.repository import GOLDEN, GRAPH
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.graph import Graph
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES
from genrestream.workers.features.content import PICTURE_READER
from tests.unit.training.made_posters import make_nights, poster
from tests.unit.training.starters import copy_starters

pytest.importorskip("torch")
pytest.importorskip(PICTURE_READER)
pytestmark = pytest.mark.training

from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.picture_texts import read_picture_texts, take_picture_texts  # noqa: E402
from genrestream.training.recipes.train import train_recipe  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from genrestream.training.train import Trained, train  # noqa: E402
from tests.unit.training.test_recipes_train import tiny  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nights(tmp_path_factory.mktemp("made") / "nights")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every poster is read once for all tests."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def trained(made: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    models = copy_starters(tmp_path_factory.mktemp("trained") / "models")
    settings = FitSettings(epochs=12)
    return train(
        TrainRequest(
            [made],
            Kind.EVENT,
            "genres",
            "genres",
            models,
            store,
            word_buckets=256,
            fit=settings,
            read_pictures=True,
        )
    )


def test_what_is_read_is_worth_its_own_numbers(trained):
    """Posters alone tell little here; with what stands in them they tell nearly all."""
    slices = trained.evaluation.slices
    assert slices["image"].top1 < 0.75
    assert slices["text+image+read text"].top1 > 0.9
    report = json.loads((trained.candidate.directory / "report.json").read_bytes())
    assert report["picture_text_ms"] > 0
    page = (trained.candidate.directory / "report.html").read_text(encoding="utf-8")
    assert "Reading the text in a picture took a core" in page
    beside = report["beside_branches"]["text+image+read text"]
    # A text that was read is not without its picture, so text alone is no rival; its branches are.
    assert beside["alone"].keys() == {"image", "text: words", "text: embedding"}
    assert beside["gate"]["rival"] == "text: words alone on text+image+read text"
    assert beside["gate"]["passed"]


def test_what_another_process_has_read_is_taken_over(trained, made, store, tmp_path):
    """Not read again: even the time that it took is the same."""
    spec = trained.candidate.release.features.picture_text
    examples = read_catalogue([made], Kind.EVENT, "genres").examples
    take_picture_texts(store, spec, tmp_path)
    assert any(read_picture_texts(examples, spec, tmp_path).fields)
    taken, first = (read_picture_texts(examples, spec, folder) for folder in (tmp_path, store))
    assert list(taken.fields) == list(first.fields)
    assert taken.ms == first.ms


def test_the_graph_is_told_where_a_text_comes_from(trained):
    """A fourth number of the presence mask; the golden batch covers read texts, and passes."""
    release, directory = trained.candidate.release, trained.candidate.directory
    assert release.features.picture_text is not None
    golden = read_golden(directory / GOLDEN)
    assert {tuple(mask) for mask in golden.inputs["presence"].tolist()} == {
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (1, 1, 0, 0),
        (1, 1, 0, 1),
    }
    check_golden(golden, Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES), "it")


def test_classify_reads_pictures_where_it_is_asked_to(trained, made, tmp_path):
    """The record says what was read; without the option the text is missing."""
    items = tmp_path / "items.jsonl"
    (tmp_path / "new.png").write_bytes(poster("OPERA", np.random.default_rng(1)))
    items.write_text(json.dumps({"kind": "event", "id": "new", "poster": "new.png"}) + "\n", encoding="utf-8")
    models = str(trained.candidate.directory.parents[2])
    records = []
    for options in ([], ["--read-pictures"]):
        done = CliRunner().invoke(app, ["classify", str(items), "--models", models, *options])
        assert done.exit_code == 0, done.output
        records.append(json.loads(done.stdout))
    blind, reading = records
    assert blind["modalities_used"] == ["image"]
    assert "picture_text" not in blind
    assert reading["modalities_used"] == ["text", "image"]
    assert "OPERA" in reading["picture_text"].upper()
    assert reading["labels"][0]["label"] == "OPERA"


def test_a_head_that_was_not_told_does_not_take_it_for_a_text(made, tmp_path):
    """It goes by the picture alone, whatever `classify` reads."""
    models = copy_starters(tmp_path / "models")
    plain = TrainRequest([made], Kind.EVENT, "genres", "genres", models, tmp_path / "store", word_buckets=64)
    release = train(plain).candidate.release
    assert release.features.picture_text is None
    assert Modality.TEXT in release.modalities
    assert "picture_text" not in release.features.model_dump()


def test_a_recipe_goes_by_what_stands_on_posters(made, store, tmp_path):
    """With and without that text, on the same posters; what an item says itself is not heard, and the time of
    reading counts.
    """
    plain = TrainRequest([made], Kind.EVENT, "genres", "genres", tmp_path / "models", store)
    (tmp_path / "models").mkdir()
    done = train_recipe(plain, tiny("poster_vgg16_text", epochs=12))
    compared = {found.name: found for found in done.compared}
    assert compared["text"].test.top1 > 0.9
    assert compared["image"].test.top1 < 0.6
    assert compared["text"].inference_ms > 10
    items = tmp_path / "items.jsonl"
    (tmp_path / "new.png").write_bytes(poster("OPERA", np.random.default_rng(1)))
    item = {"kind": "event", "id": "new", "title": "TECHNO night live", "poster": "new.png"}
    items.write_text(json.dumps(item) + "\n", encoding="utf-8")
    said = CliRunner().invoke(
        app, ["classify", str(items), "--models", str(tmp_path / "models"), "--read-pictures"]
    )
    assert said.exit_code == 0, said.output
    record = json.loads(said.stdout)
    assert record["modalities_used"] == ["text", "image"]
    assert record["labels"][0]["label"] == "OPERA"
