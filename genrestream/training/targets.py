"""Labels to targets: which labels a head learns, and which items have them. Legend: n items, l labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.taxonomy import merge_tail
from genrestream.training.errors import TrainingError

MAX_LABELS = 2_000
"""More would need another kind of head: its table of terms grows with the labels."""
OTHERS = "Others"
"""What a merged tail is called."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The labels that are learnt, the most frequent first, and who has them."""

    labels: tuple[str, ...]
    has: NDArray[np.bool_]
    """[n, l]"""
    left_out: int
    """Labels that too few items have."""

    def only(self, kept: NDArray[np.bool_]) -> "Targets":
        """The same with some labels, by a mask bool [l]."""
        labels = tuple(label for label, keep in zip(self.labels, kept, strict=True) if keep)
        return Targets(labels, self.has[:, kept], self.left_out + int((~kept).sum()))


def make_targets(labels_of_items: Sequence[tuple[str, ...]], min_items: int) -> Targets:
    """The labels that at least `min_items` items have, at most the 2,000 most frequent.

    Raises:
        TrainingError: fewer than two labels are frequent enough.
    """
    counts = Counter(label for labels in labels_of_items for label in labels)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    kept = [label for label in ranked if counts[label] >= min_items][:MAX_LABELS]
    if len(kept) < 2:
        raise TrainingError(
            f"{len(kept)} of {len(counts)} labels stand on at least {min_items} items; two are needed "
            "(--min-items lowers the bound)"
        )
    index = {label: place for place, label in enumerate(kept)}
    has = np.zeros((len(labels_of_items), len(kept)), np.bool_)
    for row, labels in enumerate(labels_of_items):
        has[row, [index[label] for label in labels if label in index]] = True
    return Targets(tuple(kept), has, len(counts) - len(kept))


def merge_rare(
    labels_of_items: Sequence[tuple[str, ...]], train: NDArray[np.int64], keep: int, min_items: int
) -> list[tuple[str, ...]]:
    """The items' labels with all but the `keep` most frequent of the rows `train` become `OTHERS`.

    So does a label that fewer than `min_items` of these rows have: what a head does not name is in the tail.
    """
    counts = Counter(label for row in train for label in labels_of_items[row])
    enough = sum(count >= min_items for count in counts.values())
    merged = merge_tail(counts, min(keep, enough), OTHERS)
    return [tuple(dict.fromkeys(merged.get(label, OTHERS) for label in labels)) for labels in labels_of_items]
