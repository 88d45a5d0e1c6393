"""From a set to a candidate, with the committed starter encoders."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from genrestream.repository import GOLDEN, GRAPH, Candidate, Repository
from genrestream.repository.checksums import folder_checksums
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.graph import Graph
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES, EMBEDDING, TOKEN_IDS
from genrestream.training.errors import TrainingError
from genrestream.workers.features.batches import pad_tokens
from tests.unit.training.dying import encode_or_die
from tests.unit.training.made_set import GENRES, make_set
from tests.unit.training.starters import copy_starters

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training import embeddings  # noqa: E402
from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.encoder_choice import choose_encoders  # noqa: E402
from genrestream.training.encoders.onnx_export import dynamic_int8  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.release import Offline, release  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from genrestream.training.terms_size import hashed_features  # noqa: E402
from genrestream.training.train import train  # noqa: E402


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return copy_starters(tmp_path / "models")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("made") / "shows")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings are shared by the tests of this module: they are the same for the same content."""
    return tmp_path_factory.mktemp("store")


def request(made: Path, models: Path, store: Path, **changed: object) -> TrainRequest:
    asked = TrainRequest([made], Kind.PODCAST, "genres", "genres", models, store, word_buckets=256)
    return TrainRequest(**{**{name: getattr(asked, name) for name in asked.__slots__}, **changed})


