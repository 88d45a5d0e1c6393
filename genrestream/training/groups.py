"""Names of groups as numbers, and some groups of many."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def numbered(groups: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct names in ascending order, and the index of each item's, int64 [len(groups)].

    As `np.unique`, whose array of texts would give all the room of the longest one.
    """
    names = sorted(set(groups))
    place = {name: index for index, name in enumerate(names)}
    return names, np.fromiter((place[group] for group in groups), np.int64, len(groups))


def rows_of_some(groups: Sequence[str], most: int, seed: int) -> NDArray[np.int64]:
    """The rows int64 of whole groups by chance, at most so many and at least one group's, ascending."""
    names, group_of_item = numbered(groups)
    if len(group_of_item) <= most:
        return np.arange(len(group_of_item))
    order = np.random.default_rng(seed).permutation(len(names))
    rows = np.cumsum(np.bincount(group_of_item)[order])
    drawn = np.zeros(len(names), np.bool_)
    drawn[order[: max(1, int((rows <= most).sum()))]] = True
    return np.flatnonzero(drawn[group_of_item])
