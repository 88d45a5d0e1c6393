"""The page of a small training: complete, self-contained, escaped, bounded, and with the report's figures."""

import base64
import json
import os
import re
import shutil
from dataclasses import replace
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from genrestream.repository import Repository, RepositoryError
from genrestream.schemas import Kind
from tests.unit.training.made_set import make_set
from tests.unit.training.read_page import Page
from tests.unit.training.starters import copy_starters

pytest.importorskip("torch")
# matplotlib only warns when a plot has no room.
pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("error:constrained_layout")]

from genrestream.training.beside_branches import beside_branches  # noqa: E402
from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.evaluate import Slice, slice_figures  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.metrics import Predictions, decide, label_average_precision, measure  # noqa: E402
from genrestream.training.release import Offline, release  # noqa: E402
from genrestream.training.report.cards import mistake_cards  # noqa: E402
from genrestream.training.report.findings import Findings, ModelCost  # noqa: E402
from genrestream.training.report.media import MediaShelf  # noqa: E402
from genrestream.training.report.page import FIGURES, render  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from genrestream.training.train import Trained, train  # noqa: E402

HOSTILE = '<script>alert("1")</script><img src="http://example.org/x.png"> & $\\frac$ \x00'
HOSTILE_LABEL = "Cooking <b>& \"'$x_$"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_starters(tmp_path_factory.mktemp("report") / "models")


