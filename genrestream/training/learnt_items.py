"""Which items the makers of embeddings and confidences learnt from: the `split.json` beside a graph says so.

A head has one, and an encoder that was tuned on catalogue items or trained by a recipe. What they learnt
from tells nothing of how good they are, nor how far they can be trusted beside others. Items of one cluster
count as one.
Legend: n items.
"""

from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.training.catalogue import Example
from genrestream.training.encode_chunk import Encoder
from genrestream.training.errors import TrainingError
from genrestream.training.frozen_split import SPLIT, read_folds
from genrestream.training.split import Fold, Split

LEARNT: Container[Fold] = (Fold.TRAIN,)
LOOKED_AT: Container[Fold] = tuple(fold for fold in Fold if fold is not Fold.TEST)
"""Learnt from, stopped on or tuned on."""


def unseen(
    examples: Sequence[Example], clusters: Sequence[str], learners: Iterable[Path]
) -> NDArray[np.int64]:
    """The rows that no graph in the folders `learners` ever saw: of its test fold, or in none of its folds.

    Nor did it see anything of their `clusters` [n], as far as it is among the `examples` [n].

    Raises:
        TrainingError: the split beside a graph is damaged.
    """
    return _rows_without(examples, clusters, learners, LOOKED_AT)


def refuse_learnt(
    examples: Sequence[Example], clusters: Sequence[str], encoders: Iterable[Encoder], split: Split
) -> None:
    """Return if no encoder saw an item of the test fold: the figures of its head would be too good.

    Raises:
        TrainingError: one did; or the split beside it is damaged.
    """
    test = split[Fold.TEST]
    for encoder in encoders:
        seen = len(test) - int(np.isin(test, unseen(examples, clusters, [encoder.directory])).sum())
        if seen:
            raise TrainingError(
                f"{encoder.record.model} learnt from {seen} of the {len(test)} test items; "
                f"use its folds: --split {encoder.directory / SPLIT}"
            )


def judges(
    examples: Sequence[Example], clusters: Sequence[str], encoders: Iterable[Encoder], split: Split
) -> NDArray[np.int64]:
    """The rows that can tell how far branches over the encoders' embeddings are to be trusted, ascending.

    That is the train fold, as branches are cross-fitted. An encoder that learnt from it knows its answers,
    though: then all rows outside the test fold that no encoder learnt from, at least those on which it was
    stopped and thresholds are chosen.

    Raises:
        TrainingError: the split beside an encoder is damaged.
    """
    strangers = _rows_without(examples, clusters, [encoder.directory for encoder in encoders], LEARNT)
    if np.isin(split[Fold.TRAIN], strangers).all():
        return split[Fold.TRAIN]
    return np.intersect1d(split.without(Fold.TEST), strangers)


def _rows_without(
    examples: Sequence[Example],
    clusters: Sequence[str],
    learners: Iterable[Path],
    folds: Container[Fold],
) -> NDArray[np.int64]:
    """The rows whose cluster has no item in these folds of any learner."""
    paths = [path for folder in learners if (path := folder / SPLIT).exists()]
    taught: set[str] = set()
    for path in paths:
        fold_of = read_folds(path)
        taught.update(
            cluster
            for example, cluster in zip(examples, clusters, strict=True)
            if example.key in fold_of and fold_of[example.key] in folds
        )
    return np.array([row for row, cluster in enumerate(clusters) if cluster not in taught], np.int64)
