"""Splits by group."""

import numpy as np
import pytest

from genrestream.training.errors import TrainingError
from genrestream.training.split import Fold, assign_groups, split_by_group


def catalogue(items: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Labels of falling frequency, the rarest on 5 % of the items, and groups of one to five items."""
    rng = np.random.default_rng(seed)
    labels = rng.random((items, 6)) < np.array([0.5, 0.3, 0.2, 0.1, 0.1, 0.05])
    groups = [f"g{group}" for group in np.repeat(np.arange(items), rng.integers(1, 6, items))[:items]]
    return labels, groups


def test_every_item_is_in_one_fold_and_every_group_in_one():
    """Items of one artist are never split between training and test."""
    labels, groups = catalogue(2000)
    split = split_by_group(labels, groups, seed=0)
    rows = np.concatenate([split[fold] for fold in Fold])
    assert sorted(rows.tolist()) == list(range(2000))
    folds_of_group: dict[str, set[Fold]] = {}
    for fold in Fold:
        for row in split[fold]:
            folds_of_group.setdefault(groups[row], set()).add(fold)
    assert max(len(folds) for folds in folds_of_group.values()) == 1


def test_folds_have_their_shares_of_items_and_of_every_label():
    """70, 10, 5 and 15 %; the rarest label (about 100 items) is within 2 % of its share too."""
    labels, groups = catalogue(2000)
    split = split_by_group(labels, groups, seed=0)
    wanted = {Fold.TRAIN: 0.70, Fold.CALIBRATION: 0.10, Fold.THRESHOLD: 0.05, Fold.TEST: 0.15}
    for fold, share in wanted.items():
        assert len(split[fold]) / 2000 == pytest.approx(share, abs=0.01)
        shares = labels[split[fold]].sum(axis=0) / labels.sum(axis=0)
        assert shares == pytest.approx(np.full(6, share), abs=0.02)


def test_the_seed_decides():
    """The same seed gives the same split, another seed another one."""
    labels, groups = catalogue(300)
    first, again, other = (split_by_group(labels, groups, seed) for seed in (1, 1, 2))
    assert first[Fold.TEST].tolist() == again[Fold.TEST].tolist()
    assert first[Fold.TEST].tolist() != other[Fold.TEST].tolist()


def test_items_without_any_label_are_split_as_well():
    """They have no label to go by, and still end in every fold."""
    labels = np.zeros((400, 2), np.bool_)
    folds = assign_groups(labels, [str(row) for row in range(400)], [0.5, 0.5], seed=0)
    assert np.bincount(folds).tolist() == [200, 200]


def test_too_few_groups_are_refused():
    """With 19 groups four folds cannot be filled."""
    with pytest.raises(TrainingError, match="19 groups of items; a split needs at least 20"):
        split_by_group(np.ones((100, 1), np.bool_), [str(row % 19) for row in range(100)], seed=0)
