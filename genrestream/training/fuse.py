"""Learns the gate: how the branches' logits are fused for every subset of modalities.

It learns from logits that the branches gave for items they were not trained on, so a branch that merely
remembers gains no weight; and every item takes part in all subsets of what it has (modality dropout, all
cases at once). Legend: n items, k branches, l labels, m modalities.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.head_rows import MODALITIES
from genrestream.training.heads import (
    Gate,
    compete,
    modality_of,
    prior_logits,
    subset_number,
    subsets_of,
)

MAX_GATE_ITEMS = 50_000
"""More items would not make the few weights better; memory is bounded by this."""

COMMON_STRENGTH = 5.0
"""How hard a subset's weights are held to the branches' mean: about the weight of so many items."""
LABEL_WEIGHT_STRENGTH = 20.0
"""How hard a label's own weights are held to the subset's common ones."""
LABEL_BIAS_STRENGTH = 0.05
COMPETITION_STRENGTH = 5.0
"""How hard competition is held to none."""
MAX_ITERATIONS = 60


def fit_gate(
    names: Sequence[str],
    logits: NDArray[np.float32],
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    seed: int,
    which: NDArray[np.int64] | None = None,
) -> Gate:
    """The gate for branches `names`, from held-out `logits` [n, k, l], `presence` [n, m], `targets` [n, l].

    Of the rows `which`; None: all. The empty subset gets the labels' prior alone.
    """
    which = np.arange(len(presence)) if which is None else which
    modalities = tuple({modality_of(name): None for name in names})
    gate = Gate(len(names), targets.shape[1], modalities)
    gate.bias[0] = prior_logits(targets[which])
    for subset in subsets_of(modalities):
        heard = [index for index, name in enumerate(names) if modality_of(name) in subset]
        rows = at_most(MAX_GATE_ITEMS, which[rows_with(presence[which], subset)], seed)
        number = subset_number(subset)
        weights, gate.bias[number], gate.competition[number] = _fit_subset(
            torch.from_numpy(logits[rows][:, heard]), torch.from_numpy(targets[rows])
        )
        gate.weights[number, heard] = weights
    return gate


def at_most(count: int, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The rows, or so many of them by chance."""
    if len(rows) <= count:
        return rows
    return np.random.default_rng(seed).choice(rows, count, replace=False)


def rows_with(presence: NDArray[np.float32], subset: Sequence[Modality]) -> NDArray[np.int64]:
    """The rows that have all modalities of the subset, and perhaps more."""
    columns = [MODALITIES.index(modality) for modality in subset]
    return np.flatnonzero((presence[:, columns] > 0).all(axis=1))


def masked_to(presence: NDArray[np.float32], subset: Sequence[Modality]) -> NDArray[np.float32]:
    """The presence mask with all modalities outside the subset taken away."""
    kept = np.array([modality in subset for modality in MODALITIES], np.float32)
    masked: NDArray[np.float32] = presence * kept
    return masked


def _fit_subset(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [k, l], biases [l] and competition (a number) for logits [n, k, l] and targets bool [n, l]."""
    count, branches, labels = logits.shape
    common = torch.full((branches,), 1.0 / branches, requires_grad=True)
    own = torch.zeros(branches, labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    competition = torch.zeros((), requires_grad=True)
    wanted = targets.float()

    def loss() -> Tensor:
        fused = (logits * (common[:, None] + own)).sum(dim=1) + bias
        errors = nn.functional.binary_cross_entropy_with_logits(
            compete(fused, competition), wanted, reduction="sum"
        )
        held = (
            COMMON_STRENGTH * (common - 1.0 / branches).square().sum()
            + LABEL_WEIGHT_STRENGTH * own.square().sum()
            + LABEL_BIAS_STRENGTH * bias.square().sum()
            + COMPETITION_STRENGTH * competition.square()
        )
        return (errors + held) / max(1, count)

    minimise(loss, [common, own, bias, competition])
    return (common[:, None] + own).detach(), bias.detach(), competition.detach()


def minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    """Bring the parameters of a smooth convex loss to its minimum, in place; deterministic."""
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
