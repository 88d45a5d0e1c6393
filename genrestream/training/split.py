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
from genrestream.training.groups import numbered


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
MAX_MEASURED_ITEMS = 20_000
"""No fold that is only measured on is larger: its figures would not get better, and training gets the rest.
What an evaluation takes of memory is bounded by it."""
MIN_GROUPS = 20
"""Fewer cannot fill four folds with anything to measure."""
GROUPS_AT_ONCE = 50_000
"""More are split so many at a time: each part is stratified in itself, and a table of counts stays small."""


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
    folds = assign_groups(labels, groups, _capped(shares, len(labels)), seed)
    return Split({fold: np.flatnonzero(folds == index) for index, fold in enumerate(shares)})


def _capped(shares: Mapping[Fold, float], items: int) -> list[float]:
    """The shares in their order; of many items those of all folds but the first are smaller."""
    given = list(shares.values())
    measured = [min(share, MAX_MEASURED_ITEMS / max(1, items)) for share in given[1:]]
    return given if measured == given[1:] else [1.0 - sum(measured), *measured]


def assign_groups(
    labels: NDArray[np.bool_], groups: Sequence[str], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The fold of each item int64 [n], 0 to f - 1; all items of a group are in one fold.

    Raises:
        TrainingError: there are fewer than 20 groups.
    """
    names, group_of_item = numbered(groups)
    if len(names) < MIN_GROUPS:
        raise TrainingError(f"{len(names)} groups of items; a split needs at least {MIN_GROUPS}")
    rng = np.random.default_rng(seed)
    fold_of_group = np.full(len(names), -1, np.int64)
    # Shuffled once, so that the order of the file decides nothing.
    shuffled = rng.permutation(len(names))
    item_order = np.argsort(group_of_item, kind="stable")
    ends = np.cumsum(np.bincount(group_of_item, minlength=len(names)))
    for start in range(0, len(names), GROUPS_AT_ONCE):
        some = shuffled[start : start + GROUPS_AT_ONCE]
        rows = [item_order[(ends[group - 1] if group else 0) : ends[group]] for group in some]
        counts = _count_by_group(labels, rows)
        fold_of_group[some] = _stratified(counts, shares)
    result: NDArray[np.int64] = fold_of_group[group_of_item]
    return result


def _stratified(counts: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.int64]:
    """The fold of each group int64 [g], from its items by label and in all, float64 [g, l + 1]."""
    wanted = np.asarray(shares)[:, None] / np.sum(shares) * counts.sum(axis=0)[None, :]
    fold_of_group = np.full(len(counts), -1, np.int64)
    remaining = counts.copy()
    # Large groups first, as they fit worst.
    order = np.argsort(-counts[:, -1], kind="stable")
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
    return fold_of_group


def _count_by_group(labels: NDArray[np.bool_], rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Items by label of each group, whose `rows` they are, and in the last column all: float64 [g, l + 1]."""
    counts = np.zeros((len(rows), labels.shape[1] + 1))
    for group, its in enumerate(rows):
        counts[group, :-1] = labels[its].sum(axis=0)
        counts[group, -1] = len(its)
    return counts


def _neediest(wanted: NDArray[np.float64], column: int) -> int:
    """The fold that lacks most of the column, and among equals the one that lacks most items."""
    best = np.flatnonzero(wanted[:, column] >= wanted[:, column].max() - 1e-9)
    return int(best[np.argmax(wanted[best, -1])])
