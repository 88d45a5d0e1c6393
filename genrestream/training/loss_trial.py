"""Another loss is used only where it beats binary cross-entropy, on items that neither saw.

Legend: n items, l labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.schemas.releases import Gate, GateFigure
from genrestream.training.fit import CrossFit, Progress, cross_fit
from genrestream.training.fit_loop import FitSettings
from genrestream.training.fuse import fit_gate
from genrestream.training.gates import gates
from genrestream.training.head_rows import HeadRows
from genrestream.training.losses import LossName
from genrestream.training.metrics import Predictions


@dataclass(frozen=True, slots=True)
class LossTrial:
    """The loss that is used, and what branches trained with it say of items that they never saw."""

    loss: LossName
    crossed: CrossFit
    plain: CrossFit
    """The cross-fit with binary cross-entropy, whatever loss is used."""
    gate: Gate | None
    """How the loss that was asked for fared; None if that was binary cross-entropy."""


def try_loss(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    learnt: NDArray[np.int64],
    parts: NDArray[np.int64],
    train: NDArray[np.int64],
    groups: Sequence[str],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> LossTrial:
    """Cross-fit `targets` bool [all, l] of the rows `learnt` with the loss of `settings`, if it wins.

    It wins if its mean average precision is the better one in nine of ten bootstrap draws of the groups:
    fused by a gate that learnt from the rows `train`, on the others of `learnt`.

    Raises:
        TrainingError: a loss is no number.
    """
    rounds = (int(parts.max()) + 1) * settings.epochs
    asked = settings.loss
    bce = replace(settings, loss=LossName.BCE)
    total = rounds if asked is LossName.BCE else 2 * rounds
    plain = cross_fit(rows, targets, learnt, parts, bce, lambda done, _: progress(done, total))
    if asked is LossName.BCE:
        return LossTrial(asked, plain, plain, None)
    other = cross_fit(rows, targets, learnt, parts, settings, lambda done, _: progress(rounds + done, total))

    at_train = np.isin(learnt, train)
    judged = learnt[~at_train]

    def predictions(found: CrossFit) -> Predictions:
        fusion = fit_gate(
            found.names,
            found.held_out_logits[at_train],
            rows.presence[learnt[at_train]],
            targets[learnt[at_train]],
            settings.seed,
        )
        with torch.no_grad():
            confidences = fusion(
                torch.from_numpy(found.held_out_logits[~at_train]), torch.from_numpy(rows.presence[judged])
            ).numpy()
        return Predictions(confidences, confidences >= 0.5)

    (gate,) = gates(
        LossName.BCE,
        targets[judged],
        predictions(other),
        predictions(plain),
        [groups[row] for row in judged],
        [GateFigure.MEAN_AP],
        settings.seed,
    )
    if gate.passed:
        return LossTrial(asked, other, plain, gate)
    return LossTrial(LossName.BCE, plain, plain, gate)
