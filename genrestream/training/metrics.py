"""Figures of multi-label predictions. Legend: n items, l labels.

`truth` bool [n, l]; `confidences` float [n, l] in 0 to 1; `decided` bool [n, l]: the labels that are given.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Confidences = NDArray[np.floating]

CALIBRATION_BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. 2017, arXiv:1706.04599."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported for one set of predictions; each lies in 0 to 1 but `labels_given`."""

    items: int
    top1: float
    """Share of items whose best label is right, of those that have a label."""
    top3: float
    """Share of items with a right label among the best three."""
    top5: float
    """Share of items with a right label among the best five."""
    micro_f1: float
    macro_f1: float
    sample_f1: float
    """Mean over items that have a label of the F1 of the labels given to each."""
    mean_ap: float
    """Mean over labels of the average precision."""
    hamming_loss: float
    """Share of wrong decisions among all labels of all items; giving nothing keeps it low."""
    at_least_one: float
    """Share of items with a right label among those given."""
    labels_given: float
    """Labels given, on average."""
    ece: float
    """Expected calibration error over all labels of all items."""
    ece_top1: float
    """Expected calibration error of the best label's confidence."""

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What is said of some items: how sure, and the labels that are given."""

    confidences: Confidences
    decided: Truth

    def only(self, rows: NDArray[np.integer], labels: Sequence[int]) -> Self:
        """Of some items, some labels."""
        return type(self)(self.confidences[rows][:, labels], self.decided[rows][:, labels])


def measure(truth: Truth, confidences: Confidences, thresholds: NDArray[np.floating]) -> Figures:
    """All figures of the predictions, with labels given as the worker gives them."""
    return measure_decided(truth, Predictions(confidences, decide(confidences, thresholds)))


def measure_decided(truth: Truth, predictions: Predictions) -> Figures:
    """All figures of the predictions and the labels given for them."""
    confidences, decided = predictions.confidences, predictions.decided
    labelled: Truth = np.asarray(truth.any(axis=1))
    right = top_k_hits(truth, confidences, 1)
    return Figures(
        items=len(truth),
        top1=_mean(right[labelled]),
        top3=_mean(top_k_hits(truth, confidences, 3)[labelled]),
        top5=_mean(top_k_hits(truth, confidences, 5)[labelled]),
        micro_f1=micro_f1(truth, decided),
        macro_f1=float(np.mean(label_f1(truth, decided))),
        sample_f1=_mean(item_f1(truth, decided)[labelled]),
        mean_ap=mean_average_precision(truth, confidences),
        hamming_loss=float((truth ^ decided).mean()) if truth.size else 0.0,
        at_least_one=_mean(np.asarray((truth & decided).any(axis=1))[labelled]),
        labels_given=float(decided.sum(axis=1).mean()) if len(decided) else 0.0,
        ece=calibration_error(confidences.ravel(), truth.ravel()),
        ece_top1=calibration_error(confidences.max(axis=1), right),
    )


def decide(confidences: Confidences, thresholds: NDArray[np.floating]) -> Truth:
    """The labels that are given: those that reach their threshold, else the best one alone."""
    decided: Truth = np.asarray(confidences >= thresholds, np.bool_)
    nothing = np.flatnonzero(decided.sum(axis=1) == 0)
    decided[nothing, confidences[nothing].argmax(axis=1)] = True
    return decided


def top_k_hits(truth: Truth, confidences: Confidences, k: int) -> Truth:
    """Whether a right label is among the best k, bool [n]; a label of confidence 0 is not among them."""
    k = min(k, truth.shape[1])
    best = np.argsort(-confidences, axis=1, kind="stable")[:, :k]
    claimed = truth & (confidences > 0)
    hits: Truth = np.asarray(np.take_along_axis(claimed, best, axis=1).any(axis=1))
    return hits


def micro_f1(truth: Truth, decided: Truth) -> float:
    """F1 over all labels of all items together; 0 if nothing is right."""
    both = 2.0 * int((truth & decided).sum())
    return both / max(1, int(truth.sum()) + int(decided.sum()))


def label_f1(truth: Truth, decided: Truth) -> NDArray[np.float64]:
    """F1 of each label float64 [l]; 0 for a label that is neither there nor given."""
    both = 2.0 * (truth & decided).sum(axis=0)
    scores: NDArray[np.float64] = both / np.maximum(1, truth.sum(axis=0) + decided.sum(axis=0))
    return scores


def item_f1(truth: Truth, decided: Truth) -> NDArray[np.float64]:
    """F1 of each item's labels float64 [n]; 0 for an item that has and gets none."""
    both = 2.0 * (truth & decided).sum(axis=1)
    scores: NDArray[np.float64] = both / np.maximum(1, truth.sum(axis=1) + decided.sum(axis=1))
    return scores


def average_precision(truth: NDArray[np.bool_], confidences: NDArray[np.floating]) -> float:
    """Area under one label's precision-recall steps; ties count as one step; NaN without a true item."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-confidences, kind="stable")
    hits = np.cumsum(truth[order])
    # The last row of every run of equal confidences: nobody can cut inside the run.
    ends = np.append(np.flatnonzero(np.diff(confidences[order])), len(truth) - 1)
    recalled = hits[ends] / hits[-1]
    precision = hits[ends] / (ends + 1)
    return float(np.sum(np.diff(recalled, prepend=0.0) * precision))


def label_average_precision(truth: Truth, confidences: Confidences) -> NDArray[np.float64]:
    """Average precision of each label float64 [l], NaN where no item has it."""
    return np.array([average_precision(truth[:, i], confidences[:, i]) for i in range(truth.shape[1])])


def mean_average_precision(truth: Truth, confidences: Confidences) -> float:
    """Mean average precision over the labels that some item has; 0 if none has any."""
    scores = label_average_precision(truth, confidences)
    return float(np.nanmean(scores)) if not np.isnan(scores).all() else 0.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidences beside what came of them, in 15 bins of equal width from 0 to 1."""

    counts: NDArray[np.int64]
    claimed: NDArray[np.float64]
    """Sum of the confidences in each bin."""
    right: NDArray[np.float64]
    """How many in each bin were right."""
    variance: NDArray[np.float64]
    """Of `right`, if each confidence were the very chance of being right."""

    @property
    def ece(self) -> float:
        """Expected calibration error: |mean confidence - share right| of the bins, weighted by size."""
        return float(np.abs(self.claimed - self.right).sum() / max(1, self.counts.sum()))

    @property
    def ece_by_chance(self) -> float:
        """About the error that perfect confidences would show of as many items: the fewer, the more."""
        # The mean of a normal variable's absolute value.
        expected = np.sqrt(2.0 / np.pi * self.variance)
        return float(expected.sum() / max(1, self.counts.sum()))


def reliability(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> Reliability:
    """The bins of `confidences` float [n] and whether each was right, bool [n]."""
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return Reliability(
        np.bincount(bins, minlength=CALIBRATION_BINS),
        _sums(bins, confidences),
        _sums(bins, right),
        _sums(bins, confidences * (1.0 - confidences)),
    )


def _sums(bins: NDArray[np.int64], values: NDArray[np.generic]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.zeros(CALIBRATION_BINS)
    np.add.at(sums, bins, values.astype(np.float64))
    return sums


def calibration_error(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Expected calibration error of `confidences` float [n]; see `Reliability.ece`."""
    return reliability(confidences, right).ece


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else 0.0
