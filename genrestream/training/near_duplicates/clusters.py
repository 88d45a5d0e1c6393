"""From items to clusters that must not be split: groups, joined over what is nearly the same item.

Two groups are joined if they hold items with nearly equal pictures, nearly equal texts, or the same file of
sound. Re-encoded sound is not looked for: 20 s clips of one recording rarely start at the same moment.
Legend: n items.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import text_fields_of
from genrestream.training.catalogue import Example, Examples
from genrestream.training.groups import numbered
from genrestream.training.near_duplicates.media_hashes import Progress, media_hashes
from genrestream.training.near_duplicates.pictures import equal_pictures
from genrestream.training.near_duplicates.texts import equal_texts

MAX_GROWTH_SHARE = 0.05
"""No cluster outgrows the largest group by more than this share of all items, that of the smallest fold:
a placeholder or a boilerplate that so many share says nothing of them, and a cluster of most items could not
be split at all."""
MIN_GROWTH_ITEMS = 10
"""Of few items."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The cluster of each item, and what was joined."""

    names: list[str]
    """Of each item: its group, or where several were joined the one of them that comes first."""
    joined: int
    """Clusters of more than one group."""
    joined_items: int
    """Items in them."""
    left_apart: int
    """Contents that groups share and that join nothing, as too much would hang together."""

    def counts(self) -> dict[str, int]:
        """What was joined, as a report has it."""
        return {"clusters": self.joined, "items": self.joined_items, "contents_left_apart": self.left_apart}


def find_clusters(
    examples: Sequence[Example], store: Path, progress: Progress = lambda done, total: None
) -> Clusters:
    """The clusters of all examples; picture hashes are kept in `store`.

    Raises:
        TrainingError: hashes cannot be kept.
    """
    hashes = media_hashes(examples, store, progress)
    return join_groups(
        groups_of(examples),
        [
            *equal_pictures(hashes.pictures),
            *equal_texts(lambda row: text_fields_of(examples[row].item), len(examples)),
            *_equal_files(hashes.recordings),
        ],
    )


def join_groups(groups: Sequence[str], classes: Iterable[Sequence[int]]) -> Clusters:
    """The clusters of items with `groups` [n] and classes of rows that are nearly the same.

    Small classes first, as they are the surest; one that would make a cluster too large is left out whole.
    """
    names, group_of_item = numbered(groups)
    _, first, sizes = np.unique(group_of_item, return_index=True, return_counts=True)
    most = int(sizes.max(initial=0)) + max(MIN_GROWTH_ITEMS, int(MAX_GROWTH_SHARE * len(groups)))
    forest = _Forest(sizes)
    left_apart = 0
    for members in sorted(classes, key=lambda members: (len(members), list(members))):
        roots = sorted(
            {forest.root(int(group_of_item[row])) for row in members}, key=lambda root: first[root]
        )
        if sum(forest.sizes[root] for root in roots) > most:
            left_apart += len(roots) > 1
            continue
        for root in roots[1:]:
            forest.join(roots[0], root)
    roots_of_groups = np.array([forest.root(group) for group in range(len(names))], np.int64)
    root_of_item: NDArray[np.int64] = roots_of_groups[group_of_item]
    several = np.bincount(roots_of_groups, minlength=len(names)) > 1
    # The root need not be the group that comes first in the file.
    first_of_root = np.full(len(names), len(groups), np.int64)
    np.minimum.at(first_of_root, roots_of_groups, first)
    return Clusters(
        [groups[first_of_root[root]] for root in root_of_item],
        int(several.sum()),
        int(several[root_of_item].sum()),
        left_apart,
    )


class _Forest:
    """Disjoint sets of groups with their sizes in items (Tarjan 1975)."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self._parents = list(range(len(sizes)))
        self.sizes: list[int] = sizes.tolist()

    def root(self, group: int) -> int:
        while (parent := self._parents[group]) != group:
            self._parents[group] = group = self._parents[parent]
        return group

    def join(self, root: int, other: int) -> None:
        self._parents[other] = root
        self.sizes[root] += self.sizes[other]


def _equal_files(hashes: NDArray[np.uint8]) -> list[list[int]]:
    """Classes of rows with equal hashes uint8 [n, 32], by their first rows; zeros are no hash."""
    rows = np.flatnonzero(hashes.any(axis=1))
    _, which, counts = np.unique(hashes[rows], axis=0, return_inverse=True, return_counts=True)
    members: dict[int, list[int]] = {}
    for row, same in zip(rows.tolist(), which.ravel().tolist(), strict=True):
        if counts[same] > 1:
            members.setdefault(same, []).append(row)
    return sorted(members.values())


def groups_of(examples: Sequence[Example]) -> Sequence[str]:
    """The group of each, without reading the items where they are kept in files."""
    return examples.groups if isinstance(examples, Examples) else [example.group for example in examples]
