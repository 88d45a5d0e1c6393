"""Which labels stand together, and which are given in the place of others. Legend: n items, l labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_LABELS = 30
"""Of a matrix: more rows could not be read."""
MOST_PAIRS = 15
MIN_PAIR_ITEMS = 5
"""A rate over fewer items names no pair worth a line."""


@dataclass(frozen=True, slots=True)
class Pair:
    """How often label `given` is given to items that have `there` and not `given`."""

    there: str
    given: str
    items: int
    """That have `there` and not `given`."""
    times: int

    @property
    def rate(self) -> float:
        """Between 0 and 1."""
        return self.times / self.items


def most_frequent(truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The labels that most items have, at most 30, the most frequent first; those without an item are out."""
    counts = truth.sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    there: NDArray[np.int64] = order[counts[order] > 0]
    return there


def together(truth: NDArray[np.bool_], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of the items with label i, the share that also has label j, float64 [i, j]; NaN on the diagonal."""
    chosen = truth[:, labels].astype(np.float64)
    both = chosen.T @ chosen
    return _off_diagonal(both / np.maximum(1.0, np.diag(both))[:, None])


def confused(
    truth: NDArray[np.bool_], decided: NDArray[np.bool_], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of the items with label i and not j, the share that is given j, float64 [i, j]; NaN where none is."""
    times, items = _confusions(truth[:, labels], decided[:, labels])
    return _off_diagonal(np.where(items > 0, times / np.maximum(1.0, items), np.nan))


def worst_pairs(
    truth: NDArray[np.bool_], decided: NDArray[np.bool_], names: tuple[str, ...], labels: NDArray[np.int64]
) -> list[Pair]:
    """The 15 pairs of the labels with the highest rate of confusion, over at least 5 items each."""
    times, items = _confusions(truth[:, labels], decided[:, labels])
    np.fill_diagonal(times, 0.0)
    rate = np.where(items >= MIN_PAIR_ITEMS, times / np.maximum(1.0, items), 0.0)
    order = np.argsort(-rate, axis=None, kind="stable")[:MOST_PAIRS]
    places = [(int(place) // len(labels), int(place) % len(labels)) for place in order]
    return [
        Pair(names[labels[i]], names[labels[j]], int(items[i, j]), int(times[i, j]))
        for i, j in places
        if rate[i, j] > 0
    ]


def _confusions(
    truth: NDArray[np.bool_], decided: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Items with i and not j that are given j, and all items with i and not j, float64 [i, j] each."""
    there = truth.T.astype(np.float64)
    return there @ (decided & ~truth).astype(np.float64), there @ (~truth).astype(np.float64)


def _off_diagonal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found = values.copy()
    np.fill_diagonal(found, np.nan)
    return found
