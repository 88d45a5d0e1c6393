"""A recipe from a set to a candidate that is served like our own heads, in small."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from genrestream.repository import CONFIG, GOLDEN, GRAPH, Repository, RepositoryError
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.graph import Graph
from genrestream.schemas import Kind, Modality
from genrestream.schemas.tensors import CONFIDENCES
from tests.unit.training.made_set import make_set
from tests.unit.training.read_page import Page

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.judge import judge  # noqa: E402
from genrestream.training.recipes import train as recipes_train  # noqa: E402
from genrestream.training.recipes.spec import RecipeSpec, load_recipe  # noqa: E402
from genrestream.training.recipes.train import TrainedRecipe, train_recipe  # noqa: E402
from genrestream.training.release import Offline, choose_rollback, release, rollback  # noqa: E402
from genrestream.training.request import TrainRequest, refuse_unnameable  # noqa: E402
from genrestream.training.train import train  # noqa: E402

ITEMS = 120


def tiny(name: str = "podcast_vgg16_gru", epochs: int = 6) -> RecipeSpec:
    """The recipe on 32 px and with a share of the channels, for seconds instead of minutes."""
    given = load_recipe(name).model_dump()
    given["branches"][Modality.IMAGE] |= {"width": 0.05, "image_px": 32, "embedding": 8}
    if Modality.TEXT in given["branches"]:
        given["branches"][Modality.TEXT] |= {"max_tokens": 16, "word_dim": 16, "hidden": 16, "dropout": 0.1}
    given["fit"] |= {"epochs": epochs, "patience_epochs": epochs, "rate": 0.01, "batch_items": 16}
    return RecipeSpec.model_validate(given)


def request(made: Path, models: Path, seed: int = 0) -> TrainRequest:
    """A recipe to be trained on the set, into the model repository."""
    models.mkdir(parents=True, exist_ok=True)
    settings = FitSettings(seed=seed, epochs=2)
    store = made.parent / "store"
    return TrainRequest(
        [made], Kind.PODCAST, "genres", "genres", models, store, word_buckets=64, fit=settings
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("made") / "shows", ITEMS)


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRecipe:
    return train_recipe(request(made, tmp_path_factory.mktemp("models")), tiny())


def test_a_recipe_becomes_a_candidate(trained):
    """Its best label is mostly right, it hears text and pictures, the golden batch covers every subset of
    them and passes, and the report compares each branch alone with both, beside what all trainings report."""
    release, directory = trained.candidate.release, trained.candidate.directory
    assert trained.evaluation.head.top1 > 0.6
    assert release.modalities == (Modality.TEXT, Modality.IMAGE)
    golden = read_golden(directory / GOLDEN)
    assert len(np.unique(golden.inputs["presence"], axis=0)) == 3
    check_golden(golden, Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES), "it")
    report = json.loads((directory / "report.json").read_bytes())
    assert report["compared"].keys() == {"text", "image", "text+image"}
    assert report["split"]["test"] == trained.evaluation.head.items
    assert report["recipe"]["name"] == "podcast_vgg16_gru"
    assert all(len(found["curves"]["train"]) == 6 for found in report["compared"].values())
    assert {gate.rival for gate in release.gates} == {"frequencies", "all zeros", "TF-IDF"}


def test_the_page_compares_the_branches(trained):
    """A line a network with the figures of the report; nothing is said of a cross-fit, which a recipe has
    not."""
    page = Page(trained.page.read_bytes())
    assert page.open == []
    assert "The recipe podcast_vgg16_gru: each branch alone" in page.text
    assert "cross-fit" not in page.text
    report = json.loads((trained.candidate.directory / "report.json").read_bytes())
    for name, found in report["compared"].items():
        row = next(row for row in page.cells if row[0] == name and len(row) == 9)
        wanted = [found["test"][field] for field in ("top1", "top5", "mean_ap", "micro_f1", "macro_f1")]
        assert [float(cell) for cell in row[1:6]] == pytest.approx(wanted, abs=0.00051)
        assert float(row[6]) == pytest.approx(found["inference_ms"], abs=0.0051)
        assert row[7:] == [str(found["curves"]["best_epoch"]), "6"]


def test_served_graphs_say_what_pytorch_said(trained, made):
    """Through features, encoders and head as a worker runs them, the test fold gets the very figures; each
    step that takes its time shows how far it is, to its end."""
    steps: dict[str, tuple[int, int]] = {}

    def progress(step: str, done: int, total: int) -> None:
        steps[step] = done, total

    repository = Repository(trained.candidate.directory.parents[2])
    directory, release = trained.candidate.directory, trained.candidate.release
    store = made.parent / "judged"
    judged = judge(repository, directory, release, [made], "genres", store, progress=progress)
    assert steps.keys() == {"near-duplicates", "features and embeddings"}
    assert all(done == total > 0 for done, total in steps.values())
    figures = trained.evaluation.head.as_dict()
    assert judged.head.as_dict() == pytest.approx(figures, abs=1e-4)


def test_an_encoder_is_told_where_it_comes_from(trained):
    """Both encoders are versions of models named after the recipe, with its set and the weights it began
    from; the tokenizer lies beside the text encoder."""
    repository = Repository(trained.candidate.directory.parents[2])
    assert {record.model: record.source for record in repository.encoders()} == {
        "image-podcast_vgg16_gru": "recipe podcast_vgg16_gru on shows, from the weights none",
        "text-podcast_vgg16_gru": "recipe podcast_vgg16_gru on shows",
    }
    text = repository.encoder("text-podcast_vgg16_gru", 1)
    tokenizer = repository.version_dir(text.model, 1) / text.features.tokenizer
    assert hashlib.sha256(tokenizer.read_bytes()).hexdigest() == text.features.tokenizer_sha256


async def test_a_rollback_brings_a_recipes_own_encoders_back(made, tmp_path):
    """Trained twice, each version has its own versions of the encoder. After the rollback the first is live
    again and both encoders stay served, since a second rollback would go forward."""
    asked, spec = request(made, tmp_path / "models"), tiny("poster_vgg16", epochs=4)
    repository = Repository(asked.models)
    head, encoder = "podcast-genres", "image-poster_vgg16"
    for version in (1, 2):
        candidate = train_recipe(asked, spec).candidate
        released = await release(repository, candidate, Offline(repository), force=True)
        assert (released.model, released.version) == (head, version)
        assert released.encoders[Modality.IMAGE].version == version
    for version in (1, 2):
        target = choose_rollback(repository, head, None)
        await rollback(repository, target, Offline(repository))
        live = repository.live(head)
        assert (live.version, live.action) == (version, "rollback")
        assert repository.served() == {head: [1, 2], encoder: [1, 2]}
        for model in (head, encoder):
            assert "versions: [ 1, 2 ]" in (asked.models / model / CONFIG).read_text()


async def test_a_rollback_is_refused_where_the_encoder_is_damaged(made, tmp_path):
    """The older version's encoder is compared with its record before anything is live."""
    asked, spec = request(made, tmp_path / "models"), tiny("poster_vgg16", epochs=4)
    repository = Repository(asked.models)
    for _ in range(2):
        await release(repository, train_recipe(asked, spec).candidate, Offline(repository), force=True)
    graph = repository.version_dir("image-poster_vgg16", 1) / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1])
    target = choose_rollback(repository, "podcast-genres", None)
    with pytest.raises(RepositoryError, match=r"model\.onnx is not the file that its record describes"):
        await rollback(repository, target, Offline(repository))
    assert repository.live("podcast-genres").version == 2


