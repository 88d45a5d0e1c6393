"""Tensors of single items to batches. Texts of unlike length would pay for each other's padding, so
lengths are rounded up and texts of one rounded length go together.

Legend: b batch, t tokens, n hashed terms.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.workers.features.content import HashedTerms


def padded_length(length: int, multiple: int) -> int:
    """The smallest multiple of `multiple`, at least one of it, that holds `length`."""
    return max(1, -(-length // multiple)) * multiple


def bucket_by_length(lengths: Sequence[int], multiple: int) -> dict[int, list[int]]:
    """Padded length -> indices of the texts that it fits, shortest bucket first, in order within one."""
    buckets: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        buckets.setdefault(padded_length(length, multiple), []).append(index)
    return dict(sorted(buckets.items()))


def pad_tokens(token_ids: Sequence[NDArray[Any]], length: int, pad_id: int) -> NDArray[np.int64]:
    """Token ids int64 [b, `length`], filled up with `pad_id`; none may be longer than `length`."""
    batch = np.full((len(token_ids), length), pad_id, dtype=np.int64)
    for row, ids in zip(batch, token_ids, strict=True):
        row[: len(ids)] = ids
    return batch


def pad_terms(terms: Sequence[HashedTerms], multiple: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids int32 [b, n] and weights float32 [b, n], filled up with id 0 and weight 0.

    n is the length of the longest, rounded up to a multiple of `multiple`.
    """
    length = padded_length(max((len(item.ids) for item in terms), default=0), multiple)
    ids = np.zeros((len(terms), length), dtype=np.int32)
    weights = np.zeros((len(terms), length), dtype=np.float32)
    for row, item in enumerate(terms):
        ids[row, : len(item.ids)] = item.ids
        weights[row, : len(item.weights)] = item.weights
    return ids, weights
