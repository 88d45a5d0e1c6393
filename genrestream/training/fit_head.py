"""From rows to a calibrated head: branches on the training fold, then the gate, then its calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.training.calibrate import calibrate
from genrestream.training.export import round_tables
from genrestream.training.fit import FitSettings, FittedBranches, Progress, branch_logits, fit_branches
from genrestream.training.fuse import fit_gate
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import FusedHead, Gate
from genrestream.training.split import Fold, Split, assign_groups

CROSS_FIT_PARTS = 4


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head, and its branches' logits for all items, so that predicting again costs next to nothing."""

    head: FusedHead
    fitted: FittedBranches
    logits: NDArray[np.float32]
    """[n, k, l]"""

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
    """The head for `targets` bool [n, l]; only the training and the calibration fold are looked at.

    Raises:
        TrainingError: there are too few groups, or the loss is no number.
    """
    train = split[Fold.TRAIN]
    shares = [1.0] * CROSS_FIT_PARTS
    parts = assign_groups(targets[train], [groups[row] for row in train], shares, settings.seed)
    fitted = fit_branches(rows, targets, train, parts, settings, progress)
    names = fitted.branches.names
    gate = fit_gate(names, fitted.held_out_logits, rows.presence[train], targets[train], settings.seed)
    head = FusedHead(fitted.branches, gate)
    round_tables(head)
    logits = branch_logits(fitted.branches, rows, np.arange(len(rows)), settings)
    fold = split[Fold.CALIBRATION]
    head.gate = calibrate(gate, logits[fold], rows.presence[fold], targets[fold])
    return FittedHead(head, fitted, logits)
