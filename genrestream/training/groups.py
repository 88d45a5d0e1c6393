"""Names of groups as numbers."""

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
