"""Training by several processes that torchrun starts: the same result, said and written once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from genrestream.cli.main import app
from genrestream.repository import Repository
from genrestream.schemas import Kind, Modality
from genrestream.schemas.features import FeatureSpec
from tests.unit.training.made_set import make_set
from tests.unit.training.starters import copy_starters
from tests.unit.training.test_recipes_train import tiny

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training import shares  # noqa: E402
from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.launch import launched  # noqa: E402
from genrestream.training.processes import Processes, joined  # noqa: E402
from tests.unit.training import sharing  # noqa: E402

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
DEADLINE_S = 240


def torchrun(*command: str) -> "subprocess.CompletedProcess[str]":
    """The command in two processes."""
    return subprocess.run(
        [*TORCHRUN, *command], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def test_two_processes_learn_what_one_learns(tmp_path):
    """Each takes half of every batch, also of one in which its half lacks a modality, and of validation."""
    done = torchrun("-m", "tests.unit.training.sharing", str(tmp_path))
    assert done.returncode == 0, done.stderr
    network, curves = sharing.fit()
    assert curves.validation[-1] < 0.8 * curves.validation[0]
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["train"] == pytest.approx(curves.train, rel=1e-4)
        assert found["validation"] == pytest.approx(curves.validation, rel=1e-4)
        assert found["weights"].keys() == network.state_dict().keys()
        for name, weights in network.state_dict().items():
            torch.testing.assert_close(found["weights"][name], weights, rtol=1e-3, atol=1e-4)


def test_a_recipe_trained_by_two_is_said_and_written_once(tmp_path):
    """One candidate, one object on standard output, each line of the console once."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny(epochs=2).model_dump(mode="json")))
    models = tmp_path / "models"
    models.mkdir()
    made = make_set(tmp_path / "shows", 80)
    options = ["--kind", "podcast", "--task", "genres", "--models", str(models), "--recipe", str(recipe)]
    store = ["--store", str(tmp_path / "store"), "--device", "cpu", "--json"]
    done = torchrun("-m", "genrestream", "train", str(made), *options, *store)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["test"]["top1"] > 0
    assert len(Repository(models).candidates("podcast-genres")) == 1
    report = json.loads((Path(found["candidate"]) / "report.json").read_bytes())
    assert report["compared"].keys() == {Modality.TEXT, Modality.IMAGE, "text+image"}
    assert done.stderr.count("not passed") <= 1


def head_of(models: Path, made: Path, store: Path) -> list[str]:
    """What trains a head of ours on starter encoders."""
    copy_starters(models)
    options = ["--kind", "podcast", "--task", "genres", "--models", str(models), "--store", str(store)]
    return ["train", str(made), *options, "--device", "cpu", "--epochs", "4", "--json"]


def vectors_of(store: Path) -> dict[str, int]:
    """The size of what a store holds, by encoder."""
    return {file.parent.name: file.stat().st_size for file in store.glob("*/vectors.bin")}


def test_embeddings_are_shared_out(tmp_path):
    """Of two processes each computes half of them, and the first trains the head that one alone trains."""
    made, store = make_set(tmp_path / "shows", 80), tmp_path / "store"
    done = torchrun("-m", "genrestream", *head_of(tmp_path / "by-two", made, store))
    assert done.returncode == 0, done.stderr
    by_one = CliRunner().invoke(app, head_of(tmp_path / "by-one", made, tmp_path / "own"))
    assert by_one.exit_code == 0, by_one.stderr
    for name, value in json.loads(by_one.stdout)["test"].items():
        assert json.loads(done.stdout)["test"][name] == value, name
    assert len(Repository(tmp_path / "by-two").candidates("podcast-genres")) == 1
    all_bytes, halves = vectors_of(tmp_path / "own"), vectors_of(store / "shares" / "1-of-2")
    assert vectors_of(store) == all_bytes
    assert halves.keys() <= all_bytes.keys()
    for encoder, bytes_of_half in halves.items():
        whole = all_bytes[encoder]
        assert 0.4 * whole < bytes_of_half < 0.6 * whole


def test_a_share_that_the_first_process_does_not_see_ends_the_training(tmp_path, monkeypatch):
    """Machines that have no file system together: one line says what they need."""
    monkeypatch.setattr(shares, "current", lambda: Processes(0, 2))
    monkeypatch.setattr(shares, "wait_for_all", lambda: None)
    catalogue = read_catalogue([make_set(tmp_path / "shows", 4)], Kind.PODCAST, "genres")
    with pytest.raises(TrainingError, match=r"left nothing in .*1-of-2: all must see the same --store"):
        shares.share_out(catalogue.examples, [], FeatureSpec(), tmp_path / "store")


def test_what_cannot_be_shared_is_refused():
    """A batch has items for all."""
    Processes(0, 8).refuse_thin(16)
    with pytest.raises(TrainingError, match="too small for 9 processes"):
        Processes(0, 9).refuse_thin(16)


def test_a_launch_that_cannot_be_is_refused(monkeypatch):
    """A variable that is no number, and more processes than CUDA devices: one line says it."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", str(torch.cuda.device_count()))
    with (
        pytest.raises(TrainingError, match=f"{torch.cuda.device_count()} CUDA devices are here"),
        joined("cuda"),
    ):
        pytest.fail("it joined")
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(TrainingError, match="WORLD_SIZE is 'two' and no number"):
        launched()