@pytest.fixture(scope="module")
def shows(models: Path) -> Path:
    """Podcasts with hostile titles, a label of the same kind, and labels that are often wrong, so that there
    are mistakes."""
    folder = make_set(models.parent / "shows", 180, wrong=0.4)
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["title"] = f"{HOSTILE} {line['title']}"
        line["labels"]["genres"] = [
            HOSTILE_LABEL if label == "Cooking" else label for label in line["labels"]["genres"]
        ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (folder / "covers" / "1.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def request_(shows: Path, models: Path) -> TrainRequest:
    fit = FitSettings(epochs=4)
    store = models.parent / "store"
    return TrainRequest([shows], Kind.PODCAST, "genres", "genres", models, store, word_buckets=64, fit=fit)


@pytest.fixture(scope="module")
def trained(request_: TrainRequest) -> Trained:
    return train(request_)


@pytest.fixture(scope="module")
def page(trained: Trained) -> Page:
    return Page(trained.page.read_bytes())


SECTIONS = (
    *("summary", "gates", "curves", "labels", "slices", "calibration", "together", "confusion", "mistakes"),
    *("cost", "split", "settings"),
)


def test_the_page_is_well_formed_and_complete(trained, page):
    """Every tag is closed in its order, every section is there once and linked, every label has its row."""
    assert page.open == []
    assert [heading for heading in page.attributes("id") if heading in SECTIONS] == list(SECTIONS)
    assert sorted(page.attributes("href")[: len(SECTIONS)]) == sorted(f"#{name}" for name in SECTIONS)
    for label, threshold in zip(
        trained.candidate.release.labels, trained.candidate.release.thresholds, strict=True
    ):
        assert float(page.row(label)[-1]) == pytest.approx(threshold, abs=0.0051)
    assert [tag for tag, _ in page.tags].count("svg") == 5


def test_the_figures_are_those_of_the_report(trained, page):
    """The head's, the baselines', the slices', the split's and the labels' items, as in `report.json`."""
    report = json.loads((trained.candidate.directory / "report.json").read_bytes())
    shown = {"head": report["test"], **report["baselines"]}
    for name, figures in {**shown, **report["slices"]}.items():
        cells = page.row(name, str(figures["items"]))[2:]
        wanted = [figures[field] for field in FIGURES]
        assert [float(cell) for cell in cells] == pytest.approx(wanted, abs=0.0051)
    for fold, items in report["split"].items():
        assert page.row(fold)[1] == str(items)
    for label, items in report["items_by_label"].items():
        learnt, tested = map(int, page.row(label)[1:3])
        assert learnt + tested == items
    for name, version in report["versions"].items():
        assert page.row(name) == [name, version]
    assert page.row("feature hash")[1] == trained.candidate.release.feature_hash


def test_each_label_has_its_figures_and_intervals(trained, page):
    """As the test fold gives them; each interval holds its figure."""
    evaluation = trained.evaluation
    decided = evaluation.predictions.decided
    found = [page.row(label) for label in trained.candidate.release.labels]
    assert [int(row[3]) for row in found] == decided.sum(axis=0).tolist()
    assert np.mean([float(row[7]) for row in found]) == pytest.approx(evaluation.head.mean_ap, abs=0.001)
    assert np.mean([float(row[6]) for row in found]) == pytest.approx(evaluation.head.macro_f1, abs=0.001)
    between = [title.split(" to ") for title in page.attributes("title") if " to " in title]
    values = [float(value) for value in page.attributes("data-v") if value]
    assert len(between) == len(values) > 0
    for (low, high), value in zip(between, values, strict=True):
        assert float(low) - 0.001 <= value <= float(high) + 0.001


def test_gates_stand_on_the_page(trained, page):
    """With both figures, the interval of the lead, and whether it is passed."""
    for gate in trained.candidate.release.gates:
        row = next(
            row
            for row in page.cells
            if row[0] == gate.rival and row[1:2] == [FIGURES[gate.figure.value]] and len(row) == 9
        )
        assert row[2:4] == [f"{gate.head:.3f}", f"{gate.other:.3f}"]
        assert row[5] == "{:+.3f} to {:+.3f}".format(*gate.lead)
        assert ("✓" in row[8]) == gate.passed


def test_strangers_text_is_text(page):
    """A title with a script and a picture, and a label with tags, stand there as written; the page has its
    own script alone, and its policy lets no other run."""
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert '<script>alert("1")</script><img src="http://example.org/x.png"> & $\\frac$' in page.text
    assert HOSTILE_LABEL in page.text
    assert "\x00" not in page.text
    policy = page.attributes("content")[1]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_nothing_is_fetched(trained, page):
    """Every address is a part of the page or its data, and style sheets name none."""
    addresses = page.attributes("src", "href", "xlink:href", "poster", "srcset", "action", "data")
    assert addresses
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []
    text = trained.page.read_text(encoding="utf-8")
    assert re.findall(r"url\((?!#)|@import", text) == []


def test_pictures_are_small_and_a_missing_one_is_noted(page, trained, request_):
    """Thumbnails are JPEGs of at most 200 pixels a side; a cover that is no picture is a note."""
    pictures = [address for address in page.attributes("src") if address.startswith("data:image/jpeg")]
    assert pictures
    for picture in pictures:
        image = Image.open(BytesIO(base64.b64decode(picture.partition(",")[2])))
        assert (image.format, max(image.size)) == ("JPEG", 60)
    findings = few_findings(request_, trained, 3)
    presence = findings.presence.copy()
    presence[1, 1] = 0  # As the embedding pool saw the broken cover.
    cards = mistake_cards(replace(findings, presence=presence), MediaShelf()).lists.values()
    notes = {card.key: (card.picture is not None, card.notes) for card in chain(*cards)}
    assert notes == {
        "shows/p0": (False, ()),
        "shows/p1": (False, ("picture could not be read",)),
        "shows/p2": (True, ()),
    }


def few_findings(request: TrainRequest, trained: Trained, items: int) -> Findings:
    """Of the first items of the set, each with the wrong label."""
    examples = read_catalogue(request.sets, request.kind, request.task).examples[:items]
    labels = len(trained.candidate.release.labels)
    truth = np.eye(labels, dtype=bool)[np.arange(items) % labels]
    confidences = np.roll(truth, 1, axis=1) * 0.8 + 0.1
    thresholds = np.full(labels, 0.5)
    figures = measure(truth, confidences, thresholds)
    presence = np.array([[1, index % 3 > 0, 0] for index in range(items)], np.float32)
    return Findings(
        release=trained.candidate.release,
        examples=examples,
        groups=[example.group for example in examples],
        presence=presence,
        truth=truth,
        predictions=Predictions(confidences, decide(confidences, thresholds)),
        figures=figures,
        baselines={},
        slices={},
        parts={},
        beside={},
        costs=[ModelCost("head", 1000, 10, {1: 0.1})],
        versions={},
        seed=0,
    )


def test_a_full_page_leaves_media_out_and_says_so(request_, trained):
    """With room for one thumbnail the rest are counted; without any the page is there all the same."""
    findings = few_findings(request_, trained, 12)
    all_of_them = [card.picture for card in chain(*mistake_cards(findings, MediaShelf()).lists.values())]
    sizes = [len(picture) for picture in all_of_them if picture]
    tight = mistake_cards(findings, MediaShelf(max(sizes)))
    shown = [card.picture for card in chain(*tight.lists.values()) if card.picture]
    assert len(shown) == 1
    assert tight.media_left_out == len(sizes) - 1
    empty = Page(render(findings, media_bytes=0))
    assert f"{len(sizes)} pictures and clips are left out" in empty.text
    assert "picture left out: the page is full" in empty.text


def test_two_thousand_long_labels_fit(request_, trained):
    """The most and longest labels that a head can have, of characters that escaping makes longest: the page
    is under 10 MB, and its matrices hold the 30 most frequent."""
    few = few_findings(request_, trained, 6)
    rng = np.random.default_rng(0)
    truth = rng.random((6, 2000)) < 0.3
    confidences = rng.random((6, 2000))
    release_ = few.release.model_copy(
        update={
            "labels": tuple(f"{'&' * 195}{place:05d}" for place in range(2000)),
            "thresholds": (0.5,) * 2000,
        }
    )
    findings = replace(
        few,
        release=release_,
        truth=truth,
        predictions=Predictions(confidences, confidences > 0.5),
        figures=measure(truth, confidences, np.full(2000, 0.5)),
    )
    data = render(findings)
    assert len(data) < 10_000_000
    assert b"The 30 most frequent of 2000 labels." in data


def test_average_precision_on_the_page_by_hand(request_, trained):
    """Of six items label 0 is true for two, ranked first and third: (1 + 2/3) / 2 = 0.833."""
    few = few_findings(request_, trained, 6)
    truth = np.zeros((6, 3), bool)
    truth[[0, 2], 0] = True
    confidences = np.tile(np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])[:, None], (1, 3))
    assert label_average_precision(truth, confidences)[0] == pytest.approx(5 / 6)
    findings = replace(
        few,
        truth=truth,
        predictions=Predictions(confidences, confidences > 0.75),
        figures=measure(truth, confidences, np.full(3, 0.75)),
    )
    page = Page(render(findings))
    label, other = few.release.labels[:2]
    # Test items, given, precision, recall, F1, average precision; no item has the other label.
    assert page.row(label)[1:7] == ["2", "2", "0.500", "0.500", "0.500", "0.833"]
    assert page.row(other)[1:7] == ["0", "2", "0.000", "–", "0.000", "–"]


