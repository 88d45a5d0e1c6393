"""From a set and an encoder to a tuned encoder that heads are trained over, as a user does it."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from genrestream.cli.errors import CommandError
from genrestream.cli.main import app
from genrestream.repository import GRAPH, Repository
from genrestream.schemas import Kind, Modality
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.device import cuda_is_there  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.fine_tune.names import tuned_name  # noqa: E402
from genrestream.training.fine_tune.settings import TuneSettings  # noqa: E402
from genrestream.training.fine_tune.tune import Tuned, TuneRequest, fine_tune  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from tests.unit.training.fine_tune.made_models import COLOURS, colour_blind_resnet, deaf_bert  # noqa: E402

TEXT = "text-deaf-bert-tuned-podcast-genres"
SETTINGS = TuneSettings(epochs=6, batch_items=4, rate=0.01)
OPTIONS = ["--epochs", "6", "--batch", "4", "--rate", "0.01"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two encoders that cannot tell the genres, `deaf-bert` and `colour-blind`; beside them a set."""
    folder = tmp_path_factory.mktemp("tuning")
    deaf_bert(folder / "deaf-bert")
    colour_blind_resnet(folder / "colour-blind")
    make_set(folder / "shows", 200, genres=COLOURS)
    return folder


def request(folder: Path, modality: Modality, spec: str) -> TuneRequest:
    shows, models, store = folder / "shows", folder / "models", folder / "store"
    training = TrainRequest([shows], Kind.PODCAST, "genres", "genres", models, store)
    return TuneRequest(training, modality, spec, settings=SETTINGS)


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Tuned:
    return fine_tune(request(folder, Modality.TEXT, f"hf:{folder / 'deaf-bert'}"))


def command(folder: Path, *options: str, shows: str = "shows", models: str = "models") -> list[str]:
    """What comes after `encoders fine-tune`."""
    asked = [str(folder / shows), "--kind", "podcast", "--task", "genres", *OPTIONS]
    return [*asked, "--models", str(folder / models), "--store", str(folder / "store"), *options]


def test_a_text_encoder_learns_what_it_could_not_tell(tuned):
    """A linear layer over it was near chance and is mostly right, over the graph as over PyTorch; its record
    says what it learnt from, and its folder holds tokenizer, folds and figures under their checksums."""
    record = tuned.built.record
    figures = tuned.figures
    assert figures["untuned"].mean_ap < 0.7
    assert figures["tuned"].mean_ap > figures["untuned"].mean_ap + 0.15
    assert figures["tuned, as served"].mean_ap > figures["untuned"].mean_ap + 0.15
    assert (record.model, record.version, record.embedding_dim) == (TEXT, 1, 2 * 16)
    kept = json.loads((tuned.split.parent / "tuning.json").read_bytes())
    learnt = kept["items"]["train"]
    assert record.source == f"hf:deaf-bert, tuned on podcast genres of shows ({learnt} items)"
    assert set(record.checksums) == {GRAPH, "tokenizer.json", "split.json", "tuning.json"}
    assert kept["test"]["untuned"] == figures["untuned"].as_dict()
    folds = json.loads(tuned.split.read_bytes())
    assert len(folds["train"]) == learnt
    Repository(tuned.split.parents[2]).verify(record.model, 1)


def test_the_folds_are_those_of_train(tuned, folder):
    """The same sets and seed give the same folds, so that a head is measured on what the encoder never saw;
    with another seed it would not be, which is refused with the folds to use, and these are taken then."""
    asked = ["train", str(folder / "shows"), "--kind", "podcast", "--task", "genres", "--encoders", TEXT]
    places = ["--models", str(folder / "models"), "--store", str(folder / "store"), "--term-buckets", "64"]
    done = CliRunner().invoke(app, [*asked, *places, "--json"], catch_exceptions=False)
    candidate = Path(json.loads(done.stdout)["candidate"])
    assert (candidate / "split.json").read_bytes() == tuned.split.read_bytes()
    release = json.loads((candidate / "release.json").read_bytes())
    assert release["encoders"]["text"]["model"] == TEXT
    refused = CliRunner().invoke(app, [*asked, *places, "--seed", "5"])
    assert isinstance(refused.exception, CommandError)
    assert f"{TEXT} learnt from " in str(refused.exception)
    assert f"use its folds: --split {tuned.split}" in str(refused.exception)
    again = ["--seed", "5", "--split", str(tuned.split), "--as", "again", "--json"]
    done = CliRunner().invoke(app, [*asked, *places, *again], catch_exceptions=False)
    candidate = Path(json.loads(done.stdout)["candidate"])
    assert json.loads((candidate / "split.json").read_bytes()) == json.loads(tuned.split.read_bytes())


def test_a_head_is_not_measured_on_what_its_encoder_saw(tuned, folder):
    """Though nothing tells any more what the head itself was trained on."""
    models, store = str(folder / "models"), str(folder / "store")
    options = ["--models", models, "--store", store, "--json"]
    asked = ["--kind", "podcast", "--task", "genres", "--encoders", TEXT, "--as", "topics"]
    done = CliRunner().invoke(app, ["train", str(folder / "shows"), *asked, *options], catch_exceptions=False)
    (Path(json.loads(done.stdout)["candidate"]) / "split.json").unlink()
    asked = ["evaluate", "podcast-topics", str(folder / "shows"), "--task", "genres"]
    measured = CliRunner().invoke(app, [*asked, *options], catch_exceptions=False)
    assert json.loads(measured.stdout)["left_out"] == 200 - len(json.loads(tuned.split.read_bytes())["test"])


