"""Bootstrap over groups: whole groups are drawn with replacement, and figures measured on each draw.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13 and 16. Items of one group are alike,
so drawn one by one they would promise more than they hold. Legend: n items, l labels, r draws, g groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.training.groups import numbered
from genrestream.training.metrics import Confidences, Truth

DRAWS = 400
AT_ONCE = 25
"""Draws held in memory together: 25 x 8 bytes an item."""
INTERVAL = (2.5, 97.5)
"""The percentiles of the draws between which a figure lies: a 95 % interval."""


def group_draws(groups: Sequence[str], seed: int) -> NDArray[np.float64]:
    """How often each item is in each draw, float64 [r, n]; all items of a group equally often."""
    names, group_of_item = numbered(groups)
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1.0 / len(names))
    drawn = rng.multinomial(len(names), share, size=DRAWS).astype(np.float64)
    times: NDArray[np.float64] = drawn[:, group_of_item]
    return times


def drawn_share(
    draws: NDArray[np.float64], part: NDArray[np.generic], whole: NDArray[np.generic]
) -> NDArray[np.float64]:
    """The sum of `part` over the sum of `whole` in each draw, float64 [r] or, for [n, l], [r, l].

    NaN where the whole is 0.
    """
    parts, wholes = draws @ part.astype(np.float64), draws @ whole.astype(np.float64)
    share: NDArray[np.float64] = np.where(wholes > 0, parts / np.maximum(wholes, 1e-9), np.nan)
    return share


def drawn_micro_f1(truth: Truth, decided: Truth, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Micro-F1 in each draw, float64 [r]."""
    both = 2.0 * (truth & decided).sum(axis=1)
    all_of_them = truth.sum(axis=1) + decided.sum(axis=1)
    scores: NDArray[np.float64] = (draws @ both) / np.maximum(1.0, draws @ all_of_them)
    return scores


def drawn_label_ap(truth: Truth, confidences: Confidences, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision of each label in each draw, float64 [l, r]; NaN where no item drawn has it."""
    return np.stack(
        [
            drawn_average_precision(truth[:, label], confidences[:, label], draws)
            for label in range(truth.shape[1])
        ]
    )


def mean_of_known(by_label: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the labels that each draw holds, float64 [r], of figures [l, r] that are NaN elsewhere."""
    known = ~np.isnan(by_label)
    means: NDArray[np.float64] = np.where(known, by_label, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    return means


def drawn_average_precision(
    truth: NDArray[np.bool_], confidences: NDArray[np.floating], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One label's average precision in each draw, float64 [r]; NaN where no item drawn has it."""
    order = np.argsort(-confidences, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidences[order])), len(truth) - 1)
    found = np.full(len(draws), np.nan)
    for start in range(0, len(draws), AT_ONCE):
        times = draws[start : start + AT_ONCE, order]
        hits = np.cumsum(times * truth[order], axis=1)[:, ends]
        seen = np.cumsum(times, axis=1)[:, ends]
        all_hits = hits[:, -1:]
        recalled = np.diff(hits, axis=1, prepend=0.0)
        score = (recalled * hits / np.maximum(seen, 1.0)).sum(axis=1) / np.maximum(all_hits[:, 0], 1.0)
        found[start : start + AT_ONCE] = np.where(all_hits[:, 0] > 0, score, np.nan)
    return found


def interval(drawn: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95 % interval of a figure's draws [r]; None where no draw knows it."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return None
    low, high = np.percentile(known, INTERVAL)
    return float(low), float(high)


def interval_around(value: float, drawn: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95 % interval of a figure between 0 and 1, with the spread of its draws [r] and their mean at it.

    Draws lean: an item that is drawn twice stands beside itself, which lifts the average precision of rare
    labels. With 200 labels the mean over them came out under its own interval.
    """
    known = drawn[~np.isnan(drawn)]
    between = interval(known - known.mean() + value) if len(known) else None
    return between and (max(0.0, between[0]), min(1.0, between[1]))