def test_no_other_head_is_measured_on_what_an_encoder_learnt_from(trained, made):
    """One trained over a recipe's encoder with folds of its own: the error names the folds to use."""
    models = trained.candidate.directory.parents[2]
    asked = replace(request(made, models, 5), encoders="image-podcast_vgg16_gru")
    with pytest.raises(TrainingError, match=r"image-podcast_vgg16_gru learnt from \d+ of the \d+ test items"):
        train(asked)
    split = Repository(models).version_dir("image-podcast_vgg16_gru", 1) / "split.json"
    own = json.loads((trained.candidate.directory / "split.json").read_bytes())
    assert json.loads(split.read_bytes()) == own


def test_the_same_seed_gives_the_same_graphs(made, tmp_path):
    """Encoder and head byte for byte; another seed gives others."""

    def graphs(name: str, seed: int) -> list[bytes]:
        done = train_recipe(request(made, tmp_path / name, seed), tiny("poster_vgg16", epochs=4))
        encoder = Repository(tmp_path / name).version_dir("image-poster_vgg16", 1)
        return [(folder / GRAPH).read_bytes() for folder in (encoder, done.candidate.directory)]

    first, again, other = graphs("first", 1), graphs("again", 1), graphs("other", 2)
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_a_recipe_that_cannot_learn_writes_nothing(made, tmp_path):
    """A threshold that nothing reaches is a collapse, items without pictures an error that counts them;
    neither leaves a candidate or an encoder."""
    models = tmp_path / "models"
    with pytest.raises(TrainingError, match="the head collapsed: no confidence reaches its threshold"):
        train_recipe(
            request(made, models), tiny("poster_vgg16", epochs=1).model_copy(update={"threshold": 0.999})
        )
    lines = [json.loads(line) for line in (made / "items.jsonl").read_text().splitlines()]
    few = tmp_path / "few"
    few.mkdir()
    without = [{**line, "cover": None} if number > 30 else line for number, line in enumerate(lines)]
    (few / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in without))
    with pytest.raises(TrainingError, match="poster_vgg16 needs image, and 20 items have it; at least 30"):
        train_recipe(request(few, models), tiny("poster_vgg16"))
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("fault", [RepositoryError("no room"), KeyboardInterrupt()])
def test_a_candidate_that_cannot_be_written_leaves_no_encoders(made, tmp_path, monkeypatch, fault):
    """Whether the disk is full or the training is broken off: earlier versions stay, these are withdrawn."""

    def fail(*_: object) -> None:
        raise fault

    models = tmp_path / "models"
    shared = models / "image-poster_vgg16"
    asked, spec = request(made, models), tiny("poster_vgg16", epochs=4)
    train_recipe(asked, spec)
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    monkeypatch.setattr(recipes_train, "write_candidate", fail)
    with pytest.raises(type(fault)):
        train_recipe(asked, spec)
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before
    assert [path.name for path in shared.iterdir() if path.is_dir()] == ["1"]


