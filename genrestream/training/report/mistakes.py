"""The mistakes that a head is surest of: they show what it has learnt wrong, or what is labelled wrong.

Legend: n items, l labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.training.metrics import Predictions

MOST = 12
"""Of each kind."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One item, and the label that is wrong about it."""

    row: int
    label: int
    confidence: float


def confidently_wrong(truth: NDArray[np.bool_], predictions: Predictions) -> list[Mistake]:
    """Labels that were given and are not true, the highest confidence first."""
    return _worst(predictions.decided & ~truth, predictions.confidences, highest=True)


def confidently_missed(truth: NDArray[np.bool_], predictions: Predictions) -> list[Mistake]:
    """True labels that were not given, the lowest confidence first."""
    return _worst(truth & ~predictions.decided, predictions.confidences, highest=False)


def best_is_wrong(truth: NDArray[np.bool_], predictions: Predictions) -> list[Mistake]:
    """Items that have a label and whose best one is not theirs, the highest confidence first."""
    best = np.zeros_like(truth)
    best[np.arange(len(truth)), predictions.confidences.argmax(axis=1)] = True
    wrong = best & ~truth & truth.any(axis=1, keepdims=True)
    return _worst(wrong, predictions.confidences, highest=True)


def _worst(where: NDArray[np.bool_], confidences: NDArray[np.floating], *, highest: bool) -> list[Mistake]:
    """At most 12, each item once: an item that is wrong in ten labels must not fill the list."""
    rows, labels = np.nonzero(where)
    found = confidences[rows, labels]
    order: Sequence[int] = np.argsort(-found if highest else found, kind="stable").tolist()
    seen: set[int] = set()
    chosen = []
    for place in order:
        row = int(rows[place])
        if row not in seen:
            seen.add(row)
            chosen.append(Mistake(row, int(labels[place]), float(found[place])))
        if len(chosen) == MOST:
            break
    return chosen