def test_a_learnable_set_becomes_a_good_candidate(made, models, store):
    """The head beats every baseline, is right on nine of ten best labels, and hears text and pictures; the
    candidate's files are those of its record, its golden batch covers all three subsets and passes, no
    group is in two folds, and fusing text and pictures is no worse than the better of them, by a gate."""
    steps: list[str] = []
    trained = train(request(made, models, store), lambda step, done, total: steps.append(step))
    evaluation, release = trained.evaluation, trained.candidate.release
    assert set(evaluation.baselines) == {"frequencies", "all zeros", "TF-IDF"}
    assert evaluation.head.top1 > 0.9
    assert all(evaluation.head.mean_ap >= found.mean_ap for found in evaluation.baselines.values())
    assert release.modalities == (Modality.TEXT, Modality.IMAGE)
    assert {encoder.model for encoder in release.encoders.values()} == {"text-starter", "image-starter"}
    assert sorted(release.labels) == ["Cooking", "Science", "Sports"]
    assert release.trained_on == {"shows": 300}
    assert set(steps) == {"near-duplicates", "features and embeddings", "training"}
    directory = trained.candidate.directory
    golden = read_golden(directory / GOLDEN)
    assert len(np.unique(golden.inputs["presence"], axis=0)) == 3
    check_golden(golden, Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES), "it")
    folds = json.loads((directory / "split.json").read_bytes())
    groups = [{int(key.removeprefix("shows/p")) // 2 for key in keys} for keys in folds.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 150
    report = json.loads((directory / "report.json").read_bytes())
    assert report["baselines"]["all zeros"]["micro_f1"] == 0
    assert report["slices"].keys() == {"text", "image", "text+image"}
    beside = report["beside_branches"]["text+image"]
    assert beside["alone"].keys() == {"text", "image", "text: words", "text: embedding"}
    assert beside["gate"]["rival"] == f"{beside['best']} alone on text+image"
    assert beside["gate"]["head"] == pytest.approx(report["slices"]["text+image"]["mean_ap"], abs=1e-4)
    assert beside["gate"]["passed"]
    assert beside["gate"] in [gate.model_dump(mode="json") for gate in release.gates]


async def test_what_is_live_has_to_be_beaten(made, models, store, tmp_path):
    """A head that learnt from few items, most labelled by chance, is live: a good one beats it and goes live.
    The same one again does not beat itself, and is refused with the figures."""
    repository = Repository(models)
    poor = make_set(tmp_path / "poor", 90, wrong=0.8, seed=1)
    hardly = train(request(poor, models, store, min_items=5))
    await release(repository, hardly.candidate, Offline(repository), force=True)
    good = train(request(made, models, store))
    gates = {(gate.rival, gate.figure.value): gate for gate in good.candidate.release.gates}
    assert gates["podcast-genres version 1", "mean_ap"].passed
    assert gates["frequencies", "mean_ap"].passed
    assert gates["all zeros", "micro_f1"].passed
    assert gates["frequencies", "mean_ap"].items == good.evaluation.head.items
    # Words alone explain this set, so the head cannot beat them: of the reasons only this one is left.
    released = await release(repository, good.candidate, Offline(repository), force=True)
    assert all("TF-IDF" in reason for reason in released.forced)
    again = train(request(made, models, store))
    with pytest.raises(TrainingError, match="does not beat podcast-genres version 2: mean average precision"):
        await release(repository, again.candidate, Offline(repository))


async def test_a_live_head_that_saw_the_test_items_is_no_rival(made, models, store, caplog):
    """Nothing can be told from items that it was trained on; the training says so, and the release has to be
    forced."""
    repository = Repository(models)
    first = train(request(made, models, store))
    (first.candidate.directory / "split.json").write_text(
        json.dumps(
            {"train": [example.key for example in read_catalogue([made], Kind.PODCAST, "genres").examples]}
        )
    )
    await release(repository, signed_again(first.candidate), Offline(repository), force=True)
    second = train(request(made, models, store))
    assert "podcast-genres version 1 cannot be compared with: 0 test items that it never saw" in caplog.text
    with pytest.raises(TrainingError, match="not measured against podcast-genres version 1"):
        await release(repository, second.candidate, Offline(repository))


def signed_again(candidate: Candidate) -> Candidate:
    """With the checksums that its files have now."""
    checksums = folder_checksums(candidate.directory)
    checksums.pop("release.json", None)
    record = candidate.release.model_copy(update={"checksums": checksums})
    return replace(candidate, release=record)


def test_the_same_seed_gives_the_same_graph(made, models, store):
    """Byte for byte; another seed gives another split and so another graph."""
    first, again, other = (
        (
            train(request(made, models, store, fit=FitSettings(seed=seed, epochs=4))).candidate.directory
            / GRAPH
        )
        for seed in (1, 1, 2)
    )
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_labels_that_nothing_explains_are_refused_and_nothing_is_written(tmp_path, models, store):
    """A collapsed head fails the training with the reason; there is no candidate."""
    noise = make_set(tmp_path / "noise", wrong=1.0, seed=4)
    asked = request(noise, models, store, encoders="image-starter", fit=FitSettings(epochs=1, rate=1e-6))
    with pytest.raises(TrainingError, match=r"the head (collapsed|learnt nothing)"):
        train(asked)
    assert Repository(models).heads() == []


@pytest.mark.parametrize("seed", [3, 5])
async def test_a_head_of_labels_that_nothing_explains_never_goes_live(tmp_path, models, store, seed):
    """It collapses, and then there is no candidate; or by chance it ranks the test items a little better than
    the labels' frequencies do, and then in too few draws of them to be released."""
    noise = make_set(tmp_path / "noise", wrong=1.0, seed=seed)
    asked = request(noise, models, store, encoders="image-starter", fit=FitSettings(epochs=1, rate=1e-6))
    repository = Repository(models)
    wanted = r"the head (collapsed|learnt nothing)|does not beat frequencies: mean average precision"
    with pytest.raises(TrainingError, match=wanted) as refused:
        await release(repository, train(asked).candidate, Offline(repository))
    assert ("does not beat" in str(refused.value)) == bool(repository.candidates("podcast-genres"))
    assert repository.live("podcast-genres") is None


def test_embeddings_are_computed_once(made, models, tmp_path):
    """The second time nothing is computed and the rows are the same, presence and terms included."""
    examples = read_catalogue([made], Kind.PODCAST, "genres").examples[:40]
    encoders = choose_encoders(Repository(models), "auto", [Modality.TEXT, Modality.IMAGE])
    hashed = hashed_features(3, 256)
    first, again = (
        embeddings.embed(examples, encoders, hashed, 20_000, tmp_path / "store") for _ in range(2)
    )
    assert first.computed == 40 + 26  # 40 texts, and covers on two of three items
    assert (again.computed, again.unreadable) == (0, 0)
    for modality in (Modality.TEXT, Modality.IMAGE):
        one, other = (found.rows.embeddings[modality][np.arange(40)] for found in (first, again))
        assert np.array_equal(one, other)
    assert np.array_equal(first.rows.presence, again.rows.presence)
    assert first.rows.presence.sum(axis=0).tolist() == [40, 26, 0]
    assert first.rows.terms is not None
    assert again.rows.terms is not None
    assert np.array_equal(first.rows.terms.ids, again.rows.terms.ids)


def unread(folder: Path, readable: int, items: int = 120) -> Path:
    """A set of which all covers but the first few are missing."""
    covers = sorted((make_set(folder, items) / "covers").iterdir())
    for path in covers[readable:]:
        path.unlink()
    return folder


def test_a_modality_that_is_named_and_cannot_be_read_is_not_learnt(tmp_path, models):
    """Three of eighty covers are there: the head hears text alone, and says how much it left out."""
    trained = train(request(unread(tmp_path / "shows", 3), models, tmp_path / "store", min_items=5))
    release = trained.candidate.release
    assert release.modalities == (Modality.TEXT,)
    assert (release.encoders.keys(), release.features.image) == ({Modality.TEXT}, None)
    assert trained.skipped["unreadable_media"] == 77
    assert trained.skipped["unheard_media"] == 80
    report = json.loads((trained.candidate.directory / "report.json").read_bytes())
    assert {name: report[name] for name in trained.skipped} == trained.skipped
    page = trained.page.read_text(encoding="utf-8")
    assert "media of a modality that the head does not hear" in page


def change(folder: Path, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """The set with all lines changed."""
    path = folder / "items.jsonl"
    lines = [changed(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_sets_of_which_nothing_can_be_read_end_in_one_line(tmp_path, models):
    """No item has a text, and no cover is there."""

    def wordless(line: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in line.items() if name not in ("title", "author")}

    folder = change(unread(tmp_path / "shows", 0), wordless)
    with pytest.raises(TrainingError, match="0 items have image that can be read; at least 30 must"):
        train(request(folder, models, tmp_path / "store", min_items=5))


def test_a_name_that_no_head_can_have_is_refused_first(made, models, tmp_path):
    """Before anything is read: there is no store yet."""
    with pytest.raises(TrainingError, match="Bad Name"):
        train(request(made, models, tmp_path / "store", served_as="Bad Name"))
    assert not (tmp_path / "store").exists()


def test_items_with_nothing_to_hear_are_counted(tmp_path, models):
    """They have a label and no more."""

    def silent(line: dict[str, Any]) -> dict[str, Any]:
        if int(line["id"][1:]) >= 5:
            return line
        return {name: line[name] for name in ("kind", "id", "labels", "group")}

    folder = change(make_set(tmp_path / "shows", 60), silent)
    assert train(request(folder, models, tmp_path / "store", min_items=5)).skipped["silent_items"] == 5


def test_labels_that_the_taxonomy_does_not_know_are_counted(tmp_path, models):
    """Each once, however many items have it."""

    def misspelt(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "labels": {"genres": [*line["labels"]["genres"], "Actoin", "Comdy"]}}

    genres = {"Action": GENRES["Sports"], "Comedy": GENRES["Cooking"]}
    folder = change(make_set(tmp_path / "films", 120, genres=genres), misspelt)
    asked = request(folder, models, tmp_path / "store", min_items=5, taxonomy="film-genres", source="imdb")
    assert train(asked).skipped["labels_not_in_taxonomy"] == 2


def test_an_embedding_does_not_depend_on_other_items(tmp_path, models):
    """Of an encoder in eight bits, which in one batch quantises all items by one range."""
    directory = tmp_path / "quantised"
    shutil.copytree(models / "text-starter" / "1", directory)
    (directory / GRAPH).write_bytes(dynamic_int8((directory / GRAPH).read_bytes()))
    encoder = replace(choose_encoders(Repository(models), "starter", [Modality.TEXT])[0], directory=directory)
    rng = np.random.default_rng(0)
    texts = [rng.integers(5, 90, length).astype(np.int32) for length in (3, 14, 9)]
    alone = [encoder.encode([text])[0] for text in texts]
    assert np.array_equal(encoder.encode(texts), alone)
    together = {TOKEN_IDS: pad_tokens(texts, 16, encoder.record.features.pad_id)}
    in_batch = Graph(directory / GRAPH).run(together, EMBEDDING)
    assert not np.allclose(in_batch, alone, rtol=0, atol=1e-5)


def test_media_that_cannot_be_read_are_counted_and_their_items_kept(tmp_path, models):
    """One cover is no picture, another is missing: both items are there, with their text alone."""
    folder = make_set(tmp_path / "shows", 12)
    (folder / "covers" / "1.png").write_bytes(b"no picture")
    (folder / "covers" / "2.png").unlink()
    examples = read_catalogue([folder], Kind.PODCAST, "genres").examples
    encoders = choose_encoders(Repository(models), "auto", [Modality.TEXT, Modality.IMAGE])
    embedded = embeddings.embed(examples, encoders, None, 20_000, tmp_path / "store")
    assert embedded.unreadable == 2
    assert embedded.rows.presence[:, 0].tolist() == [1] * 12
    assert embedded.rows.presence[:, 1].tolist() == [0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1]
    assert not embedded.rows.embeddings[Modality.IMAGE][np.array([1])].any()


def test_a_decoder_that_dies_costs_one_medium(tmp_path, models, monkeypatch):
    """The picture of one item ends its process: that item keeps its text, the others everything."""
    monkeypatch.setattr(embeddings, "encode_chunk", encode_or_die)
    folder = make_set(tmp_path / "shows", 6)
    examples = read_catalogue([folder], Kind.PODCAST, "genres").examples
    encoders = choose_encoders(Repository(models), "auto", [Modality.TEXT, Modality.IMAGE])
    embedded = embeddings.embed(examples, encoders, hashed_features(3, 256), 20_000, tmp_path / "store")
    assert embedded.unreadable == 1
    assert embedded.rows.presence[:, 0].tolist() == [1] * 6
    assert embedded.rows.presence[:, 1].tolist() == [0, 0, 1, 0, 1, 1]
    assert embedded.rows.terms is not None
    assert np.diff(embedded.rows.terms.starts).min() > 0


def test_encoders_are_chosen_by_what_is_there(models):
    """Auto takes the starter where there is no pretrained one; what is missing is named with the command
    that makes it."""
    repository = Repository(models)
    found = choose_encoders(repository, "auto", [Modality.TEXT])
    assert [encoder.record.model for encoder in found] == ["text-starter"]
    with pytest.raises(TrainingError, match=r"no encoder for text .*`genrestream encoders build`"):
        choose_encoders(repository, "pretrained", [Modality.TEXT])
    shutil.copytree(models / "text-starter", models / "text-copy")
    record = json.loads((models / "text-copy" / "1" / "encoder.json").read_text())
    (models / "text-copy" / "1" / "encoder.json").write_text(json.dumps({**record, "model": "text-copy"}))
    with pytest.raises(TrainingError, match="two encoders for text: text-starter, text-copy"):
        choose_encoders(repository, "text-starter,text-copy", [Modality.TEXT])


def test_the_command_line_trains_and_measures(made, models, store):
    """`train` prints the figures beside the baselines and the next command, fitting 80 columns; `evaluate`
    measures the candidate on its test fold through the served graph and finds the same figures."""
    runner = CliRunner()
    options = ["--models", str(models), "--store", str(store)]
    arguments = ["train", str(made), "--kind", "podcast", "--task", "genres", "--as", "topics"]
    shown = runner.invoke(app, [*arguments, "--term-buckets", "256", *options], catch_exceptions=False)
    assert shown.exit_code == 0
    for words in ("TF-IDF", "frequencies", "all zeros", "text+image"):
        assert words in shown.stdout
    assert f"next: genrestream release podcast-topics --models {models}" in shown.stdout
    measured = runner.invoke(
        app, ["evaluate", "podcast-topics", str(made), "--task", "genres", "--json", *options]
    )
    figures = json.loads(measured.stdout)
    report = Repository(models).candidates("podcast-topics")[0].directory / "report.json"
    trained = json.loads(report.read_bytes())["test"]
    assert figures["left_out"] == 300 - trained["items"]
    assert figures["figures"]["head"] == pytest.approx(trained, abs=1e-3)
    assert figures["not_drawn"] == 0
    few = ["evaluate", "podcast-topics", str(made), "--task", "genres", "--most-items", "20", *options]
    drawn = json.loads(runner.invoke(app, [*few, "--json"], catch_exceptions=False).stdout)
    assert drawn["figures"]["head"]["items"] <= 20
    assert drawn["figures"]["head"]["items"] + drawn["not_drawn"] == trained["items"]
    said = runner.invoke(app, few, catch_exceptions=False).stdout
    assert f"{drawn['not_drawn']} more items not measured: --most-items is 20" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere", "--kind", "podcast", "--task", "genres"), "no catalogue set at nowhere"),
        (("train", "MADE", "--kind", "track", "--task", "genres"), "no items of kind track in "),
        (("train", "MADE", "--kind", "podcast", "--task", "moods"), "tasks there: genres"),
        (
            ("train", "MADE", "--kind", "podcast", "--task", "genres", "--min-items", "500"),
            "0 of 3 labels stand on at least 500 items",
        ),
        (
            ("train", "MADE", "--kind", "podcast", "--task", "genres", "--taxonomy", "x"),
            "no taxonomy 'x'",
        ),
        (
            ("train", "MADE", "--kind", "podcast", "--task", "genres", "--encoders", "none"),
            "no encoder none in ",
        ),
        (("evaluate", "podcast-genres", "MADE"), "no head podcast-genres in "),
    ],
)
def test_what_is_wrong_is_one_line(made, models, store, arguments, message):
    """A user's mistake is one line, and no traceback."""
    given = [str(made) if argument == "MADE" else argument for argument in arguments]
    done = CliRunner().invoke(app, [*given, "--models", str(models), "--store", str(store)])
    assert isinstance(done.exception, CommandError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
