"""A contest in small: our head and an earlier system on the same split, one that collapses, and the page."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from genrestream.repository.layout import PAGE
from genrestream.schemas import Kind, Modality
from genrestream.schemas.releases import Release
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.comparison import contend as contend_module  # noqa: E402
from genrestream.training.comparison import results  # noqa: E402
from genrestream.training.comparison.contend import Settings, contend  # noqa: E402
from genrestream.training.comparison.contests import Contest  # noqa: E402
from genrestream.training.comparison.entries import AS_THEY_ARE, OURS  # noqa: E402
from genrestream.training.comparison.page import comparison_page  # noqa: E402
from genrestream.training.comparison.results import RESULT, Result  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.recipes.spec import load_recipe  # noqa: E402
from genrestream.training.record import SPLIT  # noqa: E402

ITEMS = 240
STARTERS = Path(__file__).parents[4] / "triton_models"


def recipe_file(folder: Path, name: str, **changes: object) -> str:
    """A recipe of 32 px and few channels, for seconds instead of minutes."""
    given = load_recipe("podcast_vgg16_gru").model_dump(mode="json")
    given["branches"][Modality.IMAGE] |= {"width": 0.05, "image_px": 32, "embedding": 8}
    given["branches"][Modality.TEXT] |= {"max_tokens": 16, "word_dim": 16, "hidden": 16, "dropout": 0.1}
    given["fit"] |= {"epochs": 4, "patience_epochs": 4, "rate": 0.01, "batch_items": 16}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**given, "name": name, **changes}))
    return str(path)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A set, and the starter's encoders for texts and pictures in the place of the pretrained ones."""
    folder = tmp_path_factory.mktemp("compare")
    made = make_set(folder / "data" / "shows", ITEMS)
    settings = Settings(folder / "data", folder / "work", made, epochs=3)
    for model in ("text-starter", "image-starter"):
        shutil.copytree(STARTERS / model, settings.encoders / model)
    return settings


@pytest.fixture(scope="module")
def contest(settings: Settings) -> Contest:
    """One recipe that learns, and one whose threshold nothing reaches."""
    learns = recipe_file(settings.data, "learns")
    fails = recipe_file(settings.data, "fails", threshold=0.9999)
    return Contest("shows", Kind.PODCAST, (learns, fails))


@pytest.fixture(scope="module")
def announced() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(contest: Contest, settings: Settings, announced: list[str]) -> Result:
    return contend(contest, 0, settings, quiet, announced.append)


def quiet(system: str) -> Callable[[str, int, int], None]:
    """Shows nothing."""
    return lambda step, done, total: None


def test_all_are_measured_on_the_same_items(result):
    """Our head with each subset of modalities, the baselines and the recipe's branches, on the test items
    that have text and a cover; only the whole systems say how long they trained."""
    lines = {(entry.system, entry.hears): entry for entry in result.entries if entry.figures}
    hearing = ("text", "image", "text+image")
    assert lines.keys() == {
        *((OURS, hears) for hears in (*hearing, AS_THEY_ARE)),
        *(("learns", hears) for hears in hearing),
        *(("frequencies", ""), ("all zeros", ""), ("TF-IDF", "text")),
    }
    assert len({entry.figures.items for entry in lines.values()}) == 1
    assert lines[OURS, "text+image"].figures == lines[OURS, AS_THEY_ARE].figures
    assert {line for line, entry in lines.items() if entry.training_s} == {
        (OURS, AS_THEY_ARE),
        ("learns", "text+image"),
    }
    for system in (OURS, "learns"):
        parts, whole = [lines[system, each] for each in ("text", "image")], lines[system, "text+image"]
        assert all(part.size_bytes < whole.size_bytes for part in parts)
        assert all(0 < part.inference_ms < whole.inference_ms for part in parts)


def test_all_are_trained_on_the_same_split(result):
    """The recipe's candidate keeps the folds of ours, byte for byte."""
    ours, theirs = (Path(result.pages[system]).with_name(SPLIT).read_bytes() for system in (OURS, "learns"))
    assert ours == theirs


def test_our_head_is_held_against_the_recipe(result):
    """By both figures; what is said of each is what its line says."""
    assert {(gate.rival, gate.figure) for gate in result.leads} == {
        ("learns", "mean_ap"),
        ("learns", "micro_f1"),
    }
    lines = {(entry.system, entry.hears): entry.figures for entry in result.entries}
    for gate in result.leads:
        assert gate.head == pytest.approx(getattr(lines[OURS, AS_THEY_ARE], gate.figure), abs=1e-4)
        assert gate.other == pytest.approx(getattr(lines["learns", "text+image"], gate.figure), abs=1e-4)


