"""Whether a head may go live: on the same test items it has to beat what is simpler, and what is live.

Paired bootstrap over groups (Efron & Tibshirani 1993, chapter 16): whole groups are drawn with replacement,
and both are measured on each draw; the head beats its rival if it is better in nine draws of ten.
Legend: n items, l labels, r draws, g groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.live import LivePointer
from genrestream.schemas.releases import Gate, GateFigure, Release
from genrestream.training.metrics import Predictions, Truth, mean_average_precision, micro_f1

DRAWS = 400
AT_ONCE = 25
"""Draws held in memory together: 25 x 8 bytes an item."""
LEVEL = 0.9
"""The share of draws in which the head has to be better."""


def gates(
    rival: str,
    truth: Truth,
    head: Predictions,
    other: Predictions,
    groups: Sequence[str],
    figures: Sequence[GateFigure],
    seed: int,
) -> list[Gate]:
    """One gate a figure: the head against one rival on items with `truth` [n, l] and `groups` [n]."""
    draws = _draws(groups, seed)
    found = []
    for figure in figures:
        measure = _mean_ap if figure is GateFigure.MEAN_AP else _micro_f1
        mine, others = measure(truth, head, draws), measure(truth, other, draws)
        wins = float(np.mean(mine > others))
        found.append(
            Gate(
                rival=rival,
                figure=figure,
                items=len(truth),
                head=round(_figure(figure, truth, head), 4),
                other=round(_figure(figure, truth, other), 4),
                wins=round(wins, 4),
                passed=wins >= LEVEL,
            )
        )
    return found


def refusals(release: Release, live: LivePointer | None) -> list[str]:
    """Why the release should not go live in the place of `live`, a line each; empty if it may."""
    reasons = [f"it does not beat {describe(gate)}" for gate in release.gates if not gate.passed]
    if not release.gates:
        reasons.append("it was not measured against anything")
    elif live is not None and live_rival(live) not in {gate.rival for gate in release.gates}:
        reasons.append(f"it was not measured against {live_rival(live)}, which is live")
    return reasons


def describe(gate: Gate) -> str:
    """The rival and both figures, in words."""
    return (
        f"{gate.rival}: {_NAMES[gate.figure]} {gate.head:.3f} against {gate.other:.3f}, better in "
        f"{gate.wins:.0%} of {DRAWS} draws of its {gate.items} test items, wanted are {LEVEL:.0%}"
    )


def live_rival(live: LivePointer) -> str:
    """The name of the live version among the gates."""
    return f"{live.model} version {live.version}"


_NAMES = {GateFigure.MEAN_AP: "mean average precision", GateFigure.MICRO_F1: "micro-F1"}


def _figure(figure: GateFigure, truth: Truth, predictions: Predictions) -> float:
    if figure is GateFigure.MEAN_AP:
        return mean_average_precision(truth, predictions.confidences)
    return micro_f1(truth, predictions.decided)


def _draws(groups: Sequence[str], seed: int) -> NDArray[np.float64]:
    """How often each item is in each draw, float64 [r, n]; all items of a group equally often."""
    names, group_of_item = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1.0 / len(names))
    drawn = rng.multinomial(len(names), share, size=DRAWS).astype(np.float64)
    times: NDArray[np.float64] = drawn[:, group_of_item]
    return times


def _micro_f1(truth: Truth, predictions: Predictions, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    both = 2.0 * (truth & predictions.decided).sum(axis=1)
    all_of_them = truth.sum(axis=1) + predictions.decided.sum(axis=1)
    scores: NDArray[np.float64] = (draws @ both) / np.maximum(1.0, draws @ all_of_them)
    return scores


def _mean_ap(truth: Truth, predictions: Predictions, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the labels that the draw holds, float64 [r]."""
    by_label = np.stack(
        [
            _average_precision(truth[:, label], predictions.confidences[:, label], draws)
            for label in range(truth.shape[1])
        ]
    )
    known = ~np.isnan(by_label)
    means: NDArray[np.float64] = np.where(known, by_label, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    return means


def _average_precision(
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
