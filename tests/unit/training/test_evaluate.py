"""A collapsed head is refused, and every subset of modalities is measured."""

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import CollapsedError
from genrestream.training.metrics import measure

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.evaluate import predict_slices, refuse_collapsed, slice_figures  # noqa: E402

RNG = np.random.default_rng(0)
TRUTH = RNG.random((200, 3)) < 0.3
GOOD = np.clip(TRUTH * 0.4 + RNG.random((200, 3)) * 0.5, 0, 1)
PRIOR = np.tile(TRUTH.mean(axis=0), (200, 1))
HALF = np.full(3, 0.5)


def refuse(confidences: np.ndarray, thresholds: np.ndarray = HALF) -> None:
    prior = measure(TRUTH, PRIOR, HALF)
    refuse_collapsed(confidences, thresholds, measure(TRUTH, np.nan_to_num(confidences), thresholds), prior)


def test_a_head_that_tells_items_apart_passes():
    """It ranks better than the labels' frequencies do."""
    refuse(GOOD)


@pytest.mark.parametrize(
    ("confidences", "reason"),
    [
        (np.where(np.eye(200, 3) > 0, np.nan, GOOD), "some confidences are no numbers"),
        (PRIOR, "it gives every item the same confidences"),
        (PRIOR + GOOD * 1e-4, "it gives every item the same confidences"),
        (np.zeros((200, 3)), "it gives every item the same confidences"),
        (GOOD * 0.5, "no confidence reaches its threshold, so it predicts nothing"),
        (0.6 + GOOD * 0.1, "it gives every item the same labels"),
        (1.0 - GOOD, "the head learnt nothing: its mean average precision is 0.1"),
    ],
)
def test_a_collapsed_head_is_refused_with_the_reason(confidences, reason):
    """Confidences that are no numbers, the same for all, too low for any threshold, over all thresholds,
    or that rank worse than frequencies."""
    with pytest.raises(CollapsedError, match=reason):
        refuse(confidences)


def test_each_subset_is_measured_on_the_items_that_have_it():
    """Of 200 items all have text and 60 a picture; a subset of fewer than 20 items is not measured."""
    presence = np.zeros((200, 3), np.float32)
    presence[:, 0] = 1
    presence[:60, 1] = 1
    presence[:10, 2] = 1
    seen: list[tuple[int, list[float]]] = []

    def predict(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
        seen.append((len(rows), mask[0].tolist()))
        return GOOD[rows]

    parts = predict_slices(predict, np.arange(200), presence, HALF, tuple(Modality))
    slices = slice_figures(parts, TRUTH)
    assert parts["image"].rows.tolist() == list(range(60))
    assert slices["text"] == measure(TRUTH, GOOD, HALF)
    assert {name: found.items for name, found in slices.items()} == {
        "text": 200,
        "image": 60,
        "text+image": 60,
    }
    assert seen == [(200, [1, 0, 0]), (60, [0, 1, 0]), (60, [1, 1, 0])]
