"""Trainings recorded with the real MLflow, in a folder."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from typer.testing import CliRunner, Result

from genrestream import __version__
from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from genrestream.repository import Repository
from genrestream.schemas import Kind
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import load_recipe
from genrestream.training.runs.origin import commit_tags
from genrestream.training.runs.place import place_of
from genrestream.training.runs.recording import recording
from genrestream.training.runs.store import RunStore
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Run  # noqa: E402

from genrestream.training.request import TrainRequest  # noqa: E402

COMMITTED = Path(__file__).parents[3] / "triton_models"
FILES = ("report.html", "report.json", "split.json")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository") / "models"
    shutil.copytree(COMMITTED, folder, ignore=shutil.ignore_patterns("*-genres", ".candidates"))
    return folder


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("made") / "shows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of all tests of this module are recorded, each test's under a head of its own."""
    return tmp_path_factory.mktemp("recorded") / "my runs"


@pytest.fixture(scope="module")
def client(folder: Path, trained: dict[str, Any]) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the training is started in."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def trained(shows: Path, models: Path, folder: Path, elsewhere: Path) -> dict[str, Any]:
    """What a recorded training prints as JSON."""
    with chdir(elsewhere):
        done = train(shows, models, "--epochs", "4", "--runs", str(folder), "--json")
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def command(shows: Path, models: Path, *options: str) -> list[str]:
    asked = ["train", str(shows), "--kind", "podcast", "--task", "genres", "--term-buckets", "256"]
    return [*asked, "--models", str(models), "--store", str(models.parent / "store"), *options]


def train(shows: Path, models: Path, *options: str) -> Result:
    return CliRunner().invoke(app, command(shows, models, *options), catch_exceptions=False)


def request(shows: Path, models: Path, served_as: str) -> TrainRequest:
    return TrainRequest([shows], Kind.PODCAST, "genres", served_as, models, models.parent / "store")


def run_of(client: MlflowClient, head: str) -> Run:
    experiment = client.get_experiment_by_name(f"genrestream/{head}")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def artifacts_of(run: Run) -> Path:
    return Path(unquote(urlsplit(run.info.artifact_uri).path))


def curve(client: MlflowClient, run: Run, name: str) -> list[tuple[int, float]]:
    return sorted((found.step, found.value) for found in client.get_metric_history(run.info.run_id, name))


def test_a_run_has_the_figures_of_the_report(trained, client):
    """Test fold, slices, baselines and gates to the last bit; the seconds of each step; every curve with the
    epoch as its step."""
    run = run_of(client, "podcast-genres")
    metrics = run.data.metrics
    report = json.loads((Path(trained["candidate"]) / "report.json").read_bytes())
    assert run.info.status == "FINISHED"
    expected = {f"test/{name}": value for name, value in report["test"].items()}
    for group in ("slices", "baselines"):
        for name, figures in report[group].items():
            within = f"{group}/{name.replace('+', '-')}"
            expected |= {f"{within}/{figure}": value for figure, value in figures.items()}
    for gate in trained["gates"]:
        within = f"gates/{gate['rival'].replace('+', '-')}/{gate['figure']}"
        expected |= {f"{within}/lead_low": gate["lead"][0], f"{within}/lead_high": gate["lead"][1]}
        expected |= {f"{within}/wins": gate["wins"], f"{within}/passed": float(gate["passed"])}
    assert {"slices/text-image/mean_ap", "baselines/all zeros/micro_f1"} < expected.keys()
    assert {"gates/TF-IDF/mean_ap/lead_low", "gates/frequencies/mean_ap/wins"} < expected.keys()
    assert {name: metrics.get(name) for name in expected} == expected
    for step, seconds in trained["seconds"].items():
        assert metrics[f"seconds/{step}"] == pytest.approx(seconds, abs=0.005)
    assert metrics["seconds/all"] == pytest.approx(sum(trained["seconds"].values()), abs=0.1)
    assert len(report["curves"]) == 5
    for part, branches in enumerate(report["curves"], start=1):
        for name, losses in branches.items():
            assert curve(client, run, f"curves/part {part}/{name}") == list(enumerate(losses, start=1))