def test_an_encoder_that_cannot_be_added_takes_the_others_along(made, tmp_path, monkeypatch):
    """The second one fails: the first is no version any more."""
    add = Repository.add_encoder

    def only_texts(self, files, record):
        if record.modality is Modality.IMAGE:
            raise RepositoryError("cannot add a version: No space left on device")
        return add(self, files, record)

    monkeypatch.setattr(Repository, "add_encoder", only_texts)
    models = tmp_path / "models"
    with pytest.raises(RepositoryError, match="No space left on device"):
        train_recipe(request(made, models), tiny())
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("name", ["Bad Name", "", "-x", "../x", "a" * 57])
def test_a_name_that_no_head_can_have_is_refused_first(tmp_path, name):
    """Before the set is looked at, which is not even there; 57 characters are 65 with `podcast-`, and 56 are
    none too many."""
    asked = replace(request(tmp_path / "none", tmp_path), served_as=name)
    with pytest.raises(TrainingError, match="no head can be called 'podcast-"):
        train_recipe(asked, tiny())
    refuse_unnameable(replace(asked, served_as="a" * 56))


def test_the_command_line_names_recipes_and_their_faults(made, tmp_path):
    """`--help` lists them; one that is not there, or a file that is wrong, is one line and no traceback."""
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    assert "podcast_vgg16_gru, poster_vgg16" in shown.stdout
    asked = [
        "train",
        str(made),
        "--kind",
        "podcast",
        "--task",
        "genres",
        "--models",
        str(tmp_path),
        "--recipe",
    ]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: mine\n")
    for recipe, message in (("nobody", "no recipe 'nobody'"), (str(wrong), "wrong.yaml: description: Field")):
        result = CliRunner().invoke(app, [*asked, recipe])
        assert isinstance(result.exception, CommandError)
        assert message in str(result.exception)
