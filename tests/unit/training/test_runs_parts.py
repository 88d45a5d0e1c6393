"""What an address names, what a run holds, and which commit it comes from; without MLflow."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from genrestream.schemas.releases import Gate, GateFigure
from genrestream.training.errors import TrainingError
from genrestream.training.runs.contents import Measured, asked_params, measured
from genrestream.training.runs.origin import commit_tags, set_fingerprints
from genrestream.training.runs.place import place_of

LEAD = Gate(
    rival="text+image", figure=GateFigure.MEAN_AP, items=9, head=0.5, other=0.4, wins=0.95, passed=True
)


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("/data/runs", "sqlite:////data/runs/mlflow.db"),
        ("/data/my runs", "sqlite:////data/my runs/mlflow.db"),
        ("sqlite:////data/other.db", "sqlite:////data/other.db"),
        ("https://runs.example.org/base/", "https://runs.example.org/base"),
    ],
)
def test_an_address_is_a_folder_a_file_or_a_server(address, uri):
    """A folder holds MLflow's database; a server has its own."""
    place = place_of(address)
    assert place.uri == uri
    assert place.database == (None if uri.startswith("https") else Path(uri.removeprefix("sqlite:///")))


def test_a_relative_folder_is_told_from_where_the_command_is_started(tmp_path, monkeypatch):
    """Whatever changes the working folder later."""
    monkeypatch.chdir(tmp_path)
    assert place_of("runs").database == tmp_path / "runs" / "mlflow.db"
    assert place_of("sqlite:///mine.db").database == tmp_path / "mine.db"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "the address of their store is empty"),
        ("file:///data/runs", "name a folder"),
        ("databricks://profile", "name a folder"),
        ("sqlite://", "name a folder"),
        ("/data/50%", "its name holds % or ?"),
        ("sqlite:////data/a.db?mode=ro", "its name holds % or ?"),
        ("https://", "it names no host"),
        ("http://[::1", "is no address"),
    ],
)
def test_other_addresses_are_refused(address, message):
    """With what is wrong with them."""
    with pytest.raises(TrainingError, match=re.escape(message)):
        place_of(address)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    """The message may be logged; it says where a login belongs."""
    with pytest.raises(TrainingError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        place_of("https://me:secret@runs.example.org")
    assert "secret" not in str(refused.value)


def test_figures_have_the_names_of_the_report():
    """Nested names are joined by slashes, a list of numbers is a curve from epoch 1, a list of parts is
    numbered; what is no number and what is asked for nowhere is left out; `+` is not allowed."""
    report = {
        "test": {"items": 9, "top1": 0.5},
        "slices": {"text+image": {"top1": 0.25}},
        "curves": [{"text": [0.7, 0.6]}, {"text": [0.8]}],
        "compared": {"image": {"curves": {"validation": [0.5], "best_epoch": 1}, "name": "image"}},
        "frozen_split": None,
        "items_by_label": {"Jazz": 3},
    }
    assert measured(report, [], {"fit": 1.5, "write": 0.5}) == [
        Measured("test/items", 9.0),
        Measured("test/top1", 0.5),
        Measured("slices/text-image/top1", 0.25),
        Measured("compared/image/curves/validation", 0.5, 1),
        Measured("compared/image/curves/best_epoch", 1.0),
        Measured("curves/part 1/text", 0.7, 1),
        Measured("curves/part 1/text", 0.6, 2),
        Measured("curves/part 2/text", 0.8, 1),
        Measured("seconds/fit", 1.5),
        Measured("seconds/write", 0.5),
        Measured("seconds/all", 2.0),
    ]


def test_a_gate_has_its_lead_where_there_is_one():
    """Also the one of the loss that was asked for."""
    gates = [LEAD.model_copy(update={"lead": (0.01, 0.2)})]
    report = {"loss_gate": LEAD.model_dump(mode="json")}
    found = {figure.name: figure.value for figure in measured(report, gates, {})}
    within = "gates/text-image/mean_ap"
    assert found == {
        f"{within}/other": 0.4,
        f"{within}/wins": 0.95,
        f"{within}/lead_low": 0.01,
        f"{within}/lead_high": 0.2,
        f"{within}/passed": 1.0,
        "loss_gate/other": 0.4,
        "loss_gate/wins": 0.95,
        "loss_gate/passed": 1.0,
        "seconds/all": 0.0,
    }


def test_parameters_are_texts_by_path():
    """Sets go by their folders' names; what is not set is left out, and so is a recipe's prose."""
    recipe = {"name": "mine", "description": "long", "fit": {"rate": 0.01, "flip": False}}
    asked = {"sets": [Path("/a/shows"), Path("b")], "split": None, "source": "", "recipe": recipe}
    assert asked_params(asked) == {
        "sets": "shows, b",
        "recipe.name": "mine",
        "recipe.fit.rate": "0.01",
        "recipe.fit.flip": "False",
    }


def test_a_set_that_is_not_there_is_one_line(tmp_path):
    """As the training itself would say."""
    with pytest.raises(TrainingError, match=r"no catalogue set at .*nowhere: items.jsonl is missing"):
        set_fingerprints([tmp_path / "nowhere"])


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_package(tmp_path):
    """And whether its files differ from it. A package that git does not follow, such as a wheel installed
    inside a checkout, has none."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit_tags(package) == {}
    git(tmp_path, "init", "--quiet")
    assert commit_tags(package) == {}
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert commit_tags(package) == {"mlflow.source.git.commit": commit, "git_changed": "false"}
    (package / "__init__.py").write_text("changed = True")
    assert commit_tags(package) == {"mlflow.source.git.commit": commit, "git_changed": "true"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
