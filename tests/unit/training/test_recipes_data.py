"""Items' features on disk: made once, by the workers' functions, and read from there."""

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
from genrestream.training.catalogue import read_catalogue  # noqa: E402
from genrestream.training.contents import read_content  # noqa: E402
from genrestream.training.recipes.branches import BranchFeatures, branch_features  # noqa: E402
from genrestream.training.recipes.data import RecipeRows, read_rows  # noqa: E402
from genrestream.training.recipes.spec import Gru  # noqa: E402

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