def test_fusing_stands_beside_each_modality_alone(request_, trained):
    """A line a slice of several modalities. Text ranks all of the twelve items right; pictures say the same
    of each, and all together are sure of the wrong ones: of both the average precision is the share of a
    label's items, 4 of 12. Less than text alone in every draw, so it is worse."""
    few = few_findings(request_, trained, 12)
    rows, thresholds = np.arange(12), np.full(3, 0.5)

    def part(confidences: np.ndarray) -> Slice:
        return Slice(rows, Predictions(confidences, decide(confidences, thresholds)))

    parts = {
        "text": part(few.truth * 0.8 + 0.1),
        "image": part(np.full((12, 3), 0.3)),
        "text+image": Slice(rows, few.predictions),
    }
    beside = beside_branches(parts, few.truth, few.groups, 0)
    slices = slice_figures(parts, few.truth)
    page = Page(render(replace(few, slices=slices, parts=parts, beside=beside)))
    row = next(row for row in page.cells if row[0] == "text+image" and len(row) == 8)
    between = "{:+.3f} to {:+.3f}".format(*beside["text+image"].gate.lead)
    assert row[1:] == ["12", "0.333", "1.000", "0.333", "-0.667", between, "✗ worse"]


def test_other_items_have_a_page_too(trained, shows, models, tmp_path):
    """`evaluate --html` writes it, without what only the training knows; a folder that is not there is one
    line."""
    options = ["--models", str(models), "--store", str(models.parent / "store")]
    target = tmp_path / "page.html"
    arguments = ["evaluate", "podcast-genres", str(shows), "--json", *options, "--html"]
    done = CliRunner().invoke(app, [*arguments, str(target)], catch_exceptions=False)
    assert done.exit_code == 0
    page = Page(target.read_bytes())
    figures = json.loads(done.stdout)["figures"]["head"]
    assert float(page.row("head")[2]) == pytest.approx(figures["mean_ap"], abs=0.001)
    assert [name for name in SECTIONS if name not in page.attributes("id")] == ["curves", "split"]
    failed = CliRunner().invoke(app, [*arguments, str(tmp_path / "nowhere" / "page.html")])
    assert isinstance(failed.exception, CommandError)
    assert "cannot write" in str(failed.exception)


