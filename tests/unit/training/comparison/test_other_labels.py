"""A contest's test items by the labels of another set: what is joined, what is measured, what is shown."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from genrestream.schemas import Kind

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.cli.compare import other_table  # noqa: E402
from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.comparison.contests import Contest  # noqa: E402
from genrestream.training.comparison.other_labels import (  # noqa: E402
    OtherEntry,
    join_titles,
    mean_entries,
    other_entries,
    titles_of,
)
from genrestream.training.comparison.page import comparison_page  # noqa: E402
from genrestream.training.comparison.results import Result, fingerprint  # noqa: E402
from genrestream.training.evaluate import Slice  # noqa: E402
from genrestream.training.metrics import Predictions, decide  # noqa: E402
from genrestream.training.set_figures import SetFigures  # noqa: E402
from genrestream.training.split import Fold  # noqa: E402

CONTEST = Contest(
    "posters",
    Kind.EVENT,
    taxonomy="film-genres",
    source="imdb",
    other_set="films",
    other_source="tmdb",
)
LABELS = ("Drama", "Science Fiction", "Sport")
POSTERS = {"Amélie!": "Drama", "The  Ring": "Drama", "Ring": "Drama", "Rocky": "Sport", "Solaris": "Sci-Fi"}
FILMS = (("amelie", "Drama"), ("SOLARIS", "Science Fiction"), ("Rocky", "Drama"), ("Ring", "Drama"))
FILMS_AND_A_REMAKE = (*FILMS, ("ring", "Foreign"))


def write_set(folder: Path, films: list[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True)
    lines = [
        {
            "kind": "event",
            "id": f"{place}",
            "title": title,
            "labels": {"genres": [genre]},
            "group": f"{place}",
        }
        for place, (title, genre) in enumerate(films)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_set(tmp_path / "posters", list(POSTERS.items()))
    write_set(tmp_path / "films", list(FILMS_AND_A_REMAKE))
    return tmp_path


def system(data: Path) -> SimpleNamespace:
    """One that was tested on all posters but the second, and says of each the same: Drama, perhaps Sport."""
    rows = np.array([0, 2, 3, 4])
    confidences = np.tile(np.array([[0.9, 0.1, 0.6]], np.float32), (4, 1))
    predictions = Predictions(confidences, decide(confidences, np.full(3, 0.5)))
    return SimpleNamespace(
        prepared=SimpleNamespace(
            catalogue=read_catalogue([data / "posters"], Kind.EVENT, "genres"),
            split={Fold.TEST: rows},
            targets=SimpleNamespace(labels=LABELS),
        ),
        evaluation=SimpleNamespace(parts={"image": Slice(rows, predictions)}),
    )


def test_titles_are_compared_without_accents_and_signs(data):
    """In small letters and with single spaces."""
    examples = read_catalogue([data / "posters"], Kind.EVENT, "genres").examples
    assert titles_of(examples) == ["amelie", "the ring", "ring", "rocky", "solaris"]


def test_a_title_that_stands_twice_is_left_out_and_counted():
    """Once in the other set for `b`, twice for `c`, twice here for `d`; an item without a title is none."""
    mine, others = ["a", "b", "c", "d", "d", "", "e"], ["b", "c", "c", "d", ""]
    labels = [(name or "none",) for name in others]
    joined = join_titles(mine, others, labels, np.array([0, 1, 2, 3, 5]))
    assert joined.labels == {1: ("b",)}
    assert joined.ambiguous == 2


def test_items_are_measured_by_the_other_sets_labels(data):
    """Amélie, Rocky and Solaris are joined, Ring is ambiguous. TMDB has no Sport, so that all are given Drama
    alone: right for the first two, whatever IMDb says of Rocky. Drama's average precision is 2/3 as all
    confidences are equal, Science Fiction's 1/3."""
    (line,) = other_entries(CONTEST, data, {"one": system(data)}, None)
    assert (line.system, line.hears, line.labels, line.ambiguous) == ("one", "image", 2, 1)
    assert line.sets == SetFigures(
        items=3,
        at_least_one=pytest.approx(2 / 3),
        precision=pytest.approx(2 / 3),
        recall=pytest.approx(2 / 3),
        f1=pytest.approx(2 / 3),
        top1=pytest.approx(2 / 3),
        top2=1.0,
        set_size=1.0,
    )
    assert line.mean_ap == pytest.approx(0.5)
    (fewer,) = other_entries(CONTEST, data, {"one": system(data)}, np.array([0]))
    assert (fewer.sets.items, fewer.ambiguous) == (1, 0)


def test_without_another_set_there_are_no_lines(data):
    """Whether the contest names none or its folder is not there; a change of the other set is a change of the
    contest."""
    assert other_entries(replace(CONTEST, other_set=""), data, {"one": system(data)}, None) == []
    assert other_entries(replace(CONTEST, other_set="none"), data, {"one": system(data)}, None) == []

    def mark() -> str:
        return fingerprint(CONTEST, data / "posters", (), 0, 3, "cpu", CONTEST.other_items(data))

    before = mark()
    (data / "films" / "items.jsonl").write_text("")
    assert mark() != before


def line(value: float) -> OtherEntry:
    """A line in which everything is `value`."""
    sets = SetFigures(10, value, value, value, value, value, value, value)
    return OtherEntry(system="ours", hears="image", labels=18, ambiguous=1, sets=sets, mean_ap=value)


def test_a_line_is_the_mean_over_seeds_and_is_shown(tmp_path):
    """In the terminal's table and on the page."""
    results = [
        Result(
            contest="posters-film-genres",
            seed=seed,
            fingerprint="",
            entries=(),
            leads=(),
            pages={},
            other=(line(value),),
        )
        for seed, value in enumerate((0.25, 0.5))
    ]
    assert mean_entries(results) == [line(0.375)]
    (column,) = [each for each in other_table(CONTEST, mean_entries(results)).columns if each.header == "F1"]
    assert list(column.cells) == ["0.375"]
    page = comparison_page(results, {}, tmp_path).decode()
    assert "1 left out as ambiguous, 18 labels" in " ".join(page.split())
    assert page.count("<td>0.375</td>") == 8
