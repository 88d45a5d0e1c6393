"""Means over seeds, the choice of contests, and the command line of `train compare`."""

import io
from dataclasses import fields
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from genrestream.cli.compare import TABLE_COLUMNS, comparison_table
from genrestream.cli.errors import CommandError
from genrestream.cli.main import app

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.comparison.contests import CONTESTS, SAMPLE, choose_contests  # noqa: E402
from genrestream.training.comparison.entries import Entry  # noqa: E402
from genrestream.training.comparison.results import Result  # noqa: E402
from genrestream.training.comparison.table import rows_of  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.metrics import Figures  # noqa: E402
from genrestream.training.recipes.spec import load_recipe, recipe_names  # noqa: E402


def figures(value: float) -> Figures:
    """All figures the same, of ten items."""
    return Figures(**{field.name: value for field in fields(Figures)} | {"items": 10})


def result(seed: int, entry: Entry) -> Result:
    return Result(contest="shows", seed=seed, fingerprint="", entries=(entry,), leads=(), pages={})


def test_a_line_is_the_mean_over_seeds():
    """Figures and costs; beside top-1 and mAP the lowest and the highest."""
    lines = [
        Entry(system="ours", hears="text", figures=figures(value), size_bytes=size, training_s=2.0 * value)
        for value, size in ((0.25, 100), (0.75, 103))
    ]
    (row,) = rows_of([result(seed, line) for seed, line in enumerate(lines)])
    assert row.entry.figures == figures(0.5)
    assert (row.entry.size_bytes, row.entry.training_s, row.entry.inference_ms) == (102, 1.0, None)
    assert (row.seeds, row.top1_between, row.mean_ap_between) == (2, (0.25, 0.75), (0.25, 0.75))
    assert row.as_dict()["top1"] == 0.5


def test_a_line_that_failed_once_has_no_figures():
    """A mean of the seeds that went well would flatter it; the reason is kept."""
    well = Entry(system="old", hears="text", figures=figures(0.5), size_bytes=1)
    failed = Entry(system="old", hears="text", note="it collapsed")
    (row,) = rows_of([result(0, well), result(1, failed)])
    assert row.entry == Entry(system="old", hears="text", note="it collapsed")
    assert "top1" not in row.as_dict()


def test_contests_are_those_whose_sets_are_there(tmp_path):
    """The generated sample always is; alone it is an error that names what was looked for."""
    (tmp_path / "songs").mkdir()
    with pytest.raises(TrainingError, match="none of podcasts, screenings, films, tracks, songs is there"):
        choose_contests(tmp_path)
    (tmp_path / "songs" / "items.jsonl").touch()
    assert [contest.name for contest in choose_contests(tmp_path)] == [SAMPLE, "songs"]
    assert [contest.name for contest in choose_contests(tmp_path, ["songs", "songs"])] == ["songs"]
    with pytest.raises(TrainingError, match="no set tracks in"):
        choose_contests(tmp_path, ["tracks"])
    with pytest.raises(TrainingError, match="no contest 'trakcs': there are sample, podcasts, "):
        choose_contests(tmp_path, ["trakcs"])


def test_every_contest_can_be_named_and_its_recipes_are_there():
    """Names are folders, so each is its own; a recipe that is not there would be told an hour later."""
    assert len({contest.name for contest in CONTESTS}) == len(CONTESTS)
    recipes = {name for contest in CONTESTS for name in contest.recipes}
    assert {load_recipe(name).name for name in recipes} == recipes
    assert recipes == set(recipe_names())


def test_reading_every_poster_has_to_be_asked_for(tmp_path):
    """It takes longer than all the rest."""
    (tmp_path / "screenings").mkdir()
    (tmp_path / "screenings" / "items.jsonl").touch()
    names = [contest.name for contest in choose_contests(tmp_path)]
    assert names == [SAMPLE, "screenings", "screenings-film-genres"]
    (read,) = choose_contests(tmp_path, ["screenings-read-posters"])
    assert read.recipes == ("poster_vgg16_text",)


def test_two_words_are_a_command(tmp_path):
    """`train compare` is one of its own, `train` is still there, and an empty folder is one line."""
    runner = CliRunner()
    assert "--recipe-epochs" in runner.invoke(app, ["train", "compare", "--help"]).output
    assert "--min-items" in runner.invoke(app, ["train", "--help"]).output
    assert "train compare" in runner.invoke(app, ["--help"]).output
    failed = runner.invoke(app, ["train", "compare", "--data", str(tmp_path)])
    assert isinstance(failed.exception, CommandError)
    assert str(failed.exception).startswith(f"no sets in {tmp_path}: none of")
    assert not Path(tmp_path / ".genrestream").exists()


def test_no_figure_is_cut_in_the_table():
    """At the width that is printed, whole figures beside whole names; a failed system has its reason."""
    well = Entry(
        system="track_audio_lyrics", hears="text+audio", figures=figures(0.125), size_bytes=1_500_000
    )
    failed = Entry(system="track_mfcc_cnn", hears="audio", note="the head collapsed: it predicts nothing")
    rows = rows_of([result(0, well), result(0, failed)])
    console = Console(width=TABLE_COLUMNS, record=True, file=io.StringIO())
    console.print(comparison_table("songs", rows))
    first, *rest = console.export_text().splitlines()[2:]
    assert first.split() == ["track_audio_lyrics:", "text+audio", "10", *["0.125"] * 6, "1.5"]
    assert " ".join("".join(rest).split()).startswith("track_mfcc_cnn: the head collapsed: it predicts")
