"""Items' features on disk: made once, by the workers' functions, and read from there."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas import ImageFeatures, Kind, Modality
from genrestream.workers.features.content import FeaturePlan
from genrestream.workers.features.extract import extract
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.schemas.items import text_fields_of  # noqa: E402
from genrestream.training.catalogue import Example, read_catalogue  # noqa: E402
from genrestream.training.contents import read_content  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.recipes import branches  # noqa: E402
from genrestream.training.recipes.branches import (  # noqa: E402
    BranchFeatures,
    branch_features,
    features_by_modality,
)
from genrestream.training.recipes.data import RecipeRows, read_rows  # noqa: E402
from genrestream.training.recipes.spec import Gru, Vgg16  # noqa: E402
from genrestream.training.recipes.spec_audio import ElmoLstm  # noqa: E402

IMAGE = ImageFeatures(height_px=32, width_px=32)


def test_rows_are_what_a_worker_makes_and_are_made_once(tmp_path: Path):
    """Pictures and token ids are those of `extract`, memory-mapped; a broken picture is absent and counted;
    with another tokenizer the pictures are read from the disk again, whatever stands there."""
    made = make_set(tmp_path / "shows", 24)
    (made / "covers" / "1.png").write_bytes(b"\x89PNG broken")
    examples = read_catalogue([made], Kind.PODCAST, "genres").examples
    texts = [text_fields_of(example.item) for example in examples]
    gru = Gru(network="gru", vocabulary=30, max_tokens=16)
    features = {Modality.TEXT: branch_features(gru, texts, 1000), Modality.IMAGE: BranchFeatures(IMAGE)}
    files = tmp_path / "files"

    def read() -> RecipeRows:
        return read_rows(examples, features, 1000, files, tmp_path / "store")

    rows = read()
    assert all(isinstance(kept.base, np.memmap) for kept in rows.kept.values())
    assert rows.unreadable == 1
    assert rows.presence.sum(axis=0).tolist() == [24, 15, 0]
    text = features[Modality.TEXT].features
    plan = FeaturePlan((text, IMAGE), {text.tokenizer_sha256: str(files / "text" / text.tokenizer)}, 1000)
    for row in (0, 1, 2):
        ids, picture = extract(read_content(examples[row], frozenset(features)), plan).tensors
        batch = rows.batch(np.array([row]), "cpu")
        assert batch[Modality.TEXT].tolist() == [ids.tolist()]
        np.testing.assert_array_equal(
            batch[Modality.IMAGE][0], np.zeros((32, 32, 3), np.uint8) if picture is None else picture
        )
    (pictures,) = (tmp_path / "store").glob("image-features-*/vectors.bin")
    pictures.write_bytes(b"\x07" * pictures.stat().st_size)
    features[Modality.TEXT] = branch_features(gru.model_copy(update={"vocabulary": 10}), texts, 1000)
    again = read().kept[Modality.IMAGE]
    assert again.shape == (15, 32, 32, 3)
    assert (again == 7).all()
    assert len(list((tmp_path / "store").glob("text-features-*"))) == 2


class Counted(Sequence[Example]):
    """Examples that count how often one is read; reading one too many is an error."""

    def __init__(self, examples: Sequence[Example], most: int) -> None:
        self._examples, self._most, self.reads = examples, most, 0

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, row: int) -> Example:
        self.reads += 1
        if self.reads > self._most:
            raise TrainingError("the set has changed")
        return self._examples[row]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Example]:
    made = make_set(tmp_path_factory.mktemp("counted") / "shows", 24)
    return read_catalogue([made], Kind.PODCAST, "genres").examples


GRU = Gru(network="gru", vocabulary=30, max_tokens=16)
ELMO = ElmoLstm(network="elmo_lstm", vocabulary=30, min_count=1)
TRAIN = np.arange(20)


def test_no_item_is_read_where_no_text_is_heard(examples):
    """A recipe of pictures alone knows its features from its file."""
    unread = Counted(examples, 0)
    picture = Vgg16(network="vgg16", weights="none", image_px=32)
    found = features_by_modality({Modality.IMAGE: picture}, unread, TRAIN, 1000)
    assert found[Modality.IMAGE].features == IMAGE


@pytest.mark.parametrize("branch", [GRU, ELMO], ids=lambda branch: branch.network)
def test_a_vocabulary_is_counted_item_by_item(examples, branch, monkeypatch):
    """When the tokenizer has been given two texts, two items have been read, so none waits in memory; and it
    is the same one that all texts together make."""
    counted = Counted(examples, len(TRAIN))
    name = "word_tokenizer" if branch is GRU else "plain_tokenizer"
    whole = getattr(branches, name)

    def watched(texts, *arguments):
        first = [next(texts), next(texts)]
        assert counted.reads == 2
        return whole(chain(first, texts), *arguments)

    monkeypatch.setattr(branches, name, watched)
    found = features_by_modality({Modality.TEXT: branch}, counted, TRAIN, 1000)
    assert counted.reads == len(TRAIN)
    monkeypatch.undo()
    texts = [text_fields_of(examples[row].item) for row in TRAIN]
    assert found[Modality.TEXT] == branch_features(branch, texts, 1000)


@pytest.mark.parametrize("branch", [GRU, ELMO], ids=lambda branch: branch.network)
def test_a_set_that_changes_while_its_words_are_counted_is_an_error(examples, branch):
    """It comes through the tokenizer's own loop, as its one line."""
    with pytest.raises(TrainingError, match="the set has changed"):
        features_by_modality({Modality.TEXT: branch}, Counted(examples, 10), TRAIN, 1000)
