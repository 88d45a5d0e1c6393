"""The losses of recipes. Legend: b batch, l labels."""

from collections.abc import Callable

from torch import Tensor

from genrestream.training.recipes.network import LogShares

Loss = Callable[[LogShares, Tensor], Tensor]
"""From logarithms of confidences and targets float32 [b, l] of 0 and 1 to the loss of each item, [b]."""


def categorical(shares: LogShares, wanted: Tensor) -> Tensor:
    """Categorical cross-entropy; an item of several labels wants the same share of each, in sum 1.

    An item without labels has no loss: there is no distribution to be wrong about.
    """
    share = wanted / wanted.sum(dim=1, keepdim=True).clamp_min(1.0)
    return -(share * shares[0]).sum(dim=1)


def binary(shares: LogShares, wanted: Tensor) -> Tensor:
    """Binary cross-entropy, summed over the labels."""
    yes, no = shares
    return -(wanted * yes + (1.0 - wanted) * no).sum(dim=1)
