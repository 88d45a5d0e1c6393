"""Which branches are trained on which items.

`cross_fit` says what branches make of items that they never saw, and how long to train; `fit_branches`
then trains those that are served on all of them. Legend: n items, k branches, l labels.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.training.device import one_thread
from genrestream.training.disk_arrays import zeros_on_disk
from genrestream.training.fit_loop import FitSettings, begin, branch_logits, fit_for, fit_to_best, in_batches
from genrestream.training.head_rows import ROWS_AT_ONCE, HeadRows
from genrestream.training.heads import Branches
from genrestream.training.side_by_side import Report, side_by_side

Progress = Callable[[int, int], None]
"""Called with epochs done and epochs at most."""


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What branches say of items that they were not trained on, and how they came to it."""

    names: tuple[str, ...]
    """Of the branches."""
    held_out_logits: NDArray[np.float32]
    """[n, k, l] of the given rows, each from the branches that its part was left out for."""
    curves: list[dict[str, list[float]]]
    """Of each part and branch, the loss on what was left out, epoch by epoch."""
    held_out_read: NDArray[np.float32] | None = None
    """As `held_out_logits`, of what is read from their pictures in the place of their texts; None without."""

    @property
    def best_epochs(self) -> dict[str, int]:
        """Of each branch, from 1, the parts' mean."""
        return {
            name: round(float(np.mean([1 + np.argmin(curves[name]) for curves in self.curves])))
            for name in self.names
        }


def cross_fit(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    which: NDArray[np.int64],
    parts: NDArray[np.int64],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> CrossFit:
    """Branches for `targets` bool [all, l] of the rows `which`, one set for each of their `parts` left out.

    Raises:
        TrainingError: the loss is no number.
    """
    lesson, prototype = begin(rows, targets, which, settings)
    held_out = zeros_on_disk((len(which), len(prototype.names), targets.shape[1]), np.float32)
    held_out_read = None if rows.read is None else zeros_on_disk(held_out.shape, np.float32)

    def fit_one(part: int, report: Report) -> dict[str, list[float]]:
        branches = copy.deepcopy(prototype).to(settings.device)
        left_out = which[parts == part]
        curves = fit_to_best(branches, lesson, which[parts != part], left_out, report)
        for some in in_batches(np.flatnonzero(parts == part), ROWS_AT_ONCE):
            held_out[some] = branch_logits(branches, rows, which[some], settings)
            if rows.read is not None and held_out_read is not None:
                held_out_read[some] = branch_logits(branches, rows.read, which[some], settings)
        return curves

    count = int(parts.max()) + 1
    curves = side_by_side(fit_one, count, settings.epochs, settings.device, progress)
    return CrossFit(prototype.names, held_out, curves, held_out_read)


def fit_branches(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    which: NDArray[np.int64],
    epochs: Mapping[str, int],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> Branches:
    """Branches trained on all the rows `which`, each for its number of `epochs`: the mean of several such.

    They are linear, so the mean of their weights gives the mean of their logits: serving pays for one.

    Raises:
        TrainingError: the loss is no number.
    """
    lesson, prototype = begin(rows, targets, which, settings)

    def fit_one(number: int, report: Report) -> Branches:
        branches = copy.deepcopy(prototype).to(settings.device)
        fit_for(branches, lesson, which, epochs, np.random.default_rng([settings.seed, number]), report)
        return branches.cpu()

    fits = side_by_side(fit_one, settings.averaged, settings.epochs, settings.device, progress)
    return _mean(fits).eval()


def fit_stopping(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    which: NDArray[np.int64],
    stop_on: NDArray[np.int64],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> Branches:
    """Branches trained on the rows `which`, each as it was when its loss on the rows `stop_on` was least.

    Raises:
        TrainingError: the loss is no number.
    """
    lesson, branches = begin(rows, targets, which, settings)
    branches.to(settings.device)
    with one_thread():
        fit_to_best(branches, lesson, which, stop_on, lambda epoch: progress(epoch, settings.epochs))
    return branches.cpu().eval()


def _mean(fits: Sequence[Branches]) -> Branches:
    """The first, with the mean of all their weights and biases."""
    with torch.no_grad():
        for mean, *each in zip(*(branches.parameters() for branches in fits), strict=True):
            mean.copy_(torch.stack([mean, *each]).mean(dim=0))
    return fits[0]