def test_a_system_that_collapses_is_told(result):
    """It has no figures but the reason, and the others have theirs."""
    (failed,) = [entry for entry in result.entries if entry.system == "fails"]
    assert failed.figures is None
    assert failed.hears == "text+image"
    assert "collapsed" in failed.note


def test_a_recipe_with_a_merged_tail_is_compared_on_what_both_learnt(settings):
    """It keeps two of the three labels and learns Others beside them: its own line says that it has labels of
    its own, and our head is held against it by the two alone."""
    merged = recipe_file(settings.data, "merged", labels="sigmoid", balance={"keep_labels": 2})
    found = contend(Contest("shows", Kind.PODCAST, (merged,)), 2, settings, quiet, lambda line: None)
    theirs = [entry for entry in found.entries if entry.system == "merged"]
    assert {entry.hears for entry in theirs} == {
        f"{hears}, 3 labels of its own" for hears in ("text", "image", "text+image")
    }
    assert {gate.rival for gate in found.leads} == {"merged (2 labels that both learnt)"}
    assert (
        Release.model_validate_json(Path(found.pages["merged"]).with_name("release.json").read_bytes()).others
        == "Others"
    )
    assert "3 labels of its own" in comparison_page([found], {}, Path(found.pages["merged"]).parent).decode()


def test_what_says_nothing_of_a_system_ends_the_comparison(contest, settings, monkeypatch):
    """A full disk is no collapse: its one line is the comparison's, and no result is kept of it."""

    def full_disk(*_: object) -> None:
        raise TrainingError("cannot keep embeddings: No space left on device")

    monkeypatch.setattr(contend_module, "train_recipe", full_disk)
    with pytest.raises(TrainingError, match="cannot keep embeddings: No space left on device"):
        contend(contest, 1, settings, quiet, lambda line: None)
    assert not (settings.work / "shows-1" / RESULT).exists()


def test_a_result_is_kept_until_something_changes(result, contest, settings, announced):
    """A second run takes it from its folder; with another recipe nothing is kept, nor from a torn file."""
    again = contend(contest, 0, settings, quiet, announced.append)
    assert again == result
    assert announced[-1].startswith("shows, seed 0: kept from an earlier run")
    before = len(announced)
    contend(replace(contest, recipes=()), 0, settings, quiet, announced.append)
    assert announced[before:] == ["shows, seed 0: our head"]
    (settings.work / "shows-0" / RESULT).write_text("{")
    contend(replace(contest, recipes=()), 0, settings, quiet, announced.append)
    assert announced[before:] == ["shows, seed 0: our head"] * 2


def test_other_code_or_another_device_keeps_nothing(contest, settings, monkeypatch):
    """Neither results nor encoders that another version of the code made are taken for this one's."""
    items = settings.data / "shows"

    def mark(device: str) -> str:
        return results.fingerprint(contest, items, (), 0, 3, device)

    marks, encoders = [mark("cpu"), mark("cpu"), mark("cuda")], settings.encoders
    for module in (contend_module, results):
        monkeypatch.setattr(module, "code_digest", lambda: "0" * 64)
    marks.append(mark("cpu"))
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3
    assert settings.encoders != encoders


def test_the_page_needs_nothing_else(result, settings):
    """Every line, the reason of the failed one escaped, a plot a contest and the one of costs, no address."""
    entries = tuple(
        entry.model_copy(update={"note": "<b>it</b>"}) if entry.note else entry for entry in result.entries
    )
    shown = [result.model_copy(update={"entries": entries})]
    page = comparison_page(shown, {"learns": "a & b"}, settings.work).decode()
    assert page.count("<svg") == 2
    assert "&lt;b&gt;it&lt;/b&gt;" in page
    assert "a &amp; b" in page
    for entry in result.entries:
        if entry.figures:
            assert f"<td>{entry.figures.items}</td>" in page
            assert f"<td>{entry.figures.top5:.3f}</td>" in page
    assert "://" not in page.replace("http://www.w3.org/1999/xlink", "")
    ways = [way for way in re.findall(r'<a href="([^"]+)"', page) if not way.startswith("#")]
    assert {(settings.work / unquote(way)).resolve() for way in ways} == {
        Path(own).resolve() for own in result.pages.values()
    }


def test_results_are_json(result, settings):
    """What is kept can be read by a program: an object with a line a system."""
    kept = json.loads(result.model_dump_json())
    assert [entry["system"] for entry in kept["entries"]] == [entry.system for entry in result.entries]
    assert all(Path(page).name == PAGE for page in kept["pages"].values())
