"""A head that knows texts read from pictures: trained, measured, exported, and used by `classify`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from genrestream.cli.main import app
from genrestream.repository import GOLDEN, GRAPH
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.graph import Graph
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES
from genrestream.workers.features.content import PICTURE_READER
from tests.unit.training.starters import copy_starters

pytest.importorskip("torch")
pytest.importorskip(PICTURE_READER)
pytestmark = pytest.mark.training

from genrestream.training.fit import FitSettings  # noqa: E402
from genrestream.training.recipes.train import train_recipe  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from genrestream.training.train import Trained, train  # noqa: E402
from tests.unit.training.test_recipes_train import tiny  # noqa: E402

GENRES = ("JAZZ", "OPERA", "TECHNO")
ITEMS = 240


def poster(path: Path, word: str, rng: np.random.Generator) -> None:
    """The word somewhere on a colour that tells nothing, too small for the starter's encoder to see."""
    colour = tuple(int(level) for level in rng.integers(150, 256, 3))
    image = Image.new("RGB", (400, 300), colour)
    place = (int(rng.integers(10, 280)), int(rng.integers(10, 260)))
    ImageDraw.Draw(image).text(place, word, fill="black", font=ImageFont.load_default(24))
    image.save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events whose genre stands in the text and on the poster, and in nothing else."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("made") / "nights"
    (folder / "posters").mkdir(parents=True)
    lines = []
    for number in range(ITEMS):
        genre = GENRES[number % 3]
        poster(folder / "posters" / f"{number}.png", genre, rng)
        title = f"{genre} {' '.join(rng.choice(['night', 'live', 'tonight', 'club', 'doors'], 3))}"
        item = {"kind": "event", "id": f"e{number}", "title": title, "poster": f"posters/{number}.png"}
        lines.append({**item, "labels": {"genres": [genre]}, "group": f"g{number}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    models = copy_starters(tmp_path_factory.mktemp("trained") / "models")
    store = tmp_path_factory.mktemp("store")
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
    """Posters alone tell nothing here; with what stands in them they tell nearly all."""
    slices = trained.evaluation.slices
    assert slices["image"].top1 < 0.6
    assert slices["text+image+read text"].top1 > 0.9
    report = json.loads((trained.candidate.directory / "report.json").read_bytes())
    assert report["picture_text_ms"] > 0
    page = (trained.candidate.directory / "report.html").read_text(encoding="utf-8")
    assert "Reading the text in a picture took a core" in page
    assert report["beside_branches"]["text+image+read text"]["best"] == "image"


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
    poster(tmp_path / "new.png", "OPERA", np.random.default_rng(1))
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


def test_a_recipe_goes_by_what_stands_on_posters(made, tmp_path):
    """With and without that text, on the same posters; what an item says itself is not heard, and the time of
    reading counts.
    """
    plain = TrainRequest([made], Kind.EVENT, "genres", "genres", tmp_path / "models", tmp_path / "store")
    (tmp_path / "models").mkdir()
    done = train_recipe(plain, tiny("poster_vgg16_text", epochs=12))
    compared = {found.name: found for found in done.compared}
    assert compared["text"].test.top1 > 0.9
    assert compared["image"].test.top1 < 0.6
    assert compared["text"].inference_ms > 10
    items = tmp_path / "items.jsonl"
    poster(tmp_path / "new.png", "OPERA", np.random.default_rng(1))
    item = {"kind": "event", "id": "new", "title": "TECHNO night live", "poster": "new.png"}
    items.write_text(json.dumps(item) + "\n", encoding="utf-8")
    said = CliRunner().invoke(
        app, ["classify", str(items), "--models", str(tmp_path / "models"), "--read-pictures"]
    )
    assert said.exit_code == 0, said.output
    record = json.loads(said.stdout)
    assert record["modalities_used"] == ["text", "image"]
    assert record["labels"][0]["label"] == "OPERA"
