"""Whether a head may go live: on the same test items it has to beat what is simpler, and what is live.

Paired bootstrap over groups: both are measured on each draw, and the head beats its rival if it is better in
nine draws of ten. Of its own branches it has to be no worse than the best: it is worse if the 95 % interval
of its lead lies below 0. Legend: n items, l labels, r draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.live import LivePointer
from genrestream.schemas.releases import Gate, GateFigure, Release, Wanted
from genrestream.training.bootstrap import (
    DRAWS,
    drawn_label_ap,
    drawn_micro_f1,
    group_draws,
    interval,
    mean_of_known,
)
from genrestream.training.metrics import Predictions, Truth, mean_average_precision, micro_f1

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
    draws = group_draws(groups, seed)
    return [_gate(Wanted.BETTER, rival, truth, head, other, figure, draws) for figure in figures]


def not_worse_gate(
    rival: str, truth: Truth, head: Predictions, other: Predictions, groups: Sequence[str], seed: int
) -> Gate:
    """The head against what it is made of: that it ranks the labels no worse, by mean average precision."""
    return _gate(Wanted.NOT_WORSE, rival, truth, head, other, GateFigure.MEAN_AP, group_draws(groups, seed))


def refusals(release: Release, live: LivePointer | None) -> list[str]:
    """Why the release should not go live in the place of `live`, a line each; empty if it may."""
    reasons = [f"it {_FAULTS[gate.wanted]} {describe(gate)}" for gate in release.gates if not gate.passed]
    if not release.gates:
        reasons.append("it was not measured against anything")
    elif live is not None and live_rival(live) not in {gate.rival for gate in release.gates}:
        reasons.append(f"it was not measured against {live_rival(live)}, which is live")
    return reasons


def describe(gate: Gate) -> str:
    """The rival and both figures, in words."""
    figures = f"{gate.rival}: {_NAMES[gate.figure]} {gate.head:.3f} against {gate.other:.3f}"
    drawn = f"{DRAWS} draws of its {gate.items} test items"
    if gate.wanted is Wanted.NOT_WORSE and gate.lead is not None:
        return f"{figures}, a lead of {gate.lead[0]:+.3f} to {gate.lead[1]:+.3f} in 95 % of {drawn}"
    return f"{figures}, better in {gate.wins:.0%} of {drawn}, wanted are {LEVEL:.0%}"


def live_rival(live: LivePointer) -> str:
    """The name of the live version among the gates."""
    return f"{live.model} version {live.version}"


_NAMES = {GateFigure.MEAN_AP: "mean average precision", GateFigure.MICRO_F1: "micro-F1"}
_FAULTS = {Wanted.BETTER: "does not beat", Wanted.NOT_WORSE: "is worse than"}


def _gate(
    wanted: Wanted,
    rival: str,
    truth: Truth,
    head: Predictions,
    other: Predictions,
    figure: GateFigure,
    draws: NDArray[np.float64],
) -> Gate:
    mine, others = _drawn(figure, truth, head, draws), _drawn(figure, truth, other, draws)
    wins = float(np.mean(mine > others))
    between = interval(mine - others)
    lead = between and (round(between[0], 4), round(between[1], 4))
    return Gate(
        rival=rival,
        figure=figure,
        wanted=wanted,
        items=len(truth),
        head=round(_figure(figure, truth, head), 4),
        other=round(_figure(figure, truth, other), 4),
        wins=round(wins, 4),
        lead=lead,
        passed=wins >= LEVEL if wanted is Wanted.BETTER else lead is None or lead[1] >= 0.0,
    )


def _figure(figure: GateFigure, truth: Truth, predictions: Predictions) -> float:
    if figure is GateFigure.MEAN_AP:
        return mean_average_precision(truth, predictions.confidences)
    return micro_f1(truth, predictions.decided)


def _drawn(
    figure: GateFigure, truth: Truth, predictions: Predictions, draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The figure in each draw, float64 [r]."""
    if figure is GateFigure.MEAN_AP:
        return mean_of_known(drawn_label_ap(truth, predictions.confidences, draws))
    return drawn_micro_f1(truth, predictions.decided, draws)
