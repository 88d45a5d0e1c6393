"""Which labels a head learns, and which are merged into one."""

import numpy as np

from genrestream.training.targets import merge_rare

LABELS = [("rock",)] * 4 + [("folk", "rock")] * 3 + [("ska", "dub")] * 2 + [("polka",)] * 5
TRAIN = np.arange(9)


def test_the_most_frequent_labels_of_the_training_fold_stay():
    """rock has seven training items, folk three; ska and dub, of two each, become one label of an item. So
    does polka, which is frequent only where nothing is learnt."""
    merged = merge_rare(LABELS, TRAIN, keep=2, min_items=1)
    assert merged == [("rock",)] * 4 + [("folk", "rock")] * 3 + [("Others",)] * 7


def test_a_label_with_too_few_items_is_in_the_tail():
    """Though it would be among the first three."""
    assert merge_rare(LABELS, TRAIN, keep=3, min_items=3) == merge_rare(LABELS, TRAIN, keep=2, min_items=1)


def test_without_a_tail_all_stay():
    """What every item has, as it was given."""
    assert merge_rare(LABELS[:9], TRAIN, keep=29, min_items=1) == LABELS[:9]
