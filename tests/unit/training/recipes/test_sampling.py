"""Which items are drawn how often, and how much each counts."""

import numpy as np
import pytest

from genrestream.training.recipes.sampling import class_aware_shares, first_label_weights, thin_pairs

# Eight items of label 0, two of label 1, of which one has both; one item without a label.
HAS = np.array([[1, 0]] * 7 + [[1, 1], [0, 1], [0, 0]], bool)
COUNTS = HAS.sum(axis=0)


def test_every_label_is_drawn_as_often_as_every_other():
    """A label by chance, then an item that has it: 1/2 x 1/8 for an item of label 0 alone, 1/2 x (1/8 + 1/2)
    for the one with both, 1/2 x 1/2 for the other of label 1, never the one without."""
    assert class_aware_shares(HAS) == pytest.approx([1 / 16] * 7 + [5 / 16, 4 / 16, 0])
    assert class_aware_shares(HAS).sum() == pytest.approx(1)


def test_a_label_of_no_item_is_passed_over():
    """The shares still sum to 1, and nothing is divided by 0."""
    has = np.column_stack([HAS, np.zeros(10, bool)])
    assert class_aware_shares(has) == pytest.approx(class_aware_shares(HAS))
    assert np.isfinite(first_label_weights(has, has.sum(axis=0), len(has))).all()


def test_class_weights_weigh_whole_items_by_their_first_label():
    """10 / (2 x 8) for label 0, also for the item that has both; 10 / (2 x 2) for label 1 alone."""
    weights = first_label_weights(HAS[:9], COUNTS, 10)
    assert weights == pytest.approx([10 / 16] * 8 + [10 / 4])


def test_pairs_are_thinned_and_the_tail_pays_least():
    """Of six items with labels 0 and 1 two stay; the one that has the rare label 2 as well is among them,
    whatever the seed, and so are all items with one label."""
    has = np.array([[1, 1, 0]] * 5 + [[1, 1, 1]] + [[1, 0, 0]] * 4, bool)
    for seed in range(5):
        kept = thin_pairs(has, 2, seed)
        assert len(kept) == 6
        assert {5, 6, 7, 8, 9} < set(kept.tolist())
    assert np.array_equal(thin_pairs(has, 6, 0), np.arange(10))
    assert thin_pairs(has, 2, 3).tolist() == thin_pairs(has, 2, 3).tolist()
