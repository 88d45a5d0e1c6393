"""Losses of a multi-label branch, element by element. Legend: b batch, k branches, l labels, n items.

Binary cross-entropy is the default. The others were made for long tails, where most labels of most items
are absent; `fit_head` uses one only where it beats binary cross-entropy on items that neither saw.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from genrestream.training.rebalancing import COCO_CENTRE, rebalancing_weights

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits float32 [b, k, l] and wanted 0.0 or 1.0 [b, 1, l] to losses float32 [b, k, l]."""


class LossName(StrEnum):
    """What a branch's training makes small."""

    BCE = "bce"
    ASYMMETRIC = "asymmetric"
    CLASS_BALANCED = "class-balanced"
    DISTRIBUTION_BALANCED = "distribution-balanced"


FOCUS_NEGATIVE = 4.0
FOCUS_POSITIVE = 1.0
MARGIN = 0.05
"""Ridnik et al. 2021, arXiv:2009.14119, section 2.4 and its published code."""

EFFECTIVE = 0.999
"""Beta of Cui et al. 2019, arXiv:1901.05555: about as many items of a label count as different."""

TOLERANCE = 2.0
SHIFT = 0.05
"""lambda and kappa of Wu et al. 2020, arXiv:2007.09654, as there for COCO-MLT."""


def make_loss(name: LossName, targets: NDArray[np.bool_]) -> Loss:
    """The loss for training items with `targets` bool [n, l]; a label that none has counts as of one."""
    counts = torch.from_numpy(targets.sum(axis=0)).float().clamp_min(1.0)
    match name:
        case LossName.BCE:
            return _cross_entropy
        case LossName.ASYMMETRIC:
            return _asymmetric
        case LossName.CLASS_BALANCED:
            return _class_balanced(counts)
        case LossName.DISTRIBUTION_BALANCED:
            return _distribution_balanced(counts, len(targets))


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, wanted.expand_as(logits), reduction="none")


def _asymmetric(logits: Tensor, wanted: Tensor) -> Tensor:
    """Easy items count less, absent labels more so; below the margin they count nothing."""
    present = torch.sigmoid(logits)
    absent = (1.0 - present + MARGIN).clamp(max=1.0)
    likelihood = torch.where(wanted > 0, present, absent).clamp_min(1e-8)
    focus = torch.where(wanted > 0, FOCUS_POSITIVE, FOCUS_NEGATIVE)
    return -torch.log(likelihood) * (1.0 - likelihood).pow(focus)


def _class_balanced(counts: Tensor) -> Loss:
    """A label counts as the inverse of its effective number of items, on average 1."""
    weights = (1.0 - EFFECTIVE) / (1.0 - EFFECTIVE**counts)
    weights = weights / weights.mean()
    return lambda logits, wanted: _cross_entropy(logits, wanted) * weights.to(logits.device)


def _distribution_balanced(counts: Tensor, items: int) -> Loss:
    """Weighs a label of an item by how often it was meant to be drawn over how often it is, and is tolerant
    towards labels that are absent."""
    share = (counts / items).clamp(max=1.0 - 1e-4)
    shift = SHIFT * torch.log(1.0 / share - 1.0)

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        weights = rebalancing_weights(wanted, counts.to(logits.device), COCO_CENTRE)
        shifted = logits - shift.to(logits.device)
        present = softplus(-shifted)
        absent = softplus(TOLERANCE * shifted) / TOLERANCE
        return weights * torch.where(wanted > 0, present, absent)

    return loss
