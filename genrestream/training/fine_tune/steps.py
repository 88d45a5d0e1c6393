"""The steps of fine-tuning: AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), a rate for each block.

The nearer the input, the smaller the steps (Howard & Ruder 2018, arXiv:1801.06146, 3.2): what is there holds
for pictures or texts of any kind.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genrestream.training.fine_tune.blocks import Block
from genrestream.training.recipes.loop import Begin, Step
from genrestream.training.recipes.network import RecipeNetwork
from genrestream.training.recipes.spec import Fit

FIRST_SHARE = 0.1
"""The first block's rate over the last one's; between them each has the same share of the next one's."""
HEAD_FACTOR = 5.0
"""The head's rate over the last block's: it knows nothing but these labels."""
WARM_UP_SHARE = 0.1
"""Of all steps: while the averages of AdamW know little, its steps are small."""
MAX_NORM = 1.0
"""Of the gradient of all that learns; a longer one is cut to it."""
WEIGHT_DECAY = 0.01
"""Of matrices and filters alone; biases and the scales of norms stay free."""


def small_steps(blocks: Sequence[Block], first: int, batches: int) -> Begin:
    """Steps for the blocks from index `first` on and the head, over at most so many batches."""

    def begin(network: RecipeNetwork, fit: Fit) -> Step:
        groups = parameter_groups(blocks, first, network.head, fit.rate)
        optimiser = torch.optim.AdamW(groups, lr=fit.rate)
        learning = [parameter for group in groups for parameter in group["params"]]
        warm_up = max(1, round(WARM_UP_SHARE * batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda done: rate_share(done, warm_up, batches)
        )

        def step(loss: Tensor) -> None:
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learning, MAX_NORM)
            optimiser.step()
            schedule.step()

        return step

    return begin


def rate_share(done: int, warm_up: int, batches: int) -> float:
    """The share of the rate after `done` batches: up to 1 over `warm_up` of them, then down to 0."""
    if done < warm_up:
        return (done + 1) / (warm_up + 1)
    return max(0.0, (batches - done) / max(1, batches - warm_up))


def rate_shares(blocks: int) -> list[float]:
    """The rate of each block over the last one's, from the first on: a geometric series from 0.1 to 1."""
    return [FIRST_SHARE ** ((blocks - 1 - index) / max(1, blocks - 1)) for index in range(blocks)]


def parameter_groups(
    blocks: Sequence[Block], first: int, head: nn.Module, rate: float
) -> list[dict[str, Any]]:
    """What learns, for an optimiser: groups with their rate and weight decay."""
    rates = [
        (block.parameters, rate * share)
        for block, share in zip(blocks, rate_shares(len(blocks)), strict=True)
    ]
    found: list[dict[str, Any]] = []
    for parameters, its_rate in [*rates[first:], (tuple(head.parameters()), rate * HEAD_FACTOR)]:
        found += [
            _group((one for one in parameters if one.ndim > 1), its_rate, WEIGHT_DECAY),
            _group((one for one in parameters if one.ndim <= 1), its_rate, 0.0),
        ]
    return [group for group in found if group["params"]]


def _group(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> dict[str, Any]:
    return {"params": list(parameters), "lr": rate, "weight_decay": decay}
