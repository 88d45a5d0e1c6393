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
from genrestream.training.head_rows import MODALITIES, READ
from genrestream.training.heads import (
    Gate,
    compete,
    modality_of,
    prior_logits,
    subset_number,
)

Read = tuple[NDArray[np.float32], NDArray[np.float32]]
"""The branches' logits [n, k, l] for items with texts read from pictures, and their presence [n, m]."""

MIN_READ_ITEMS = 50
"""With fewer texts read from pictures nothing is learnt of them: they are as good as absent."""

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
    read: Read | None = None,
) -> Gate:
    """The gate for branches `names`, from held-out `logits` [n, k, l], `presence` [n, m], `targets` [n, l].

    Of the rows `which`; None: all. The empty subset gets the labels' prior alone.
    """
    which = np.arange(len(presence)) if which is None else which
    modalities = tuple({modality_of(name): None for name in names})
    gate = Gate(len(names), targets.shape[1], modalities, reads=read is not None)
    gate.bias[0] = prior_logits(targets[which])
    for subset in gate.subsets:
        its_logits, its_presence = read if read is not None and READ in subset else (logits, presence)
        heard = [index for index, name in enumerate(names) if modality_of(name) in subset]
        rows = at_most(MAX_GATE_ITEMS, which[rows_with(its_presence[which], subset)], seed)
        number = subset_number(subset)
        if READ in subset and len(rows) < MIN_READ_ITEMS:
            _as_without_text(gate, subset)
            continue
        weights, gate.bias[number], gate.competition[number] = _fit_subset(
            torch.from_numpy(its_logits[rows][:, heard]), torch.from_numpy(targets[rows])
        )
        gate.weights[number, heard] = weights
    return gate


def _as_without_text(gate: Gate, subset: Sequence[str]) -> None:
    """Give a subset with a read text the numbers of the one without any, which comes before it."""
    number = subset_number(subset)
    without = subset_number([part for part in subset if part not in (Modality.TEXT, READ)])
    for table in (gate.weights, gate.bias, gate.competition):
        table[number] = table[without]


def at_most(count: int, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The rows, or so many of them by chance."""
    if len(rows) <= count:
        return rows
    return np.random.default_rng(seed).choice(rows, count, replace=False)


def rows_with(presence: NDArray[np.float32], subset: Sequence[str]) -> NDArray[np.int64]:
    """The rows that have all modalities of the subset, and perhaps more."""
    columns = [MODALITIES.index(Modality(part)) for part in subset if part != READ]
    return np.flatnonzero((presence[:, columns] > 0).all(axis=1))


def masked_to(presence: NDArray[np.float32], subset: Sequence[str]) -> NDArray[np.float32]:
    """The presence mask with all modalities outside the subset taken away."""
    kept = np.array([part in subset for part in (*MODALITIES, READ)], np.float32)
    masked: NDArray[np.float32] = presence * kept[: presence.shape[1]]
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