def test_a_run_says_what_it_takes_to_do_it_again(trained, client, shows):
    """What was asked for, with the folds' sizes and the encoders' versions; the commit of the code; the bytes
    of the sets."""
    run = run_of(client, "podcast-genres")
    params, tags = run.data.params, run.data.tags
    candidate = Path(trained["candidate"])
    asked = {"sets": "shows", "kind": "podcast", "task": "genres", "seed": "0", "epochs": "4", "loss": "bce"}
    assert {name: params[name] for name in asked} == asked
    assert (params["aim"], params["encoders"], params["word_buckets"]) == ("micro-f1", "auto", "256")
    folds = json.loads((candidate / "split.json").read_bytes())
    assert {fold: int(params[f"fold.{fold}"]) for fold in folds} == {
        fold: len(keys) for fold, keys in folds.items()
    }
    release = json.loads((candidate / "release.json").read_bytes())
    for modality in ("text", "image"):
        encoder = release["encoders"][modality]
        assert params[f"encoder.{modality}"] == f"{encoder['model']} version {encoder['version']}"
    assert params["labels"] == "3"
    assert tags["candidate"] == trained["candidate"]
    assert tags["version.genrestream"] == __version__
    lines = (shows / "items.jsonl").read_bytes()
    assert json.loads(tags["sets_sha256"]) == {"shows": hashlib.sha256(lines).hexdigest()}
    assert commit_tags().items() <= tags.items()


def test_a_run_keeps_the_files_of_its_candidate(trained, client, folder, elsewhere):
    """Byte for byte, in the folder of the runs; nothing lies where the training was started."""
    kept = artifacts_of(run_of(client, "podcast-genres"))
    assert kept.is_relative_to(folder / "artifacts")
    for name in FILES:
        assert (kept / name).read_bytes() == (Path(trained["candidate"]) / name).read_bytes()
    asked = json.loads((kept / "asked.json").read_bytes())
    assert (asked["sets"][0].endswith("/shows"), asked["epochs"], asked["rate"]) == (True, 4, 4.0)
    assert list(elsewhere.iterdir()) == []


def test_a_recipe_is_recorded_with_its_file_and_curves(client, folder, tmp_path):
    """Its keys are parameters in place of the own heads' settings, and each network's losses are curves."""
    given = load_recipe("poster_vgg16").model_dump(mode="json")
    given["branches"]["image"] |= {"width": 0.05, "image_px": 32, "embedding": 8}
    given["fit"] |= {"epochs": 4, "patience_epochs": 4, "rate": 0.01, "batch_items": 16}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    shows = make_set(tmp_path / "shows", 120)
    (tmp_path / "models").mkdir()
    options = ["--recipe", str(tmp_path / "mine.yaml"), "--as", "posters", "--epochs", "2", "--seed", "1"]
    done = train(shows, tmp_path / "models", *options, "--runs", str(folder), "--json")
    run = run_of(client, "podcast-posters")
    report = json.loads((Path(json.loads(done.stdout)["candidate"]) / "report.json").read_bytes())
    params = run.data.params
    assert (params["recipe.name"], params["recipe.fit.rate"]) == ("poster_vgg16", "0.01")
    assert (params["recipe.branches.image.image_px"], params["seed"]) == ("32", "1")
    assert {"encoders", "epochs", "recipe.description"} & params.keys() == set()
    assert run.data.metrics["test/mean_ap"] == report["test"]["mean_ap"]
    for name in ("train", "validation"):
        losses = report["compared"]["image"]["curves"][name]
        assert curve(client, run, f"compared/image/curves/{name}") == list(enumerate(losses, start=1))


