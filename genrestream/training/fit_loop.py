"""The training loop of the branches. Each has a loss of its own, so a loud one cannot silence another.

Legend: b items of a batch, k branches, l labels.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import HeadRows, mean_and_deviation
from genrestream.training.heads import (
    TERMS,
    Branches,
    EmbeddingBranch,
    Terms,
    TermsBranch,
    branch_of,
    modality_of,
    prior_logits,
)
from genrestream.training.losses import Loss, LossName, make_loss
from genrestream.training.side_by_side import Report

BIAS_RATE = 0.025
"""The biases' share of the rate: a bias feels every item with weight 1, a weight with its small input."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Bounds and steps of the training."""

    epochs: int = 16
    """At most; the learning rates rise and fall over so many, and training stops early."""
    patience_epochs: int = 3
    """A branch that did not improve on the part left out for so long is done."""
    batch_items: int = 64
    rate: float = 4.0
    """Of plain descent with momentum: Adam gives a rare term steps as large as a common one's, which cost
    a sixth of the mean average precision on podcasts. All branches' inputs have length 1."""
    terms_inverse_decay: float = 10.0
    """scikit-learn's C: the decay is 1 / (C x items)."""
    embedding_inverse_decay: float = 2.0
    loss: LossName = LossName.BCE
    averaged: int = 5
    """The served branches are the mean of so many, each of which meets the items in an order of its own."""
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is taught, and how."""

    rows: HeadRows
    targets: NDArray[np.bool_]
    """[all, l]"""
    loss: Loss
    settings: FitSettings


def begin(
    rows: HeadRows, targets: NDArray[np.bool_], train: NDArray[np.int64], settings: FitSettings
) -> tuple[Lesson, Branches]:
    """A lesson of `targets` bool [all, l], and branches that say the prior of `train` of everything."""
    lesson = Lesson(rows, targets, make_loss(settings.loss, targets[train]), settings)
    return lesson, _new_branches(lesson, train)


def branch_logits(
    branches: Branches, rows: HeadRows, which: NDArray[np.int64], settings: FitSettings
) -> NDArray[np.float32]:
    """The branches' logits for some rows, float32 [len(which), k, l]."""
    device = next(branches.parameters()).device
    branches.eval()
    with torch.no_grad():
        parts = [
            branches(*_inputs(rows, batch, str(device))).cpu().numpy()
            for batch in in_batches(which, settings.batch_items)
        ]
    return np.concatenate(parts) if parts else np.zeros((0, len(branches.names), 0), np.float32)


def fit_for(
    branches: Branches,
    lesson: Lesson,
    train: NDArray[np.int64],
    epochs: Mapping[str, int],
    order: np.random.Generator,
    report: Report,
) -> None:
    """Train in place; each branch ends as it was after its number of `epochs`."""
    done = {}
    for epoch in _epochs(branches, lesson, train, order):
        for name in branches.names:
            if epoch == epochs[name]:
                done[name] = copy.deepcopy(branches.by_name[name].state_dict())
        report(epoch)
        if len(done) == len(branches.names):
            break
    for name in branches.names:
        branches.by_name[name].load_state_dict(done[name])
    report(lesson.settings.epochs)


def fit_to_best(
    branches: Branches,
    lesson: Lesson,
    train: NDArray[np.int64],
    left_out: NDArray[np.int64],
    report: Report,
) -> dict[str, list[float]]:
    """Train in place; each branch ends as it was at its best epoch."""
    curves: dict[str, list[float]] = {name: [] for name in branches.names}
    best = {name: copy.deepcopy(branches.by_name[name].state_dict()) for name in branches.names}
    for epoch in _epochs(branches, lesson, train, np.random.default_rng(lesson.settings.seed)):
        measured = _mean_losses(branches, lesson, left_out)
        for name, value in zip(branches.names, measured, strict=True):
            if value < min(curves[name], default=float("inf")):
                best[name] = copy.deepcopy(branches.by_name[name].state_dict())
            curves[name].append(value)
        report(epoch)
        if all(_is_over(curve, lesson.settings.patience_epochs) for curve in curves.values()):
            break
    for name in branches.names:
        branches.by_name[name].load_state_dict(best[name])
    report(lesson.settings.epochs)
    return curves


