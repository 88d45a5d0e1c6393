"""From rows to a calibrated head: cross-fit, the gate, its calibration, and the branches that are served.

Every item outside the test fold is judged by branches that never saw it; gate, calibration and thresholds
learn from folds of their own of these judgements. The served branches are then trained on all of them, a
quarter more than any part of the cross-fit saw (as scikit-learn's CalibratedClassifierCV, ensemble=False).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.training.calibrate import calibrate
from genrestream.training.disk_arrays import zeros_on_disk
from genrestream.training.export import round_tables
from genrestream.training.fit import Progress, fit_branches
from genrestream.training.fit_loop import FitSettings, branch_logits
from genrestream.training.fuse import fit_gate
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import TERMS, FusedHead, Gate
from genrestream.training.loss_trial import LossTrial, try_loss
from genrestream.training.losses import LossName
from genrestream.training.split import Fold, Split, assign_groups

CROSS_FIT_PARTS = 5


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head, and branches' logits for all items, so that predicting again costs next to nothing."""

    head: FusedHead
    logits: NDArray[np.float32]
    """[n, k, l], each item's from branches that never saw it: in the test fold from those served, elsewhere
    from the cross-fit's."""
    read_logits: NDArray[np.float32] | None
    """The same of what is read from their pictures; None for a head that does not know such texts."""
    trial: LossTrial
    """The cross-fit, with the loss that was used."""
    terms_logits: NDArray[np.float32] | None
    """[n, 1, l], as `logits`, of the hashed terms' branch that binary cross-entropy trains, whatever loss is
    used: the linear TF-IDF model that the head is measured against. None without hashed terms."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the head listens to."""
        return self.head.gate.modalities

    def predict(self, rows: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Confidences float32 [len(rows), l] under a presence mask float32 [len(rows), m]."""
        logits = self.logits[rows]
        if self.read_logits is not None:
            is_read = presence[:, -1] > 0
            logits[is_read] = self.read_logits[rows[is_read]]
        return gated(self.head.gate, logits, presence)


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
    judges: NDArray[np.int64] | None = None,
) -> FittedHead:
    """The head for `targets` bool [n, l]; the test fold is not looked at.

    `judges` are the rows that teach the gate, by default the train fold's: other ones where an encoder
    learnt from that.

    Raises:
        TrainingError: there are too few groups, or the loss is no number.
    """
    train, calibration, test = split[Fold.TRAIN], split[Fold.CALIBRATION], split[Fold.TEST]
    learnt = split.without(Fold.TEST)
    shares = [1.0] * CROSS_FIT_PARTS
    parts = assign_groups(targets[learnt], [groups[row] for row in learnt], shares, settings.seed)
    rounds = CROSS_FIT_PARTS * settings.epochs
    rounds *= 1 if settings.loss is LossName.BCE else 2
    total = rounds + settings.averaged * settings.epochs
    trial = try_loss(
        rows, targets, learnt, parts, train, groups, settings, lambda done, _: progress(done, total)
    )
    crossed = trial.crossed
    logits = zeros_on_disk((len(rows), len(crossed.names), targets.shape[1]), np.float32)
    logits[learnt] = crossed.held_out_logits
    read_logits = None
    if crossed.held_out_read is not None:
        read_logits = zeros_on_disk(logits.shape, np.float32)
        read_logits[learnt] = crossed.held_out_read
    judging = train if judges is None else judges
    read = None if rows.read is None or read_logits is None else (read_logits, rows.read.presence)
    gate = fit_gate(crossed.names, logits, rows.presence, targets, settings.seed, judging, read)
    gate = calibrate(
        gate,
        logits[calibration],
        rows.presence[calibration],
        targets[calibration],
        None if read is None else (read[0][calibration], read[1][calibration]),
    )

    branches = fit_branches(
        rows,
        targets,
        learnt,
        crossed.best_epochs,
        replace(settings, loss=trial.loss),
        lambda done, _: progress(rounds + done, total),
    )
    round_tables(branches)
    logits[test] = branch_logits(branches, rows, test, settings)
    if rows.read is not None and read_logits is not None:
        read_logits[test] = branch_logits(branches, rows.read, test, settings)
    terms_logits = _terms_logits(rows, targets, learnt, test, logits, trial, settings)
    return FittedHead(FusedHead(branches, gate), logits, read_logits, trial, terms_logits)


def _terms_logits(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    learnt: NDArray[np.int64],
    test: NDArray[np.int64],
    logits: NDArray[np.float32],
    trial: LossTrial,
    settings: FitSettings,
) -> NDArray[np.float32] | None:
    """Those of `FittedHead`, from the head's `logits` where its own branch is that model."""
    if TERMS not in trial.plain.names:
        return None
    place = trial.plain.names.index(TERMS)
    its = slice(place, place + 1)
    if trial.loss is LossName.BCE:
        return logits[:, its]
    alone = HeadRows({}, rows.terms, rows.presence)
    epochs = {TERMS: trial.plain.best_epochs[TERMS]}
    branch = fit_branches(alone, targets, learnt, epochs, replace(settings, loss=LossName.BCE))
    round_tables(branch)
    found = np.zeros_like(logits[:, its])
    found[learnt] = trial.plain.held_out_logits[:, its]
    found[test] = branch_logits(branch, alone, test, settings)
    return found
