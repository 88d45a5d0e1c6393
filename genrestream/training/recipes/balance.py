"""What a recipe's `balance` asks for: what an epoch shows, and what each loss weighs.

Legend: n items, b batch, l labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genrestream.training.rebalancing import VOC_CENTRE, rebalancing_weights
from genrestream.training.recipes.loop import Draw, shuffled
from genrestream.training.recipes.loss import Loss
from genrestream.training.recipes.network import LogShares
from genrestream.training.recipes.sampling import class_aware_shares, first_label_weights, thin_pairs
from genrestream.training.recipes.spec_audio import Balance


def balanced_draw(balance: Balance, targets: NDArray[np.bool_], train: NDArray[np.int64], seed: int) -> Draw:
    """What an epoch shows of the rows `train`, for `targets` [n, l] of all items.

    With pairs thinned, of what is left; by label, as many draws as there are items.
    """
    rows = train
    if balance.most_per_pair is not None:
        rows = train[thin_pairs(targets[train], balance.most_per_pair, seed)]
    if not balance.by_label:
        return shuffled(np.tile(rows, balance.draws))
    shares = class_aware_shares(targets[rows])
    return lambda rng: rng.choice(rows, balance.draws * len(rows), p=shares)


def balanced_loss(balance: Balance, loss: Loss, targets: NDArray[np.bool_]) -> Loss:
    """The `loss` with the weights that the recipe asks for, by the training items' `targets` [n, l]."""
    if not balance.rebalanced and not balance.class_weights:
        return loss
    counts, items = targets.sum(axis=0), len(targets)

    def weighted(shares: LogShares, wanted: Tensor) -> Tensor:
        yes, no = shares
        each = wanted * yes + (1.0 - wanted) * no
        if balance.rebalanced:
            labels_items = torch.from_numpy(counts).float().to(each.device)
            each = each * rebalancing_weights(wanted, labels_items, VOC_CENTRE)
        if balance.class_weights:
            weights = first_label_weights(wanted.cpu().numpy() > 0, counts, items)
            each = each * torch.from_numpy(weights).to(each.device)[:, None]
        return -each.sum(dim=1)

    return weighted