def test_test_items_teach_nothing(tuned, folder):
    """With other words and each other's labels on its test items the set gives the very same graph; through
    the command line, too, which shows what it brought and what to do next."""
    other = folder / "other" / "shows"
    shutil.copytree(folder / "shows", other)
    lines = [json.loads(line) for line in (other / "items.jsonl").read_text().splitlines()]
    test = set(json.loads(tuned.split.read_bytes())["test"])
    rows = [row for row, line in enumerate(lines) if f"shows/{line['id']}" in test]
    labels = [lines[row]["labels"] for row in rows]
    for row, label in zip(rows, [*labels[1:], labels[0]], strict=True):
        lines[row] |= {"title": f"nothing of number {row}", "labels": label}
    (other / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ["--text", f"hf:{folder / 'deaf-bert'}", "--split", str(tuned.split), "--device", "cpu"]
    asked = command(folder, *options, shows="other/shows", models="again")
    done = CliRunner().invoke(app, ["encoders", "fine-tune", *asked], catch_exceptions=False)
    assert done.exit_code == 0
    graphs = [folder / models / TEXT / "1" / GRAPH for models in ("models", "again")]
    assert graphs[0].read_bytes() == graphs[1].read_bytes()
    for words in ("untuned", "tuned, as served", "the last blocks: ", f"encoder: {TEXT} version 1"):
        assert words in done.stdout
    (last,) = [line for line in done.stdout.splitlines() if line.startswith("next: genrestream train ")]
    assert f"--encoders {TEXT} --split " in last


def test_a_picture_encoder_learns_what_it_could_not_tell(folder):
    """To a network that sees brightness alone the covers are alike; tuned, it tells their colours, of those
    test items that have a cover."""
    found = fine_tune(request(folder, Modality.IMAGE, f"hf:{folder / 'colour-blind'}"))
    record = found.built.record
    assert (record.model, record.embedding_dim) == ("image-colour-blind-tuned-podcast-genres", 12)
    assert found.figures["untuned"].mean_ap < 0.7
    assert found.figures["tuned"].mean_ap > found.figures["untuned"].mean_ap + 0.15
    assert found.figures["tuned, as served"].mean_ap > found.figures["untuned"].mean_ap + 0.15
    assert 0 < found.figures["tuned"].items < len(json.loads(found.split.read_bytes())["test"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name one encoder to tune: --image pretrained"),
        (("--text", "pretrained", "--image", "pretrained"), "name one encoder to tune"),
        (("--audio", "pretrained"), "fine-tuning takes pictures and texts: musicnn is no PyTorch module"),
        (("--audio", "musicnn:MTT_musicnn"), "fine-tuning takes pictures and texts"),
        (("--text", "word2vec"), "--text takes hf:NAME, not 'word2vec'"),
        (("--text", "BERT", "--as", "podcast-genres"), "no encoder of text can be called podcast-genres"),
        (("--text", "BERT", "--as", "text-starter"), "text-starter is the name of an encoder that is not"),
        (("--text", "BERT", "--as", "text-deaf-bert"), "text-deaf-bert is the name of an encoder that"),
        (("--text", "BERT", "--min-items", "500"), "0 of 3 labels stand on at least 500 items"),
        (("--text", "BERT", "--split", "nowhere.json"), "no split at nowhere.json"),
    ],
)
def test_what_is_wrong_is_one_line(folder, options, message):
    """A user's mistake is one line and no traceback, and nothing is added."""
    given = [f"hf:{folder / 'deaf-bert'}" if option == "BERT" else option for option in options]
    asked = command(folder, *given, models="untouched")
    done = CliRunner().invoke(app, ["encoders", "fine-tune", *asked])
    assert isinstance(done.exception, CommandError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (folder / "untouched").exists()


@pytest.mark.skipif(cuda_is_there(), reason="a CUDA device is there")
def test_without_a_gpu_cuda_is_refused(folder):
    """Before anything is read."""
    asked = command(folder, "--text", "pretrained", "--device", "cuda", models="untouched")
    done = CliRunner().invoke(app, ["encoders", "fine-tune", *asked])
    assert isinstance(done.exception, CommandError)
    assert str(done.exception) == "no CUDA device is there; --device cpu trains without one"


def test_few_items_of_a_modality_are_refused(folder, tmp_path):
    """Nothing could be measured on twenty; they are counted."""
    few = tmp_path / "shows"
    shutil.copytree(folder / "shows", few)
    lines = [json.loads(line) for line in (few / "items.jsonl").read_text().splitlines()]
    without = [{**line, "cover": None} if row > 30 else line for row, line in enumerate(lines)]
    (few / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in without))
    training = TrainRequest([few], Kind.PODCAST, "genres", "genres", tmp_path / "models", folder / "store")
    with pytest.raises(TrainingError, match="20 items have image; to tune an encoder of it at least 30 must"):
        fine_tune(TuneRequest(training, Modality.IMAGE, f"hf:{folder / 'colour-blind'}"))
    assert not (tmp_path / "models").exists()


def test_a_name_tells_encoder_kind_and_task():
    """In the alphabet of models; of a long one the encoder's part is cut, not what tells tasks apart."""
    made = [
        tuned_name(None, base, Modality.IMAGE, Kind.PODCAST, task)
        for base, task in (("image-resnet18", "Main Genres"), ("image-" + "x" * 58, "genres"))
    ]
    assert made == [
        "image-resnet18-tuned-podcast-main-genres",
        "image-" + "x" * (64 - 6 - 21) + "-tuned-podcast-genres",
    ]
    with pytest.raises(TrainingError, match="no encoder of image can be called Image-X: say --as image-"):
        tuned_name("Image-X", "image-resnet18", Modality.IMAGE, Kind.PODCAST, "genres")
