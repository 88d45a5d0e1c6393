"""The re-balancing weight of Wu et al. 2020, arXiv:2007.09654, section 3.1, of items drawn by label.

Legend: l labels.
"""

import torch
from torch import Tensor

FLOOR = 0.1
SLOPE = 10.0
COCO_CENTRE = 0.2
VOC_CENTRE = 0.3
"""alpha and beta there, and mu as there for COCO-MLT and for VOC-MLT."""


def rebalancing_weights(wanted: Tensor, counts: Tensor, centre: float) -> Tensor:
    """The weight of each label in each item's loss, float32 [..., l], from 0.1 to 1.1.

    `wanted` float32 [..., l] of 0 and 1 says who has which labels, `counts` float32 [l] are the labels' items
    in training; a label that none has counts as of one. Drawing by label draws an item with several labels
    for each of them. The weight takes back what a label was drawn for another's sake: its own share of the
    draws over the item's, smoothed by a sigmoid around `centre`.
    """
    own = 1.0 / counts.clamp_min(1.0)
    drawn = (wanted * own).sum(dim=-1, keepdim=True)
    # An item without labels was drawn for none; as if for the most frequent, so that nothing is divided by 0.
    ratio = own / torch.maximum(drawn, own.min())
    weights: Tensor = FLOOR + torch.sigmoid(SLOPE * (ratio - centre))
    return weights