def test_a_training_that_breaks_off_is_a_failed_run(client, shows, models, folder):
    """With what the user was told, the parameters, and no figure."""
    options = ["--as", "failing", "--min-items", "1000", "--runs", str(folder)]
    done = CliRunner().invoke(app, command(shows, models, *options))
    assert isinstance(done.exception, CommandError)
    assert "stand on at least 1000 items" in str(done.exception)
    run = run_of(client, "podcast-failing")
    assert run.info.status == "FAILED"
    assert run.info.end_time >= run.info.start_time
    assert run.data.tags["error"] == f"TrainingError: {done.exception}"
    assert run.data.params["min_items"] == "1000"
    assert run.data.metrics == {}


def test_ctrl_c_leaves_a_failed_run(client, shows, models, folder):
    """It goes on to whoever waits for it."""

    def begun_and_stopped() -> None:
        with recording(str(folder)) as run:
            run.asked(request(shows, models, "stopped"), None)
            assert run_of(client, "podcast-stopped").info.status == "RUNNING"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun_and_stopped()
    stopped = run_of(client, "podcast-stopped")
    assert (stopped.info.status, stopped.data.tags["error"]) == ("FAILED", "KeyboardInterrupt: ")


def test_a_candidate_outlives_its_run(client, trained, shows, models, folder):
    """A store that fails at the end is an error that names the candidate, which stays; the run is a failed
    one."""
    candidate = Repository(models).candidates("podcast-genres")[0]
    in_the_way = folder / "artifacts" / "genrestream" / "podcast-outliving"

    def found_where_files_cannot_be_kept() -> None:
        with recording(str(folder)) as run:
            run.asked(request(shows, models, "outliving"), None)
            shutil.rmtree(in_the_way)
            in_the_way.write_text("a file", encoding="utf-8")
            run.found(candidate, {"fit": 1.0})

    message = rf"the candidate {candidate.directory} is written, but not its run: cannot record runs in .*"
    with pytest.raises(TrainingError, match=message):
        found_where_files_cannot_be_kept()
    assert (candidate.directory / "report.json").is_file()
    assert run_of(client, "podcast-outliving").info.status == "FAILED"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "nobody"], "no recipe 'nobody'"),
        (["--runs", "file:///tmp/runs"], "runs cannot be recorded in file://: name a folder"),
    ],
)
def test_what_is_asked_for_wrongly_begins_no_run(client, shows, models, folder, options, message):
    """An unknown recipe, an address that is none: one line, and no run that failed."""
    asked = ["--runs", str(folder), "--as", "wrong", *options]
    done = CliRunner().invoke(app, command(shows, models, *asked))
    assert isinstance(done.exception, CommandError)
    assert message in str(done.exception)
    assert client.get_experiment_by_name("genrestream/podcast-wrong") is None


def a_file_in_its_place(place: Path) -> str:
    place.write_text("a file", encoding="utf-8")
    return str(place)


def no_database(place: Path) -> str:
    place.mkdir()
    (place / "mlflow.db").write_bytes(b"no database" * 1000)
    return str(place)


def a_folder_in_its_place(place: Path) -> str:
    (place / "mlflow.db").mkdir(parents=True)
    return f"sqlite:///{place}/mlflow.db"


def no_server(place: Path) -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_file_in_its_place, r"mlflow\.db: File exists \(.*/runs\)"),
        (no_database, r"mlflow\.db: file is not a database"),
        (a_folder_in_its_place, r"mlflow\.db: unable to open database file"),
        (no_server, r"http://127\.0\.0\.1:\d+: .*Connection refused"),
    ],
)
def test_a_place_that_takes_no_runs_is_known_before_the_training(make, reason, shows, models, tmp_path):
    """One line with the place and the reason, and no candidate."""
    address = make(tmp_path / "runs")
    done = CliRunner().invoke(app, command(shows, models, "--as", "unrecorded", "--runs", address))
    assert isinstance(done.exception, CommandError)
    assert re.fullmatch(rf"cannot record runs in .*{reason}.*", str(done.exception))
    assert Repository(models).candidates("podcast-unrecorded") == []


