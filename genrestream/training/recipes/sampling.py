"""Which items a multi-label training draws how often: long tails, pairs of labels, how much each counts.

Legend: n items, l labels. `has` bool [n, l] says which items have which labels.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray


def class_aware_shares(has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each item is to be drawn, float64 [n], sum 1: a label by chance, then an item that has it.

    Class-aware sampling (Shen et al. 2016, arXiv:1512.05830), as in Wu et al. 2020, arXiv:2007.09654. Items
    without labels are never drawn. Labels that no item has are passed over.
    """
    counts = has.sum(axis=0)
    per_item = (1.0 / counts[counts > 0])[None, :] * has[:, counts > 0]
    shares: NDArray[np.float64] = per_item.sum(axis=1) / max(1, int((counts > 0).sum()))
    return shares


def first_label_weights(
    has: NDArray[np.bool_], counts: NDArray[np.integer], items: int
) -> NDArray[np.float32]:
    """The weight of each whole item in the loss, float32 [n]: that of its first label, items / (l x counts).

    `counts` [l] are the labels' items of all `items` in training. It is what Keras makes of `class_weight`
    when an item may have several labels: it takes the argmax of the targets. All outputs of an item are
    weighted alike, so that the weight says nothing of right and wrong labels.
    """
    weights = items / (has.shape[1] * np.maximum(1, counts))
    chosen: NDArray[np.float32] = weights[has.argmax(axis=1)].astype(np.float32)
    return chosen


def thin_pairs(has: NDArray[np.bool_], most: int, seed: int) -> NDArray[np.int64]:
    """The rows that are left, ascending, when no pair of labels may stand on more than `most` items.

    Items whose rarest label is rarest are kept first, so that the tail pays least; chance decides between
    equals. An item with one label has no pair and stays.
    """
    counts = has.sum(axis=0)
    rarest = np.where(has, counts[None, :], len(has) + 1).min(axis=1)
    order = np.random.default_rng(seed).permutation(len(has))
    order = order[np.argsort(rarest[order], kind="stable")]
    filled = np.zeros((has.shape[1], has.shape[1]), np.int64)
    kept = []
    for row in order:
        pairs = list(combinations(np.flatnonzero(has[row]).tolist(), 2))
        if all(filled[pair] < most for pair in pairs):
            for pair in pairs:
                filled[pair] += 1
            kept.append(row)
    return np.sort(np.array(kept, np.int64))
