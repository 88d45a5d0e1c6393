"""Figures of the set of labels that each item is given, as multi-label posters are reported.

Precision, recall and F1 are of each item's set, then averaged over items (Godbole & Sarawagi 2004), not those
of all decisions together. Legend: n items, l labels.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.training.metrics import Predictions, Truth, top_k_hits


@dataclass(frozen=True, slots=True)
class SetFigures:
    """Over items that have a label; each lies in 0 to 1 but `items` and `set_size`."""

    items: int
    at_least_one: float
    """Share of items with a right label in their set."""
    precision: float
    """Share of an item's set that is right."""
    recall: float
    """Share of an item's labels that are in its set."""
    f1: float
    top1: float
    """Share of items whose best label is right."""
    top2: float
    """Share of items with a right label among the best two."""
    set_size: float
    """Labels given, on average."""

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def measure_sets(truth: Truth, predictions: Predictions) -> SetFigures:
    """The figures for `truth` [n, l]; 0 where no item has a label."""
    labelled = truth.any(axis=1)
    wanted, given = truth[labelled], predictions.decided[labelled]
    right = (wanted & given).sum(axis=1)
    has, gets = wanted.sum(axis=1), given.sum(axis=1)
    confidences = predictions.confidences[labelled]
    return SetFigures(
        items=len(wanted),
        at_least_one=_mean(right > 0),
        precision=_mean(right / np.maximum(1, gets)),
        recall=_mean(right / np.maximum(1, has)),
        f1=_mean(2.0 * right / np.maximum(1, has + gets)),
        top1=_mean(top_k_hits(wanted, confidences, 1)),
        top2=_mean(top_k_hits(wanted, confidences, 2)),
        set_size=_mean(gets),
    )


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else 0.0