def test_without_mlflow_nothing_is_trained(shows, models, tmp_path):
    """One line that names the extra and what installs it, before anything is read or made."""
    code = "import sys; sys.modules['mlflow'] = None; from genrestream.__main__ import main; main()"
    asked = command(shows, models, "--as", "unrecorded", "--runs", str(tmp_path / "runs"))
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "genrestream: mlflow is not installed; recorded runs need the extra `runs`: "
        "`make setup-training`, or `pip install '.[runs]'`, installs it\n"
    )
    assert list(tmp_path.iterdir()) == []
    assert Repository(models).candidates("podcast-unrecorded") == []


def test_two_trainings_may_begin_together(tmp_path):
    """Where there is no store yet: one of them makes it, and both have a run of the same head."""
    code = (
        "import sys; from genrestream.training.runs.place import place_of; "
        "from genrestream.training.runs.store import RunStore; "
        "RunStore.to_write(place_of(sys.argv[1])).begin('podcast-genres', 'one', {})"
    )
    begun = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(each.communicate()[1], each.returncode) for each in begun] == [("", 0)] * 2
    assert len(RunStore.to_read(place_of(str(tmp_path))).newest(10, "podcast-genres")) == 2


@pytest.fixture
def listed(trained, folder) -> Iterator[str]:
    """The id of a run that is begun after the recorded training, of another head."""
    store = RunStore.to_write(place_of(str(folder)))
    run = store.begin("track-listed", "one", {})
    yield run
    store.end(run, "FAILED")


def test_runs_are_listed_newest_first(listed, trained, folder):
    """With what a script needs as JSON, of all heads or of one."""
    every = json.loads(listing(str(folder), "--json").stdout)["runs"]
    assert every[0]["run"] == listed
    assert (every[0]["head"], every[0]["status"], every[0]["ended_at"]) == ("track-listed", "running", None)
    assert [run["began_at"] for run in every] == sorted((run["began_at"] for run in every), reverse=True)
    (mine,) = json.loads(listing(str(folder), "--json", "--head", "podcast-genres").stdout)["runs"]
    assert (mine["status"], mine["recipe"], mine["error"]) == ("finished", None, None)
    assert mine["candidate"] == trained["candidate"]
    assert mine["metrics"]["test/mean_ap"] == trained["test"]["mean_ap"]
    assert mine["params"]["seed"] == "0"


def test_the_list_is_a_line_a_run(listed, trained, folder):
    """When, head, recipe, how it ended, figures, candidate; what is left out is said on standard error."""
    shown = listing(str(folder), "--head", "podcast-genres").stdout.splitlines()
    assert [len(shown), shown[0].split()[:3]] == [2, ["began", "head", "recipe"]]
    figures = [f"{trained['test'][name]:.3f}" for name in ("top1", "micro_f1", "mean_ap")]
    expected = ["podcast-genres", "own", "head", "finished", *figures, trained["candidate"]]
    assert shown[1].split()[2:] == expected
    newest = listing(str(folder), "--limit", "1")
    assert [line.split()[2] for line in newest.stdout.splitlines()[1:]] == ["track-listed"]
    assert "the newest 1: --limit shows more" in newest.stderr


def test_a_folder_without_runs_is_one_line(tmp_path):
    """Reading makes nothing."""
    done = CliRunner().invoke(app, ["runs", str(tmp_path / "nowhere")])
    assert isinstance(done.exception, CommandError)
    assert str(done.exception).startswith(f"no runs at {tmp_path}/nowhere/mlflow.db: ")
    assert list(tmp_path.iterdir()) == []


def test_mlflow_sends_nothing_home(tmp_path):
    """With the package imported first, MLflow counts no usage and leaves no device id behind."""
    code = "import genrestream, mlflow; print(mlflow.telemetry.get_telemetry_client())"
    # Nothing of this process's environment: it holds what tells MLflow that it is being tested.
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "None\n"
    assert list(tmp_path.iterdir()) == []


def listing(*options: str) -> Result:
    return CliRunner().invoke(app, ["runs", *options], catch_exceptions=False)
