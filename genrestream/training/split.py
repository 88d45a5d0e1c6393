"""A split by group, as equal as it can be in every label: train, calibration, threshold, test.

Iterative stratification (Sechidis et al. 2011, "On the Stratification of Multi-Label Data"), with groups
in the place of items. Legend: n items, g groups, l labels, f folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from genrestream.training.errors import TrainingError


class Fold(StrEnum):
    """What a part of the items is for; none is used for two of these."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    THRESHOLD = "threshold"
    TEST = "test"


SHARES: Mapping[Fold, float] = {
    Fold.TRAIN: 0.70,
    Fold.CALIBRATION: 0.10,
    Fold.THRESHOLD: 0.05,
    Fold.TEST: 0.15,
}
MIN_GROUPS = 20
"""Fewer cannot fill four folds with anything to measure."""


@dataclass(frozen=True, slots=True)
class Split:
    """The item indices of each fold, ascending; together all items, each once."""

    rows: Mapping[Fold, NDArray[np.int64]]

    def __getitem__(self, fold: Fold) -> NDArray[np.int64]:
        return self.rows[fold]

    def without(self, fold: Fold) -> NDArray[np.int64]:
        """The item indices of all other folds, ascending."""
        others = [rows for name, rows in self.rows.items() if name is not fold]
        return np.sort(np.concatenate(others))


def split_by_group(
    labels: NDArray[np.bool_], groups: Sequence[str], seed: int, shares: Mapping[Fold, float] = SHARES
) -> Split:
    """The split of items with `labels` bool [n, l]; the same for the same seed.

    Raises:
        TrainingError: there are fewer than 20 groups.
    """
    folds = assign_groups(labels, groups, list(shares.values()), seed)
    return Split({fold: np.flatnonzero(folds == index) for index, fold in enumerate(shares)})


def assign_groups(
    labels: NDArray[np.bool_], groups: Sequence[str], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The fold of each item int64 [n], 0 to f - 1; all items of a group are in one fold.

    Raises:
        TrainingError: there are fewer than 20 groups.
    """
    names, group_of_item = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(names) < MIN_GROUPS:
        raise TrainingError(f"{len(names)} groups of items; a split needs at least {MIN_GROUPS}")
    counts = _count_by_group(labels, group_of_item, len(names))
    rng = np.random.default_rng(seed)
    wanted = np.asarray(shares)[:, None] / np.sum(shares) * counts.sum(axis=0)[None, :]
    fold_of_group = np.full(len(names), -1, np.int64)
    remaining = counts.copy()
    # Shuffled once, so that the order of the file decides nothing; large groups first, as they fit worst.
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    while True:
        totals = remaining[:, :-1].sum(axis=0)
        if not totals.any():
            break
        rarest = int(np.argmin(np.where(totals > 0, totals, np.inf)))
        for group in order[remaining[order, rarest] > 0]:
            fold = _neediest(wanted, rarest)
            fold_of_group[group] = fold
            wanted[fold] -= counts[group]
            remaining[group] = 0
    for group in order[fold_of_group[order] < 0]:
        fold = _neediest(wanted, -1)
        fold_of_group[group] = fold
        wanted[fold] -= counts[group]
    result: NDArray[np.int64] = fold_of_group[group_of_item]
    return result


def _count_by_group(
    labels: NDArray[np.bool_], group_of_item: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """Items of each group by label, and in the last column all of them: float64 [g, l + 1]."""
    counts = np.zeros((groups, labels.shape[1] + 1))
    np.add.at(counts[:, :-1], group_of_item, labels)
    np.add.at(counts[:, -1], group_of_item, 1.0)
    return counts


def _neediest(wanted: NDArray[np.float64], column: int) -> int:
    """The fold that lacks most of the column, and among equals the one that lacks most items."""
    best = np.flatnonzero(wanted[:, column] >= wanted[:, column].max() - 1e-9)
    return int(best[np.argmax(wanted[best, -1])])