async def test_the_page_goes_with_a_release_beside_its_version(trained, models, tmp_path):
    """The version's folder, which servers copy, has no page; it is found by model and version."""
    data = trained.page.read_bytes()
    shutil.copytree(models, tmp_path / "models")
    repository = Repository(tmp_path / "models")
    mine = repository.candidates("podcast-genres")[0]
    released = await release(repository, mine, Offline(repository), force=True)
    assert not (repository.version_dir(released.model, released.version) / "report.html").exists()
    assert "report.html" not in released.checksums
    found = repository.page(released.model, released.version)
    assert found is not None
    assert found.read_bytes() == data


def test_the_commands_say_where_the_page_lies(trained, models, tmp_path):
    """`releases` of the candidate, in its folder; `release`, and `releases` then, of the version, outside
    of what servers copy."""
    shutil.copytree(models, tmp_path / "models")
    no_stack = {"GENRESTREAM_DIR": str(tmp_path / "none"), "KAFKA_BOOTSTRAP": None}

    def run(*arguments: str) -> str:
        asked = [*arguments, "--models", str(tmp_path / "models")]
        return CliRunner().invoke(app, asked, env=no_stack, catch_exceptions=False).stdout

    (listed,) = json.loads(run("releases", "--json"))["releases"]
    assert Path(listed["report"]) == tmp_path / "models" / trained.page.relative_to(models)
    page = tmp_path / "models" / ".reports" / "podcast-genres" / "1.html"
    said = run("release", "--offline", "--force")
    assert said.splitlines()[-1] == f"report: {os.path.relpath(page)}"
    assert page.is_file()
    (listed,) = json.loads(run("releases", "--json"))["releases"]
    assert Path(listed["report"]) == page


async def test_a_page_that_cannot_be_kept_stops_the_release(trained, models, tmp_path):
    """Where a file stands in the place of its folder: one line, and nothing is live or left."""
    shutil.copytree(models, tmp_path / "models")
    repository = Repository(tmp_path / "models")
    (tmp_path / "models" / ".reports").write_text("in the way")
    with pytest.raises(RepositoryError, match=r"cannot write .*1\.html"):
        await release(repository, repository.candidates("podcast-genres")[0], Offline(repository), force=True)
    assert repository.live("podcast-genres") is None
    assert repository.versions("podcast-genres") == []
