"""The head's figures with their 95 % intervals, all labels together and label by label.

Legend: n items, l labels, r draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.training.bootstrap import (
    drawn_label_ap,
    drawn_micro_f1,
    drawn_share,
    group_draws,
    interval_around,
    mean_of_known,
)
from genrestream.training.metrics import item_f1, label_average_precision, label_f1, top_k_hits
from genrestream.training.report.findings import Findings


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure between 0 and 1, and its interval; None where nothing can be told."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label on the items measured."""

    label: str
    train_items: int | None
    test_items: int
    given: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    threshold: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """Everything that has an interval."""

    head: Mapping[str, Estimate]
    """By the name of the figure in `Figures`."""
    labels: tuple[LabelRow, ...]


def estimate(findings: Findings) -> Estimates:
    """The intervals of the head's figures and of each label's, over draws of whole groups."""
    truth, decided = findings.truth, findings.predictions.decided
    confidences = findings.predictions.confidences
    draws = group_draws(findings.groups, findings.seed)
    both = truth & decided
    precision = drawn_share(draws, both, decided)
    recall = drawn_share(draws, both, truth)
    f1 = drawn_share(draws, 2 * both, truth.astype(int) + decided)
    ap = drawn_label_ap(truth, confidences, draws)

    training, release = findings.training, findings.release
    true_ap, true_f1 = label_average_precision(truth, confidences), label_f1(truth, decided)
    counts = both.sum(axis=0), decided.sum(axis=0), truth.sum(axis=0)
    rows = []
    for place, label in enumerate(release.labels):
        right, given, there = (int(count[place]) for count in counts)
        rows.append(
            LabelRow(
                label=label,
                train_items=None if training is None else int(training.items_by_label[place]),
                test_items=there,
                given=given,
                precision=_estimate(right / given if given else None, precision[:, place]),
                recall=_estimate(right / there if there else None, recall[:, place]),
                f1=_estimate(float(true_f1[place]) if given or there else None, f1[:, place]),
                average_precision=_estimate(float(true_ap[place]) if there else None, ap[place]),
                threshold=release.thresholds[place],
            )
        )
    return Estimates(_head(findings, draws, f1, ap), tuple(rows))


def _head(
    findings: Findings,
    draws: NDArray[np.float64],
    label_f1_drawn: NDArray[np.float64],
    label_ap_drawn: NDArray[np.float64],
) -> dict[str, Estimate]:
    truth, decided = findings.truth, findings.predictions.decided
    labelled: NDArray[np.bool_] = np.asarray(truth.any(axis=1))

    def of_labelled(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return drawn_share(draws, np.where(labelled, values, 0), labelled)

    tops = {f"top{k}": of_labelled(top_k_hits(truth, findings.predictions.confidences, k)) for k in (1, 3, 5)}
    drawn = {
        "mean_ap": mean_of_known(label_ap_drawn),
        "micro_f1": drawn_micro_f1(truth, decided, draws),
        # A label that a draw neither holds nor gives counts 0, as it does in the figure itself.
        "macro_f1": np.nan_to_num(label_f1_drawn).mean(axis=1),
        "sample_f1": of_labelled(item_f1(truth, decided)),
        **tops,
        "at_least_one": of_labelled(np.asarray((truth & decided).any(axis=1))),
    }
    figures = findings.figures.as_dict()
    return {name: _estimate(figures[name], values) for name, values in drawn.items()}


def _estimate(value: float | None, drawn: NDArray[np.float64]) -> Estimate:
    between = None if value is None else interval_around(value, drawn)
    return Estimate(value) if between is None else Estimate(value, *between)
