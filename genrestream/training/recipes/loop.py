"""The training loop of recipes and of fine-tuning: epochs, batches, early stopping, the best weights kept.

Legend: n items, b batch, l labels, m modalities.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.disk_arrays import zeros_on_disk
from genrestream.training.errors import CollapsedError, TrainingError
from genrestream.training.head_rows import MODALITIES, HeadRows
from genrestream.training.processes import current
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.loss import Loss
from genrestream.training.recipes.network import LogShares, RecipeNetwork
from genrestream.training.recipes.spec import Fit

MEASURED_ITEMS = 16
"""Items measured together at most: training may show a part of an item, such as one second of a recording."""

Augment = Callable[[Mapping[Modality, Tensor], np.random.Generator], dict[Modality, Tensor]]
"""A batch's inputs as training shows them."""
Draw = Callable[[np.random.Generator], NDArray[np.int64]]
"""The training items of one epoch, in the order in which they are shown."""
Step = Callable[[Tensor], None]
"""Changes the weights by the loss of a batch."""
Begin = Callable[[RecipeNetwork, Fit], Step]
"""From a network on its device to the steps by which it learns."""
Progress = Callable[[int, int], None]
"""Called with what is done and what there is: batches in training, else items; at the end with all done,
however early that was."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Losses an item, epoch by epoch."""

    train: tuple[float, ...]
    validation: tuple[float, ...]

    @property
    def best_epoch(self) -> int:
        """The epoch of the least validation loss, from 1; the first of several."""
        return 1 + int(np.argmin(self.validation))


def shuffled(rows: NDArray[np.int64]) -> Draw:
    """Every item once an epoch, in another order each time."""
    return lambda rng: rng.permutation(rows)


