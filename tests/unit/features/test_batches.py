"""Single tensors to batches."""

import numpy as np

from genrestream.workers.features.batches import bucket_by_length, pad_terms, pad_tokens
from genrestream.workers.features.content import HashedTerms


def test_texts_go_with_their_like() -> None:
    """5 and 16 fit 16, 17 and 30 fit 32, none is lost, shorter buckets come first."""
    assert bucket_by_length([17, 5, 30, 16], 16) == {16: [1, 3], 32: [0, 2]}
    assert bucket_by_length([], 16) == {}


def test_tokens_are_padded_with_the_pad_id() -> None:
    batch = pad_tokens([np.array([2, 3]), np.array([2, 9, 3])], 4, pad_id=7)
    assert batch.dtype == "int64"
    assert batch.tolist() == [[2, 3, 7, 7], [2, 9, 3, 7]]


def test_terms_are_padded_with_nothing() -> None:
    """Id 0 with weight 0; the length is that of the longest, rounded up; one multiple when all are empty."""
    some = HashedTerms(np.array([4, 5, 6], np.int32), np.array([1, 2, 3], np.float32))
    none = HashedTerms(np.zeros(0, np.int32), np.zeros(0, np.float32))
    ids, weights = pad_terms([some, none], 2)
    assert (ids.dtype, weights.dtype) == ("int32", "float32")
    assert ids.tolist() == [[4, 5, 6, 0], [0, 0, 0, 0]]
    assert weights.tolist() == [[1, 2, 3, 0], [0, 0, 0, 0]]
    assert pad_terms([none], 8)[0].shape == (1, 8)
