"""Trainings on a set that holds near-duplicates under other ids and groups, and on a split of before."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from tests.unit.training.made_set import make_set
from tests.unit.training.starters import copy_starters

pytest.importorskip("torch")
pytestmark = pytest.mark.training

COPIED = range(1, 30, 3)
"""Ten items with covers, each of another group of two."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_starters(tmp_path_factory.mktemp("repository") / "models")


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 items in 150 groups, and ten of them once more, each in a group of its own."""
    folder = make_set(tmp_path_factory.mktemp("made") / "shows")
    add_copies(folder, COPIED, "copy")
    return folder


def add_copies(folder: Path, rows: range, name: str) -> None:
    """Add the items once more: another id and group, other words, the cover as a larger JPEG."""
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    for row in rows:
        cover = f"covers/{name}{row}.jpg"
        target = io.BytesIO()
        Image.open(folder / lines[row]["cover"]).resize((120, 120)).save(target, "JPEG", quality=85)
        (folder / cover).write_bytes(target.getvalue())
        line = {**lines[row], "id": f"{name}{row}", "group": f"{name}{row}", "cover": cover}
        lines.append({**line, "title": f"scraped again {lines[row]['title'].split()[0]}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def command(shows: Path, models: Path, *options: str) -> list[str]:
    store = models.parent / "store"
    asked = ["train", str(shows), "--kind", "podcast", "--task", "genres", "--term-buckets", "256"]
    return [*asked, "--models", str(models), "--store", str(store), *options]


@pytest.fixture(scope="module")
def candidate(shows: Path, models: Path) -> dict[str, Any]:
    """What the first training prints as JSON."""
    done = CliRunner().invoke(app, command(shows, models, "--json"), catch_exceptions=False)
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def folds_of(candidate: Path) -> dict[str, str]:
    folds = json.loads((candidate / "split.json").read_bytes())
    return {key: fold for fold, keys in folds.items() for key in keys}


def test_near_duplicates_over_groups_are_in_one_fold(candidate):
    """Each copy is where its original and that one's group are; the report says how many were joined: ten
    clusters of a group of two and a copy."""
    folds = folds_of(Path(candidate["candidate"]))
    assert len(folds) == 310
    for row in COPIED:
        pair = 2 * (row // 2)
        assert len({folds[f"shows/{name}"] for name in (f"p{pair}", f"p{pair + 1}", f"copy{row}")}) == 1
    joined = {"clusters": 10, "items": 30, "contents_left_apart": 0}
    assert candidate["near_duplicates_joined"] == joined
    report = json.loads((Path(candidate["candidate"]) / "report.json").read_bytes())
    assert (report["near_duplicates_joined"], report["frozen_split"]) == (joined, None)


def test_a_split_of_before_is_used_again(candidate, shows, models, tmp_path):
    """With another seed the folds are the same; a new copy of an item goes with it, and what was joined and
    what the file does not name is shown."""
    first = Path(candidate["candidate"])
    grown = tmp_path / "shows"
    shutil.copytree(shows, grown)
    add_copies(grown, range(40, 41), "late")
    options = ("--split", str(first / "split.json"), "--seed", "5", "--as", "again")
    shown = CliRunner().invoke(app, command(grown, models, *options), catch_exceptions=False)
    assert "near-duplicates joined over groups: 33 items in 11 clusters" in shown.stdout
    assert "items that the split does not name: 1" in shown.stdout
    again = next((models / ".candidates" / "podcast-again").iterdir())
    before = folds_of(first)
    assert folds_of(again) == {**before, "shows/late40": before["shows/p40"]}
    report = json.loads((again / "report.json").read_bytes())
    assert report["frozen_split"] == {"items_not_named": 1, "items_not_there": 0}


def test_a_head_is_not_measured_on_near_duplicates_of_its_training(candidate, shows, models, tmp_path):
    """Thirty items were scraped again: those of them whose original was in the test fold are measured on."""
    grown = tmp_path / "shows"
    shutil.copytree(shows, grown)
    add_copies(grown, range(100, 190, 3), "late")
    before = folds_of(Path(candidate["candidate"]))
    options = ["--models", str(models), "--store", str(models.parent / "store"), "--json"]
    measured = CliRunner().invoke(
        app, ["evaluate", "podcast-genres", str(grown), *options], catch_exceptions=False
    )
    late = sum(before[f"shows/p{row}"] != "test" for row in range(100, 190, 3))
    assert 0 < late < 30
    assert json.loads(measured.stdout)["left_out"] == late + sum(fold != "test" for fold in before.values())


def test_a_wrong_split_is_one_line(shows, models):
    """A file that is not there, named as the user gave it; nothing is trained."""
    done = CliRunner().invoke(app, command(shows, models, "--split", "nowhere.json"))
    assert isinstance(done.exception, CommandError)
    assert str(done.exception) == "no split at nowhere.json: there is no such file"