def adam(network: RecipeNetwork, fit: Fit) -> Step:
    """Adam on all that learns, at one rate."""
    optimiser = torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=fit.rate,
        weight_decay=fit.weight_decay,
    )

    def step(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def fit_network(
    network: RecipeNetwork,
    rows: RecipeRows,
    targets: NDArray[np.bool_],
    draw: Draw,
    validation: NDArray[np.int64],
    loss_of: Loss,
    fit: Fit,
    augment: Augment,
    seed: int,
    device: str,
    progress: Progress = lambda done, total: None,
    begin: Begin = adam,
    to_beat: float = math.inf,
) -> Curves:
    """Train the network in place for `targets` [n, l]; it ends with the weights of its best epoch.

    `draw` says what an epoch shows; after each the loss on the rows `validation` is measured. Where none is
    below `to_beat`, the network ends as it was. The same seed gives the same weights on the same machine.
    Several processes that have joined share each batch, and all end with the same weights.

    Raises:
        CollapsedError: the loss is no number.
        TrainingError: no item has anything that the network hears, or batches are too small for so many
            processes.
    """
    processes = current()
    # What is drawn must be the same for all processes, what each does with its part need not be.
    rng, own_rng = np.random.default_rng(seed), np.random.default_rng((seed, processes.rank))
    torch.manual_seed(seed + processes.rank)
    presence = rows.presence * _heard(network)
    network.to(device)
    step = begin(network, fit)
    log_shares = processes.together(_LogShares(network))
    validation = _with_something(validation, presence)
    train_losses: list[float] = []
    validation_losses: list[float] = []
    best, kept = to_beat, copy.deepcopy(network.state_dict())
    for epoch in range(1, fit.epochs + 1):
        network.train()
        batches = list(in_batches(_with_something(draw(rng), presence), fit.batch_items))
        processes.refuse_thin(min(map(len, batches)))
        total_loss = 0.0
        for done, batch in enumerate(batches, start=1):
            mask = processes.part(_some_dropped(presence[batch], fit.modality_dropout, rng))
            mine = processes.part(batch)
            inputs = augment(rows.batch(mine, device), own_rng)
            losses = loss_of(log_shares(inputs, _tensor(mask, device)), _tensor(targets[mine], device))
            loss = processes.mean_of_batch(losses, len(batch))
            if not torch.isfinite(loss):
                raise CollapsedError(
                    f"the loss is {loss.item()} in epoch {epoch}: a rate below {fit.rate:g} may help"
                )
            step(loss)
            total_loss += float(losses.detach().sum())
            progress((epoch - 1) * len(batches) + done, fit.epochs * len(batches))
        train_losses.append(processes.total(total_loss) / sum(map(len, batches)))
        validation_losses.append(mean_loss(network, rows, targets, validation, loss_of, fit, device))
        if not math.isfinite(validation_losses[-1]):
            raise CollapsedError(f"the validation loss is {validation_losses[-1]} in epoch {epoch}")
        if validation_losses[-1] < best:
            best, kept = validation_losses[-1], copy.deepcopy(network.state_dict())
        curves = Curves(tuple(train_losses), tuple(validation_losses))
        if epoch - curves.best_epoch >= fit.patience_epochs:
            break
    progress(fit.epochs * len(batches), fit.epochs * len(batches))
    network.load_state_dict(kept)
    network.eval()
    return curves


def mean_loss(
    network: RecipeNetwork,
    rows: RecipeRows,
    targets: NDArray[np.bool_],
    which: NDArray[np.int64],
    loss_of: Loss,
    fit: Fit,
    device: str,
) -> float:
    """The loss an item of some rows, with nothing dropped or augmented; joined processes share them."""
    network.eval()
    heard = _heard(network)
    processes = current()
    total = 0.0
    with torch.no_grad():
        for batch in in_batches(processes.part(which), min(fit.batch_items, MEASURED_ITEMS)):
            mask = _tensor(rows.presence[batch] * heard, device)
            shares = network.log_shares(rows.batch(batch, device), mask)
            total += float(loss_of(shares, _tensor(targets[batch], device)).sum())
    return processes.total(total) / len(which)


def embed_rows(
    network: RecipeNetwork,
    rows: RecipeRows,
    which: NDArray[np.int64],
    batch_items: int,
    device: str,
    progress: Progress = lambda done, total: None,
) -> HeadRows:
    """The trained encoders' embeddings of the rows `which`; all other rows are as if they had nothing."""
    network.eval()
    presence = np.zeros_like(rows.presence)
    presence[which] = rows.presence[which] * _heard(network)
    embeddings = {
        modality: zeros_on_disk((len(rows), dim), np.float32)
        for modality, dim in network.embedding_dims.items()
    }
    done = 0
    with torch.no_grad():
        for batch in in_batches(which, min(batch_items, MEASURED_ITEMS)):
            found = network.embeddings(rows.batch(batch, device), _tensor(presence[batch], device))
            for modality, values in found.items():
                embeddings[modality][batch] = values.cpu().numpy()
            done += len(batch)
            progress(done, len(which))
    return HeadRows(embeddings, None, presence)


def predict(
    network: RecipeNetwork, embedded: HeadRows, which: NDArray[np.int64], presence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The head's confidences float32 [b, l] for some embedded rows under a presence mask [b, m]."""
    embeddings = {
        modality: torch.from_numpy(values[which]) for modality, values in embedded.embeddings.items()
    }
    head = network.head.cpu().eval()
    with torch.no_grad():
        confidences: NDArray[np.float32] = head(embeddings, torch.from_numpy(presence)).numpy()
    return confidences


def in_batches(which: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """The rows in order, in batches of at most `size` whose sizes differ by one at most."""
    return iter(np.array_split(which, -(-len(which) // size))) if len(which) else iter(())


class _LogShares(nn.Module):
    """A network's `log_shares` as its `forward`, which is what processes can share."""

    def __init__(self, network: RecipeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        return self.network.log_shares(inputs, presence)


def _with_something(which: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Those of the rows that have a modality which the network hears."""
    kept = which[presence[which].any(axis=1)]
    if not len(kept):
        raise TrainingError("none of the items has anything that this network hears")
    return kept


def _heard(network: RecipeNetwork) -> NDArray[np.float32]:
    return np.array([modality in network.modalities for modality in MODALITIES], np.float32)


def _some_dropped(
    presence: NDArray[np.float32], share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The mask [b, m] with one modality left, by chance, to a share of the items that have several."""
    if share == 0.0:
        return presence
    chance = rng.random(presence.shape) * presence
    only = (chance == chance.max(axis=1, keepdims=True)).astype(np.float32) * presence
    dropped = rng.random(len(presence)) < share
    return np.where(dropped[:, None], only, presence)


def _tensor(array: NDArray[np.bool_] | NDArray[np.float32], device: str) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device)
