"""Training of the language model, before any label is looked at: Adam, early stopping, best weights kept.

Legend: n texts, t tokens.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.training.errors import CollapsedError
from genrestream.training.recipes.language_model import LanguageModel

BATCH_TEXTS = 8
MAX_NORM = 5.0
"""Gradients are cut here: a recurrent network's explode now and then (Pascanu et al. 2013)."""
PATIENCE_EPOCHS = 2

Progress = Callable[[int, int], None]
"""Called with epochs done and epochs at most."""


@dataclass(frozen=True, slots=True)
class Perplexities:
    """Of texts that were not trained on, epoch by epoch; before the first, that of the untrained model."""

    untrained: float
    epochs: tuple[float, ...]


def fit_language_model(
    model: LanguageModel,
    train: NDArray[np.integer],
    held_out: NDArray[np.integer],
    epochs: int,
    rate: float,
    seed: int,
    device: str = "cpu",
    progress: Progress = lambda done, total: None,
) -> Perplexities:
    """Train the model in place on token ids [n, t], padded behind; it ends frozen, at its best on `held_out`.

    Raises:
        CollapsedError: the loss is no number.
    """
    rng = np.random.default_rng(seed)
    model.requires_grad_(requires_grad=True).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    untrained = _perplexity(model, held_out, device)
    found: list[float] = []
    kept = copy.deepcopy(model.state_dict())
    for epoch in range(1, epochs + 1):
        model.train()
        for batch in _batches(rng.permutation(len(train))):
            loss = model.loss(_tokens(train[batch], model.pad_id, device))
            if not torch.isfinite(loss):
                raise CollapsedError(
                    f"the language model's loss is {loss.item()} in epoch {epoch}: "
                    f"a lower `language_rate` may help, now {rate:g}"
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimiser.step()
        measured = _perplexity(model, held_out, device)
        if measured < min(found, default=math.inf):
            kept = copy.deepcopy(model.state_dict())
        found.append(measured)
        progress(epoch, epochs)
        if epoch - (1 + int(np.argmin(found))) >= PATIENCE_EPOCHS:
            break
    model.load_state_dict(kept)
    model.requires_grad_(requires_grad=False).cpu().eval()
    progress(epochs, epochs)
    return Perplexities(untrained, tuple(found))


def _perplexity(model: LanguageModel, texts: NDArray[np.integer], device: str) -> float:
    model.eval()
    with torch.no_grad():
        losses = [
            float(model.loss(_tokens(texts[batch], model.pad_id, device))) * len(batch)
            for batch in _batches(np.arange(len(texts)))
        ]
    return math.exp(sum(losses) / len(texts))


def _batches(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(rows, max(1, -(-len(rows) // BATCH_TEXTS)))


def _tokens(texts: NDArray[np.integer], pad_id: int, device: str) -> torch.Tensor:
    """The texts as far as the longest goes, and two places at least."""
    longest = max(2, int((texts != pad_id).sum(axis=1).max()))
    return torch.from_numpy(texts[:, :longest].astype(np.int64)).to(device)
