"""The training loop of the branches, cross-fitted: every item is judged by branches that never saw it.

Each branch has a loss of its own, so a loud one cannot silence another. The parts of the cross-fit stop
early on the part they leave out; the mean of all parts' branches judges the folds for calibration and
thresholds (they are linear, so this is the ensemble of them at the price of one). Then the served branches
are trained on all of these items: a third more, which on film posters and texts gave .018 more mean average
precision. Legend: n items, k branches, l labels.
"""

import copy
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import (
    TERMS,
    Branches,
    EmbeddingBranch,
    Terms,
    TermsBranch,
    modality_of,
    prior_logits,
)

BIAS_RATE = 0.025
"""The biases' share of the rate: a bias feels every item with weight 1, a weight with its small input."""

Progress = Callable[[int, int], None]
"""Called with epochs done and epochs at most."""


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
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FittedBranches:
    """Branches and what they say of items that they were not trained on."""

    branches: Branches
    held_out_logits: NDArray[np.float32]
    """[n, k, l] of the training rows, each from the part of the cross-fit that left it out."""
    curves: list[dict[str, list[float]]] = field(default_factory=list)
    """Of each part and branch, the loss on what it left out, epoch by epoch."""


def fit_branches(
    rows: HeadRows,
    targets: NDArray[np.bool_],
    train: NDArray[np.int64],
    parts: NDArray[np.int64],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> FittedBranches:
    """Branches fitted to `targets` bool [all, l] on the rows `train`, whose cross-fit parts are `parts`.

    Raises:
        TrainingError: the loss is no number.
    """
    count = int(parts.max()) + 1
    prototype = _new_branches(rows, targets, train)
    held_out = np.zeros((len(train), len(prototype.names), targets.shape[1]), np.float32)
    epochs_done = [0] * count
    stopped = threading.Event()

    def fit_one(part: int) -> tuple[Branches, dict[str, list[float]]]:
        branches = copy.deepcopy(prototype).to(settings.device)

        def report(epoch: int) -> None:
            if stopped.is_set():
                raise TrainingError("another part of the training failed")
            epochs_done[part] = epoch
            progress(sum(epochs_done), count * settings.epochs)

        left_out = train[parts == part]
        curves = _fit_part(branches, rows, targets, train[parts != part], left_out, settings, report)
        held_out[parts == part] = branch_logits(branches, rows, left_out, settings)
        return branches.cpu(), curves

    # One thread a part: the steps are too small to be shared by threads, which would wait for each other.
    torch.set_num_threads(1)
    side_by_side = 1 if settings.device != "cpu" else min(count, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(side_by_side) as pool:
        try:
            fitted = list(pool.map(fit_one, range(count)))
        except BaseException:
            # Ctrl-C, too, must not wait for threads that train on.
            stopped.set()
            raise
    return FittedBranches(
        _mean_of([branches for branches, _ in fitted]), held_out, [curves for _, curves in fitted]
    )


def refit_branches(
    fitted: FittedBranches,
    rows: HeadRows,
    targets: NDArray[np.bool_],
    learnt: NDArray[np.int64],
    settings: FitSettings,
    progress: Progress = lambda done, total: None,
) -> Branches:
    """Branches trained on all the rows `learnt`, each for as many epochs as its cross-fit took on average.

    Raises:
        TrainingError: the loss is no number.
    """
    branches = _new_branches(rows, targets, learnt).to(settings.device)
    enough = {
        name: round(float(np.mean([1 + np.argmin(curves[name]) for curves in fitted.curves])))
        for name in branches.names
    }
    best = {}
    for epoch in _epochs(branches, rows, targets, learnt, settings):
        for name in branches.names:
            if epoch == enough[name]:
                best[name] = copy.deepcopy(branches.by_name[name].state_dict())
        progress(epoch, settings.epochs)
        if len(best) == len(branches.names):
            break
    for name in branches.names:
        branches.by_name[name].load_state_dict(best[name])
    progress(settings.epochs, settings.epochs)
    return branches.cpu().eval()


def branch_logits(
    branches: Branches, rows: HeadRows, which: NDArray[np.int64], settings: FitSettings
) -> NDArray[np.float32]:
    """The branches' logits for some rows, float32 [len(which), k, l]."""
    device = next(branches.parameters()).device
    branches.eval()
    with torch.no_grad():
        parts = [
            branches(*_inputs(rows, batch, str(device))).cpu().numpy()
            for batch in _in_batches(which, settings.batch_items)
        ]
    return np.concatenate(parts) if parts else np.zeros((0, len(branches.names), 0), np.float32)


def _fit_part(
    branches: Branches,
    rows: HeadRows,
    targets: NDArray[np.bool_],
    train: NDArray[np.int64],
    left_out: NDArray[np.int64],
    settings: FitSettings,
    report: Callable[[int], None],
) -> dict[str, list[float]]:
    """Train in place; each branch ends as it was at its best epoch."""
    curves: dict[str, list[float]] = {name: [] for name in branches.names}
    best = {name: copy.deepcopy(branches.by_name[name].state_dict()) for name in branches.names}
    for epoch in _epochs(branches, rows, targets, train, settings):
        measured = _mean_losses(branches, rows, targets, left_out, settings)
        for name, value in zip(branches.names, measured, strict=True):
            if value < min(curves[name], default=float("inf")):
                best[name] = copy.deepcopy(branches.by_name[name].state_dict())
            curves[name].append(value)
        report(epoch)
        if all(_is_over(curve, settings.patience_epochs) for curve in curves.values()):
            break
    for name in branches.names:
        branches.by_name[name].load_state_dict(best[name])
    report(settings.epochs)
    return curves


def _epochs(
    branches: Branches,
    rows: HeadRows,
    targets: NDArray[np.bool_],
    train: NDArray[np.int64],
    settings: FitSettings,
) -> Iterator[int]:
    """Train in place; the number of each epoch that is done, from 1."""
    rng = np.random.default_rng(settings.seed)
    optimiser = _optimiser(branches, len(train), settings)
    schedule = _rise_and_fall(optimiser, settings.epochs * -(-len(train) // settings.batch_items))
    for epoch in range(1, settings.epochs + 1):
        branches.train()
        for batch in _in_batches(rng.permutation(train), settings.batch_items):
            losses = _branch_losses(branches, rows, targets, batch, settings.device)
            loss = losses.sum()
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is {loss.item()} in epoch {epoch}: check the embeddings")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        yield epoch


def _is_over(curve: list[float], patience: int) -> bool:
    return len(curve) - 1 - int(np.argmin(curve)) >= patience


def _branch_losses(
    branches: Branches, rows: HeadRows, targets: NDArray[np.bool_], batch: NDArray[np.int64], device: str
) -> Tensor:
    """Binary cross-entropy of each branch over the items that have its modality, float32 [k]."""
    logits = branches(*_inputs(rows, batch, device))
    wanted = torch.from_numpy(targets[batch].astype(np.float32)).to(device)
    mask = torch.from_numpy(_speaks(branches, rows, batch)).to(device)
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, wanted[:, None, :].expand_as(logits), reduction="none"
    ).sum(dim=2)
    return (losses * mask).sum(dim=0) / mask.sum(dim=0).clamp_min(1.0)


def _mean_losses(
    branches: Branches,
    rows: HeadRows,
    targets: NDArray[np.bool_],
    which: NDArray[np.int64],
    settings: FitSettings,
) -> list[float]:
    branches.eval()
    sums = torch.zeros(len(branches.names))
    counts = torch.zeros(len(branches.names))
    with torch.no_grad():
        for batch in _in_batches(which, settings.batch_items):
            spoken = torch.from_numpy(_speaks(branches, rows, batch)).sum(dim=0)
            sums += _branch_losses(branches, rows, targets, batch, settings.device).cpu() * spoken
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


def _in_batches(which: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (which[start : start + size] for start in range(0, len(which), size))


def _new_branches(rows: HeadRows, targets: NDArray[np.bool_], train: NDArray[np.int64]) -> Branches:
    """Branches that say the labels' prior of everything."""
    prior = prior_logits(targets[train])
    branches: dict[str, nn.Module] = {}
    if rows.terms is not None:
        frequency = rows.terms.document_frequency(train)
        # Smoothed as in scikit-learn's TfidfTransformer; a term of one item alone teaches nothing.
        idf = np.log((1 + len(train)) / (1 + frequency)) + 1.0
        branches[TERMS] = TermsBranch(np.where(frequency > 1, idf, 0.0).astype(np.float32), prior)
    for modality, array in rows.embeddings.items():
        present = train[rows.has(modality)[train]]
        branches[modality] = EmbeddingBranch(np.asarray(array[present]), prior)
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
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rates, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
    )


def _mean_of(parts: list[Branches]) -> Branches:
    mean = copy.deepcopy(parts[0])
    states = [part.state_dict() for part in parts]
    mean.load_state_dict({name: torch.stack([s[name] for s in states]).mean(dim=0) for name in states[0]})
    return mean.eval()
