"""Figures of label sets, by hand, and of a head on the labels of another source."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from genrestream.repository import GRAPH, Repository
from genrestream.schemas.taxonomy import parse_taxonomy, taxonomy
from genrestream.training.metrics import Predictions
from genrestream.training.set_figures import SetFigures, measure_sets


def test_figures_by_hand():
    """Of three items the first gets one of its two labels and a wrong one, the second all of its one label,
    the third nothing right; the fourth has no label and does not count."""
    truth = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    decided = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 1]], bool)
    confidences = np.array([[0.9, 0.1, 0.8], [0.1, 0.2, 0.9], [0.4, 0.6, 0.1], [0.9, 0.9, 0.9]])
    assert measure_sets(truth, Predictions(confidences, decided)) == SetFigures(
        items=3,
        at_least_one=pytest.approx(2 / 3),
        precision=pytest.approx((0.5 + 1 + 0) / 3),
        recall=pytest.approx((0.5 + 1 + 0) / 3),
        f1=pytest.approx((0.5 + 1 + 0) / 3),
        top1=pytest.approx(2 / 3),
        top2=1.0,
        set_size=pytest.approx((2 + 1 + 1) / 3),
    )


def test_precision_and_recall_are_told_apart():
    """All labels given to an item with one of four: precision .25, recall 1, F1 2 / 5; without items all is
    0."""
    truth = np.array([[1, 0, 0, 0]], bool)
    found = measure_sets(truth, Predictions(np.full((1, 4), 0.9), np.ones((1, 4), bool)))
    assert (found.precision, found.recall, found.f1, found.set_size) == (0.25, 1.0, pytest.approx(0.4), 4.0)
    empty = measure_sets(truth[:0], Predictions(np.zeros((0, 4)), np.zeros((0, 4), bool)))
    assert (empty.items, empty.f1, empty.set_size) == (0, 0.0, 0.0)


def test_what_a_source_can_give():
    """IMDb names all 20 film genres, TMDB neither Biography nor Sport; the label of all that is not in a map
    counts, too."""
    films = taxonomy("film-genres")
    assert films.given_by("imdb") == set(films.labels)
    assert set(films.labels) - films.given_by("tmdb") == {"Biography", "Sport"}
    others = parse_taxonomy(
        "{name: t, version: 1, description: d, raise_version_when: r, labels: [A, B, Others], sources:"
        " {s: {description: d, unmapped: others, others: Others, map: {a: A}}}}",
        "t.yaml",
    )
    assert others.given_by("s") == {"A", "Others"}


@pytest.mark.training
def test_a_head_of_one_source_is_tested_on_another(tmp_path: Path):
    """A poster recipe trained on IMDb's names is measured on TMDB's: `Sci-Fi` and `Science Fiction` are one
    label, and `Sport`, which TMDB lacks, is not measured; pictures of the labels that both know are found."""
    pytest.importorskip("torch")
    from genrestream.schemas import Kind
    from genrestream.training.fit_loop import FitSettings
    from genrestream.training.judge import judge
    from genrestream.training.recipes.train import train_recipe
    from genrestream.training.request import TrainRequest
    from tests.unit.training.made_set import make_set
    from tests.unit.training.test_recipes_train import tiny

    imdb = {"Science": "Sci-Fi", "Sports": "Sport", "Cooking": "Western"}
    tmdb = {"Science": "Science Fiction", "Sports": "TV Movie", "Cooking": "Western"}
    made = make_set(tmp_path / "imdb" / "films", 120)
    request = TrainRequest(
        [renamed(made, made, imdb)],
        Kind.PODCAST,
        "genres",
        "genres",
        tmp_path / "models",
        tmp_path / "store",
        word_buckets=64,
        taxonomy="film-genres",
        source="imdb",
        fit=FitSettings(epochs=2),
    )
    request.models.mkdir()
    done = train_recipe(request, tiny("poster_vgg16"))
    assert sorted(done.candidate.release.labels) == ["Science Fiction", "Sport", "Western"]
    other = tmp_path / "tmdb" / "films"
    shutil.copytree(made, other)
    back = {name: tmdb[genre] for genre, name in imdb.items()}
    judged = judge(
        Repository(request.models),
        done.candidate.directory,
        done.candidate.release,
        [renamed(made, other, back)],
        "genres",
        request.store,
        "tmdb",
    )
    assert judged.unknown_labels == ("Sport",)
    assert (done.candidate.directory / GRAPH).is_file()
    assert judged.left_out == 120 - done.evaluation.head.items
    assert judged.sets.items < judged.head.items == done.evaluation.head.items
    assert judged.sets.recall > 0.8
    assert judged.sets.set_size <= 2.0


def renamed(made: Path, folder: Path, names: dict[str, str]) -> Path:
    """The set `made` in `folder`, its labels under other names."""
    lines = [json.loads(line) for line in (made / "items.jsonl").read_text().splitlines()]
    for line in lines:
        line["labels"]["genres"] = [names[name] for name in line["labels"]["genres"]]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
