"""A split that was frozen: the folds of the `split.json` of an earlier candidate or release, used again.

An item is named by its set's folder and its id, as `Example.key`. Legend: n items.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrestream.training.errors import TrainingError
from genrestream.training.split import Fold, Split

SPLIT = "split.json"
"""The file's name, beside the graph of what was trained on it."""
MAX_BYTES = 256 * 1024 * 1024
"""A million items take about 50 MB."""


@dataclass(frozen=True, slots=True)
class FrozenSplit:
    """The folds of the file for the items that are there."""

    split: Split
    not_named: int
    """Items that the file does not name: they are in their cluster's fold, or else in train."""
    not_there: int
    """Items that the file names and the sets do not have."""

    def counts(self) -> dict[str, int]:
        """How far it fits, as a report has it."""
        return {"items_not_named": self.not_named, "items_not_there": self.not_there}


def read_folds(path: Path) -> dict[str, Fold]:
    """The fold of each item that the file names.

    Raises:
        TrainingError: the file cannot be read or is no split, or an item stands in it twice.
    """
    try:
        # A pipe or a device would be read for ever.
        if not path.is_file():
            raise TrainingError(f"no split at {path}: there is no such file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise TrainingError(f"{path} is no split: longer than {MAX_BYTES} bytes")
    try:
        record = json.loads(raw, object_pairs_hook=_each_name_once)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is no split: {error}") from error
    if not isinstance(record, dict) or not all(_are_texts(keys) for keys in record.values()):
        raise TrainingError(f"{path} is no split: no object of {{fold: [item, ...]}}")
    folds: dict[str, Fold] = {}
    for name, keys in record.items():
        if name not in set(Fold):
            raise TrainingError(f"{path} is no split: {name} is none of the folds {', '.join(Fold)}")
        for key in keys:
            if key in folds:
                raise TrainingError(f"{path}: the item {key} is in {_both(folds[key], Fold(name))}")
            folds[key] = Fold(name)
    return folds


def frozen_split(
    path: Path, keys: Sequence[str], groups: Sequence[str], clusters: Sequence[str]
) -> FrozenSplit:
    """The split in `path` of items with `keys`, `groups` and `clusters`, each [n].

    Raises:
        TrainingError: as `read_folds`; or a group or a cluster is in two folds, or a fold is left empty.
    """
    named = read_folds(path)
    known = [(row, named[key]) for row, key in enumerate(keys) if key in named]
    if not known:
        raise TrainingError(f"{path} names none of the items of these sets, such as {keys[0]}")
    _each_in_one_fold(path, known, keys, groups, "the group {name}")
    fold_of_cluster = _each_in_one_fold(path, known, keys, clusters, "a cluster of near-duplicates")
    folds = [fold_of_cluster.get(cluster, Fold.TRAIN) for cluster in clusters]
    rows = {fold: np.array([row for row, its in enumerate(folds) if its is fold], np.int64) for fold in Fold}
    for fold, found in rows.items():
        if not len(found):
            raise TrainingError(f"{path} leaves no item of these sets in the fold {fold}")
    return FrozenSplit(Split(rows), len(keys) - len(known), len(named) - len(known))


def _each_in_one_fold(
    path: Path, known: Sequence[tuple[int, Fold]], keys: Sequence[str], names: Sequence[str], what: str
) -> dict[str, Fold]:
    first: dict[str, tuple[int, Fold]] = {}
    for row, fold in known:
        other, others = first.setdefault(names[row], (row, fold))
        if fold is not others:
            parts = what.format(name=names[row])
            raise TrainingError(
                f"{path}: {parts} is in {_both(others, fold)}, with the items {keys[other]} and {keys[row]} "
                "(without --split a new split is made)"
            )
    return {name: fold for name, (_, fold) in first.items()}


def _both(one: Fold, other: Fold) -> str:
    return f"the fold {one} twice" if one is other else f"the folds {one} and {other}"


def _are_texts(keys: Any) -> bool:
    return isinstance(keys, list) and all(isinstance(key, str) for key in keys)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of two folds of one name JSON's readers would drop the first without a word."""
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a fold stands in it twice")
    return record