def _epochs(
    branches: Branches, lesson: Lesson, train: NDArray[np.int64], order: np.random.Generator
) -> Iterator[int]:
    """Train in place; the number of each epoch that is done, from 1."""
    settings = lesson.settings
    optimiser = _optimiser(branches, len(train), settings)
    schedule = _rise_and_fall(optimiser, settings.epochs * -(-len(train) // settings.batch_items))
    for epoch in range(1, settings.epochs + 1):
        branches.train()
        for batch in in_batches(order.permutation(train), settings.batch_items):
            loss = _branch_losses(branches, lesson, batch).sum()
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is {loss.item()} in epoch {epoch}: check the embeddings")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        yield epoch


def _is_over(curve: list[float], patience: int) -> bool:
    return len(curve) - 1 - int(np.argmin(curve)) >= patience


def _branch_losses(branches: Branches, lesson: Lesson, batch: NDArray[np.int64]) -> Tensor:
    """The loss of each branch, a mean over the items that have its modality, float32 [k]."""
    device = lesson.settings.device
    logits = branches(*_inputs(lesson.rows, batch, device))
    wanted = torch.from_numpy(lesson.targets[batch].astype(np.float32)).to(device)
    mask = torch.from_numpy(_speaks(branches, lesson.rows, batch)).to(device)
    losses = lesson.loss(logits, wanted[:, None, :]).sum(dim=2)
    return (losses * mask).sum(dim=0) / mask.sum(dim=0).clamp_min(1.0)


def _mean_losses(branches: Branches, lesson: Lesson, which: NDArray[np.int64]) -> list[float]:
    branches.eval()
    sums = torch.zeros(len(branches.names))
    counts = torch.zeros(len(branches.names))
    with torch.no_grad():
        for batch in in_batches(which, lesson.settings.batch_items):
            spoken = torch.from_numpy(_speaks(branches, lesson.rows, batch)).sum(dim=0)
            sums += _branch_losses(branches, lesson, batch).cpu() * spoken
            counts += spoken
    means: list[float] = (sums / counts.clamp_min(1.0)).tolist()
    return means


def _speaks(branches: Branches, rows: HeadRows, batch: NDArray[np.int64]) -> NDArray[np.float32]:
    """1.0 where the item has the branch's modality, float32 [b, k]."""
    columns = [rows.has(modality_of(name))[batch] for name in branches.names]
    return np.stack(columns, axis=1).astype(np.float32)


def _inputs(
    rows: HeadRows, batch: NDArray[np.int64], device: str
) -> tuple[dict[Modality, Tensor], Terms | None]:
    embeddings = {
        modality: torch.from_numpy(np.ascontiguousarray(array[batch])).to(device)
        for modality, array in rows.embeddings.items()
    }
    if rows.terms is None:
        return embeddings, None
    ids, weights, starts = (torch.from_numpy(array).to(device) for array in rows.terms.flat(batch))
    return embeddings, (ids, weights, starts)


def in_batches(which: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """The rows in order, `size` at a time."""
    return (which[start : start + size] for start in range(0, len(which), size))


def _new_branches(lesson: Lesson, train: NDArray[np.int64]) -> Branches:
    """Branches that say the labels' prior of everything."""
    rows, prior = lesson.rows, prior_logits(lesson.targets[train])
    branches: dict[str, nn.Module] = {}
    if rows.terms is not None:
        frequency = rows.terms.document_frequency(train)
        # Smoothed as in scikit-learn's TfidfTransformer; a term of one item alone teaches nothing.
        idf = np.log((1 + len(train)) / (1 + frequency)) + 1.0
        branches[TERMS] = TermsBranch(np.where(frequency > 1, idf, 0.0).astype(np.float32), prior)
    for modality, array in rows.embeddings.items():
        moments = mean_and_deviation(array, train[rows.has(modality)[train]])
        if modality not in rows.views:
            branches[modality] = EmbeddingBranch(*moments, prior)
        for view in rows.views.get(modality, ()):
            its = slice(view.start, view.stop)
            branches[branch_of(modality, view.name)] = EmbeddingBranch(*moments, prior, its)
    return Branches(branches)


def _optimiser(branches: Branches, items: int, settings: FitSettings) -> torch.optim.Optimizer:
    groups: list[dict[str, object]] = []
    for branch in branches.children_in_order():
        terms = isinstance(branch, TermsBranch)
        inverse = settings.terms_inverse_decay if terms else settings.embedding_inverse_decay
        groups += [
            {"params": [branch.weight], "weight_decay": 1.0 / (inverse * items)},
            {"params": [branch.bias], "lr": settings.rate * BIAS_RATE},
        ]
    return torch.optim.SGD(groups, lr=settings.rate, momentum=0.9, nesterov=True)


def _rise_and_fall(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """One cycle (Smith & Topin 2017, arXiv:1708.07120): up over the first tenth, down by a cosine."""
    # With fewer than two steps upwards the cycle divides by zero.
    upwards = max(0.1, 2.0 / (steps + 1))
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rates, total_steps=steps + 1, pct_start=upwards, cycle_momentum=False
    )
