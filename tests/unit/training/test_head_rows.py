"""Hashed terms of many items."""

import numpy as np

from genrestream.training.head_rows import TermRows

ROWS = TermRows(
    starts=np.array([0, 2, 2, 5], np.int64),
    ids=np.array([3, 1, 2, 3, 4], np.int32),
    weights=np.array([1, 2, 3, 4, 5], np.float32),
    vocabulary_size=6,
)


def test_padding_is_id_0_with_weight_0():
    """An item without terms is padding alone; the width is a multiple of what is asked for."""
    ids, weights = ROWS.padded(np.array([2, 1, 0]), multiple=4)
    assert ids.tolist() == [[2, 3, 4, 0], [0, 0, 0, 0], [3, 1, 0, 0]]
    assert weights.tolist() == [[3, 4, 5, 0], [0, 0, 0, 0], [1, 2, 0, 0]]


def test_flat_terms_say_where_each_item_begins():
    """In the order of the rows asked for; an item without terms begins where the next one does."""
    ids, weights, starts = ROWS.flat(np.array([2, 1, 0]))
    assert ids.tolist() == [2, 3, 4, 3, 1]
    assert weights.tolist() == [3, 4, 5, 1, 2]
    assert starts.tolist() == [0, 3, 3]


def test_document_frequency_counts_items():
    """Term 3 stands in two of the three items, padding in none."""
    assert ROWS.document_frequency(np.array([0, 1, 2])).tolist() == [0, 1, 1, 2, 1, 0]
