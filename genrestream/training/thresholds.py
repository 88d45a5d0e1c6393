"""The confidence from which each label is given, chosen on a fold of its own for a stated aim.

Legend: n items, l labels.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from genrestream.training.metrics import decide, micro_f1

GRID = np.round(np.arange(0.05, 0.951, 0.01), 2)
"""The thresholds that are tried."""

BELIEF = 1.0
"""How much the confidences themselves count beside what the fold shows, item for item: a small fold, or a
label that it hardly holds, must not decide alone."""


ROWS_AT_ONCE = 8_192
"""Items whose confidences are in memory together, where all items have to be looked at."""

MIN_ITEMS_GIVEN = 50
"""A label with so many training items has to be given to some item: one that never is helps nobody."""


class Aim(StrEnum):
    """What the thresholds are chosen for."""

    MICRO_F1 = "micro-f1"
    MACRO_F1 = "macro-f1"
    PRECISION = "precision"


def choose_thresholds(
    truth: NDArray[np.bool_], confidences: NDArray[np.floating], aim: Aim, precision_floor: float = 0.7
) -> NDArray[np.float64]:
    """Thresholds float64 [l] for `truth` [n, l] and calibrated `confidences` [n, l].

    For micro-F1 one threshold for all labels (on calibrated confidences that is the optimum, Lipton et al.
    2014, arXiv:1402.1892); for macro-F1 each label's own; for precision the lowest at which a label's
    precision is at least the floor.
    """
    labels = truth.shape[1]
    if aim is Aim.MICRO_F1:
        scores = [_expected_micro_f1(truth, confidences, threshold) for threshold in GRID]
        return np.full(labels, GRID[int(np.argmax(scores))])
    if aim is Aim.MACRO_F1:
        return np.array([_best_f1(truth[:, label], confidences[:, label]) for label in range(labels)])
    return np.array(
        [_precise(truth[:, label], confidences[:, label], precision_floor) for label in range(labels)]
    )


def lowered_for_unused(
    thresholds: NDArray[np.float64],
    truth: NDArray[np.bool_],
    confidences_of: Callable[[NDArray[np.int64]], NDArray[np.floating]],
) -> NDArray[np.float64]:
    """The thresholds, lower for each label that has 50 items and that none of the items would be given.

    `truth` [n, l] is of all items outside the test fold; `confidences_of` some of these [b] are [b, l], from
    branches that never saw them. Such a label's threshold is then the best for its own F1, and its highest
    confidence at most. Not for a precision floor, which would be broken.
    """
    rows = np.arange(len(truth))
    parts = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
    given = np.zeros(truth.shape[1], np.bool_)
    for part in parts:
        given |= decide(confidences_of(part), thresholds).any(axis=0)
    unused = np.flatnonzero(~given & (truth.sum(axis=0) >= MIN_ITEMS_GIVEN))
    lowered = thresholds.copy()
    if not len(unused):
        return lowered
    theirs = np.concatenate([confidences_of(part)[:, unused] for part in parts])
    for label, confidences in zip(unused, theirs.T, strict=True):
        best = _best_f1(truth[:, label], confidences)
        lowered[label] = min(best, np.floor(1e4 * confidences.max()) / 1e4)
    return lowered


def _expected_micro_f1(
    truth: NDArray[np.bool_], confidences: NDArray[np.floating], threshold: float
) -> float:
    decided = decide(confidences, np.full(truth.shape[1], threshold))
    expected = 2.0 * confidences[decided].sum() / max(1e-9, decided.sum() + confidences.sum())
    return (micro_f1(truth, decided) + BELIEF * float(expected)) / (1.0 + BELIEF)


def _best_f1(truth: NDArray[np.bool_], confidences: NDArray[np.floating]) -> float:
    believed = (truth + BELIEF * confidences) / (1.0 + BELIEF)
    given = confidences[None, :] >= GRID[:, None]
    expected = 2.0 * (given @ believed) / np.maximum(1e-9, given.sum(axis=1) + believed.sum())
    return float(GRID[int(np.argmax(expected))])


def _precise(truth: NDArray[np.bool_], confidences: NDArray[np.floating], floor: float) -> float:
    given = confidences[None, :] >= GRID[:, None]
    # As if one more had been given and wrong: a few lucky hits must not promise a precision.
    enough = np.flatnonzero((given & truth).sum(axis=1) >= floor * (given.sum(axis=1) + 1))
    # Where the fold shows no such threshold, a calibrated confidence of the floor itself promises it.
    return float(GRID[enough[0]]) if len(enough) else floor
