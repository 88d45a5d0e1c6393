"""Which items are learnt from, stopped on and measured on, and in which order."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.schemas import Modality  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.fine_tune.items import TuneItems  # noqa: E402
from genrestream.training.split import Fold  # noqa: E402
from tests.unit.training.fine_tune.made_items import FOLDS, made_texts  # noqa: E402


def test_short_texts_come_first_in_every_fold():
    """Each fold has its own rows, ordered by tokens; so a batch holds as few of padding as can be."""
    items = made_texts()
    ids = items.rows.kept[Modality.TEXT]
    assert items.lengths.tolist() == [np.count_nonzero(text) for text in ids]
    for fold, found in zip((Fold.TRAIN, Fold.CALIBRATION, Fold.TEST), items.folds, strict=True):
        assert sorted(found) == FOLDS[fold].tolist()
        assert (np.diff(items.lengths[found]) >= 0).all()


def test_items_without_the_modality_are_left_out_and_a_fold_of_none_is_refused():
    items = made_texts()
    places = np.arange(90)
    places[[0, 61]] = -1
    rows = replace(items.rows, places={Modality.TEXT: places})
    kept = TuneItems.of(Modality.TEXT, rows, items.has, FOLDS)
    assert (len(kept.train), len(kept.validation), len(kept.test)) == (59, 14, 15)
    places[75:] = -1
    with pytest.raises(TrainingError, match="no item of the test fold has a readable text"):
        TuneItems.of(Modality.TEXT, rows, items.has, FOLDS)
