"""Whether a head may go live: on the same test items it has to beat what is simpler, and what is live.

Paired bootstrap over groups: both are measured on each draw, and the head beats its rival if it is better in
nine draws of ten. Legend: n items, l labels, r draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.live import LivePointer
from genrestream.schemas.releases import Gate, GateFigure, Release
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
    found = []
    for figure in figures:
        mine, others = _drawn(figure, truth, head, draws), _drawn(figure, truth, other, draws)
        wins = float(np.mean(mine > others))
        lead = interval(mine - others)
        found.append(
            Gate(
                rival=rival,
                figure=figure,
                items=len(truth),
                head=round(_figure(figure, truth, head), 4),
                other=round(_figure(figure, truth, other), 4),
                wins=round(wins, 4),
                lead=lead and (round(lead[0], 4), round(lead[1], 4)),
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


def _drawn(
    figure: GateFigure, truth: Truth, predictions: Predictions, draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The figure in each draw, float64 [r]."""
    if figure is GateFigure.MEAN_AP:
        return mean_of_known(drawn_label_ap(truth, predictions.confidences, draws))
    return drawn_micro_f1(truth, predictions.decided, draws)
