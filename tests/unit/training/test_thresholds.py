"""Thresholds for an aim."""

import numpy as np
import pytest

from genrestream.training.metrics import decide, label_f1, micro_f1
from genrestream.training.thresholds import Aim, choose_thresholds, lowered_for_unused

RARE = (8.0, 3.0, 1.0)
COMMON = (2.0, 1.0, 0.5)


def calibrated(items: int, seed: int, doubt: tuple[float, ...] = RARE) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of three labels, rare to frequent, and truths drawn from them: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    confidences = rng.beta(0.5, doubt, (items, 3))
    return rng.random((items, 3)) < confidences, confidences


def test_micro_f1_gets_one_threshold_near_the_best():
    """On calibrated confidences one threshold for all labels is best; the chosen one is within 0.01 of the
    best of all on fresh items."""
    truth, confidences = calibrated(2000, 0)
    thresholds = choose_thresholds(truth, confidences, Aim.MICRO_F1)
    assert len(set(thresholds.tolist())) == 1
    fresh_truth, fresh = calibrated(20_000, 1)
    best = max(micro_f1(fresh_truth, decide(fresh, np.full(3, at))) for at in np.arange(0.05, 0.95, 0.01))
    assert micro_f1(fresh_truth, decide(fresh, thresholds)) > best - 0.01


def test_macro_f1_helps_the_rare_label():
    """Each label gets its own threshold, and the mean F1 over labels is higher than with the micro aim."""
    truth, confidences = calibrated(5000, 2)
    fresh_truth, fresh = calibrated(20_000, 3)
    scores = {
        aim: label_f1(fresh_truth, decide(fresh, choose_thresholds(truth, confidences, aim))).mean()
        for aim in (Aim.MICRO_F1, Aim.MACRO_F1)
    }
    assert scores[Aim.MACRO_F1] > scores[Aim.MICRO_F1]


@pytest.mark.parametrize("floor", [0.5, 0.7, 0.9])
def test_precision_keeps_its_floor(floor):
    """On fresh items, of the labels given over their threshold at least the floor is right, less 5 % for
    chance."""
    truth, confidences = calibrated(5000, 4, COMMON)
    thresholds = choose_thresholds(truth, confidences, Aim.PRECISION, floor)
    fresh_truth, fresh = calibrated(50_000, 5, COMMON)
    given = fresh >= thresholds
    precision = (fresh_truth & given).sum(axis=0) / given.sum(axis=0)
    assert (precision > floor - 0.05).all()


def test_a_fold_without_a_label_does_not_give_it_away():
    """A label that the fold never shows keeps a threshold that its confidences do not reach easily."""
    confidences = np.full((50, 2), 0.3)
    truth = np.zeros((50, 2), np.bool_)
    truth[:, 0] = True
    thresholds = choose_thresholds(truth, confidences, Aim.PRECISION, 0.7)
    assert thresholds[0] < 0.3
    assert thresholds[1] == 0.7


def test_a_label_with_fifty_items_is_given_to_some():
    """Two labels that never reach the common threshold: the one with 60 items gets a threshold at which it
    is given, the one with 40 keeps its own."""
    rng = np.random.default_rng(6)
    truth = np.zeros((1000, 3), np.bool_)
    truth[:, 0] = rng.random(1000) < 0.6
    truth[:60, 1] = True
    truth[60:100, 2] = True
    confidences = np.column_stack([np.where(truth[:, 0], 0.9, 0.5), *(rng.uniform(0.01, 0.2, (2, 1000)))])
    confidences[truth[:, 1], 1] += 0.05
    lowered = lowered_for_unused(np.full(3, 0.4), truth, confidences.__getitem__)
    assert lowered[0] == 0.4
    assert lowered[2] == 0.4
    assert decide(confidences, lowered)[:, 1].any()
    assert not decide(confidences, np.full(3, 0.4))[:, 1].any()


def test_a_label_of_tiny_confidences_is_given_at_its_highest():
    """Below the grid of thresholds, the highest confidence itself decides, rounded down as it is stored."""
    truth = np.zeros((100, 2), np.bool_)
    truth[:50, 1] = True
    confidences = np.column_stack([np.full(100, 0.9), np.linspace(0.01, 0.030_07, 100)])
    lowered = lowered_for_unused(np.full(2, 0.5), truth, confidences.__getitem__)
    assert lowered.tolist() == [0.5, 0.03]
