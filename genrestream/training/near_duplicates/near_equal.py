"""Classes of nearly equal rows, without comparing each with each: locality-sensitive hashing with leaders.

Each row has a key a band; two rows are compared only if they share a key (Leskovec, Rajaraman & Ullman,
"Mining of Massive Datasets", chapter 3). Legend: n rows, b bands.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MAX_LEADERS_A_KEY = 32
"""A key that more leaders share says little about any of them, and each row met under it would be compared
with all: those that come later are not found by this key."""


def near_equal_classes(keys: NDArray[np.uint64], near: Callable[[int, int], bool]) -> list[list[int]]:
    """The classes of two rows and more of `keys` [n, b], in the order of their first rows.

    A class is its first row, the leader, and rows that are `near` the leader itself: a row that is near
    another member alone does not enter, so that no chain of small steps joins what differs.
    """
    shared = _shared(keys)
    leaders: list[dict[int, list[int]]] = [{} for _ in range(keys.shape[1])]
    classes: dict[int, list[int]] = {}
    for row in np.flatnonzero(shared.any(axis=1)).tolist():
        bands = np.flatnonzero(shared[row]).tolist()
        buckets = [leaders[band].setdefault(int(keys[row, band]), []) for band in bands]
        met = dict.fromkeys(leader for bucket in buckets for leader in bucket)
        leader = next((leader for leader in met if near(leader, row)), None)
        if leader is not None:
            classes[leader].append(row)
            continue
        classes[row] = [row]
        for bucket in buckets:
            if len(bucket) < MAX_LEADERS_A_KEY:
                bucket.append(row)
    return [members for members in classes.values() if len(members) > 1]


def _shared(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys another row has in the same band, bool [n, b]: few, so that the others cost nothing more."""
    shared = np.zeros(keys.shape, np.bool_)
    for band in range(keys.shape[1]):
        _, place, count = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        shared[:, band] = count[place] > 1
    return shared
