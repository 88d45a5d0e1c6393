"""From rows to a calibrated head: branches by cross-fit, the gate, its calibration, branches on all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.training.calibrate import calibrate
from genrestream.training.export import round_tables
from genrestream.training.fit import FitSettings, Progress, branch_logits, fit_branches, refit_branches
from genrestream.training.fuse import fit_gate
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import FusedHead, Gate
from genrestream.training.split import Fold, Split, assign_groups

CROSS_FIT_PARTS = 4


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head, and branches' logits for all items, so that predicting again costs next to nothing."""

    head: FusedHead
    logits: NDArray[np.float32]
    """[n, k, l], each item's from branches that never saw it: in the training fold from the cross-fit's other
    parts, for calibration and thresholds from the mean of all parts, in the test fold from those served."""
    curves: list[dict[str, list[float]]]
    """Of each part of the cross-fit and branch, the loss on what it left out, epoch by epoch."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the head listens to."""
        return self.head.gate.modalities

    def predict(self, rows: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Confidences float32 [len(rows), l] under a presence mask float32 [len(rows), m]."""
        return gated(self.head.gate, self.logits[rows], presence)


def gated(gate: Gate, logits: NDArray[np.float32], presence: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the gate makes of branch logits [n, k, l] and presence [n, m]: confidences float32 [n, l]."""
    with torch.no_grad():
        confidences: NDArray[np.float32] = gate(torch.from_numpy(logits), torch.from_numpy(presence)).numpy()
    return confidences


def fit_head(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    split: Split,
    groups: Sequence[str],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> FittedHead:
    """The head for `targets` bool [n, l]; the test fold is not looked at.

    Raises:
        TrainingError: there are too few groups, or the loss is no number.
    """
    train, fold, test = split[Fold.TRAIN], split[Fold.CALIBRATION], split[Fold.TEST]
    shares = [1.0] * CROSS_FIT_PARTS
    parts = assign_groups(targets[train], [groups[row] for row in train], shares, settings.seed)
    total = (CROSS_FIT_PARTS + 1) * settings.epochs
    fitted = fit_branches(rows, targets, train, parts, settings, lambda done, _: progress(done, total))
    names = fitted.branches.names
    logits = np.zeros((len(rows), len(names), targets.shape[1]), np.float32)
    logits[train] = fitted.held_out_logits
    kept_back = np.concatenate([fold, split[Fold.THRESHOLD]])
    logits[kept_back] = branch_logits(fitted.branches, rows, kept_back, settings)
    gate = fit_gate(names, logits[train], rows.presence[train], targets[train], settings.seed)
    gate = calibrate(gate, logits[fold], rows.presence[fold], targets[fold])

    learnt = np.sort(np.concatenate([train, kept_back]))
    branches = refit_branches(
        fitted,
        rows,
        targets,
        learnt,
        settings,
        lambda done, _: progress(CROSS_FIT_PARTS * settings.epochs + done, total),
    )
    head = FusedHead(branches, gate)
    round_tables(head)
    logits[test] = branch_logits(branches, rows, test, settings)
    return FittedHead(head, logits, fitted.curves)
