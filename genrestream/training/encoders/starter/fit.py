"""Training a starter encoder: its embedding must let a linear layer tell the genres of its item's kind.

Legend: b batch, n items, d embedding size, l labels of all kinds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from genrestream.training.device import one_thread
from genrestream.training.encoders.draft import Progress
from genrestream.training.encoders.starter.labelled import Labelled
from genrestream.training.metrics import average_precision

BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
MIN_SCHEDULE_STEPS = 50
"""A shorter schedule has no room for its rise; few items end before its fall."""

Rows = NDArray[np.int64]
Batch = Callable[[Rows, torch.Generator | None], Tensor]
"""From row numbers to the encoder's input; varied at random when a generator is given, as in training."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training ended."""

    mean_average_precision: float
    """Over the labels, on the groups held out."""
    chance: float
    """The same for a constant answer: the mean share of the labels."""


# With the smallest of these networks a second thread costs more than it brings, too.
@one_thread()
def fit(
    encoder: nn.Module,
    embedding_dim: int,
    batch_of: Batch,
    labelled: Labelled,
    epochs: int,
    seed: int,
    progress: Progress,
) -> Fit:
    """Train the encoder in place; how well a linear layer reads the genres of the groups held out.

    The same seed gives the same weights: one thread adds in one order.
    """
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(embedding_dim, labelled.targets.shape[1])
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    rows = np.flatnonzero(~labelled.held_out)
    steps = epochs * (len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=max(steps, MIN_SCHEDULE_STEPS), pct_start=0.2
    )
    targets, known = torch.from_numpy(labelled.targets), torch.from_numpy(labelled.known)
    done = 0
    encoder.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(epochs):
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(rows) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            embedding = functional.dropout(encoder(batch_of(chosen, generator)), 0.1)
            wrong = functional.binary_cross_entropy_with_logits(
                head(embedding), targets[chosen], weight=known[chosen], reduction="sum"
            )
            optimizer.zero_grad()
            (wrong / known[chosen].sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            done += 1
            progress("train", done, steps)
    encoder.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _measure(encoder, head, batch_of, labelled)


def _measure(encoder: nn.Module, head: nn.Module, batch_of: Batch, labelled: Labelled) -> Fit:
    rows = np.flatnonzero(labelled.held_out)
    with torch.inference_mode():
        parts = [head(encoder(batch_of(rows[at : at + BATCH], None))) for at in range(0, len(rows), BATCH)]
    scores = torch.cat(parts).numpy()
    precisions, chances = [], []
    for label in range(scores.shape[1]):
        own = labelled.known[rows, label] > 0
        positives = labelled.targets[rows, label][own] > 0
        if positives.any():
            precisions.append(average_precision(positives, scores[own, label]))
            chances.append(float(positives.mean()))
    return Fit(float(np.mean(precisions)), float(np.mean(chances)))
