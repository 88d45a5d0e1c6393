"""What a head or an encoder learnt from, by the split beside its graph, counts for nothing afterwards."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas import ImageFeatures, Kind, Modality
from genrestream.schemas.releases import EncoderRecord
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import HeadRows
from tests.unit.training.heads import make_rows
from tests.unit.training.made_set import make_set

pytest.importorskip("torch")
pytestmark = pytest.mark.training

import torch  # noqa: E402

from genrestream.training.calibrate import calibrate  # noqa: E402
from genrestream.training.catalogue import Example, read_catalogue  # noqa: E402
from genrestream.training.encode_chunk import Encoder  # noqa: E402
from genrestream.training.fit_head import fit_head  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.fuse import fit_gate  # noqa: E402
from genrestream.training.learnt_items import judges, refuse_learnt, unseen  # noqa: E402
from genrestream.training.split import Fold, Split, split_by_group  # noqa: E402

CLUSTERS = ["a", "a", "b", "c", "d", "e", "f", "g"]
SPLIT = Split(
    {
        Fold.TRAIN: np.array([0, 1, 2, 3]),
        Fold.CALIBRATION: np.array([4]),
        Fold.THRESHOLD: np.array([5]),
        Fold.TEST: np.array([6, 7]),
    }
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Eight items, `shows/p0` to `shows/p7`."""
    made = make_set(tmp_path_factory.mktemp("made") / "shows", 8)
    return list(read_catalogue([made], Kind.PODCAST, "genres").examples)


def encoder(folder: Path, **folds: list[int]) -> Encoder:
    """One with these items in the folds beside its graph; without any it has no split."""
    folder.mkdir()
    if folds:
        named = {fold: [f"shows/p{row}" for row in rows] for fold, rows in folds.items()}
        (folder / "split.json").write_text(json.dumps(named))
    record = EncoderRecord(
        model=f"image-{folder.name}",
        version=1,
        modality=Modality.IMAGE,
        features=ImageFeatures(height_px=32, width_px=32),
        embedding_dim=4,
        source="test",
        licence="ISC",
        checksums={},
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    return Encoder(record, folder)


def test_what_any_of_several_saw_is_seen(examples, tmp_path):
    """In a fold but the test fold, and with it all of its cluster; who has no split beside it saw nothing."""
    head = encoder(tmp_path / "head", train=[0], threshold=[5], test=[2, 7])
    other = encoder(tmp_path / "other", calibration=[2])
    plain = encoder(tmp_path / "plain")
    assert unseen(examples, CLUSTERS, [head.directory]).tolist() == [2, 3, 4, 6, 7]
    assert unseen(examples, CLUSTERS, [head.directory, other.directory]).tolist() == [3, 4, 6, 7]
    assert unseen(examples, CLUSTERS, [plain.directory]).tolist() == list(range(8))


def test_an_encoder_that_saw_test_items_is_refused(examples, tmp_path):
    """With their number and the folds to use; one that was tuned on the same split, or on none, is not."""
    same = {str(fold): SPLIT[fold].tolist() for fold in Fold}
    refuse_learnt(
        examples, CLUSTERS, [encoder(tmp_path / "same", **same), encoder(tmp_path / "plain")], SPLIT
    )
    other = encoder(tmp_path / "other", train=[0, 6], test=[1, 7])
    with pytest.raises(TrainingError) as refused:
        refuse_learnt(examples, CLUSTERS, [other], SPLIT)
    wanted = (
        f"image-other learnt from 1 of the 2 test items; use its folds: --split {tmp_path}/other/split.json"
    )
    assert str(refused.value) == wanted


def test_who_knows_the_answers_is_not_judged_by_them(examples, tmp_path):
    """Where no encoder learnt from the train fold its items judge; else those outside the test fold that none
    learnt from: on what it was stopped counts, what shares a cluster with what it learnt does not."""
    plain = encoder(tmp_path / "plain", test=[0, 1])
    assert judges(examples, CLUSTERS, [plain], SPLIT).tolist() == [0, 1, 2, 3]
    assert judges(examples, CLUSTERS, [], SPLIT).tolist() == [0, 1, 2, 3]
    tuned = encoder(tmp_path / "tuned", train=[0, 2], calibration=[4], test=[6])
    assert judges(examples, CLUSTERS, [plain, tuned], SPLIT).tolist() == [3, 4, 5]


def test_the_gate_learns_from_the_judges(tmp_path):
    """The gate is the one that the cross-fit's logits of these rows give, and not that of the train fold."""
    rows, targets = make_rows(300, modalities=[Modality.IMAGE, Modality.AUDIO])
    rows = HeadRows(rows.embeddings, None, rows.presence)
    groups = [f"g{row}" for row in range(300)]
    split = split_by_group(targets, groups, seed=0)
    judging = np.sort(np.concatenate([split[Fold.CALIBRATION], split[Fold.THRESHOLD]]))
    settings = FitSettings(epochs=2)
    fitted = fit_head(rows, targets, split, groups, settings, judges=judging)
    names, fold = fitted.head.branches.names, split[Fold.CALIBRATION]

    def weights_of(which: np.ndarray) -> torch.Tensor:
        gate = fit_gate(names, fitted.logits[which], rows.presence[which], targets[which], settings.seed)
        return calibrate(gate, fitted.logits[fold], rows.presence[fold], targets[fold]).weights

    torch.testing.assert_close(fitted.head.gate.weights, weights_of(judging))
    assert not torch.allclose(fitted.head.gate.weights, weights_of(split[Fold.TRAIN]), atol=1e-3)
