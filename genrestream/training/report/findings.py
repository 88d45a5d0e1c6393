"""All that a page shows, computed before the page is thought of. Legend: n items, l labels, m modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.releases import Release
from genrestream.training.beside_branches import BesideBranches
from genrestream.training.catalogue import Example
from genrestream.training.evaluate import Slice
from genrestream.training.metrics import Figures, Predictions


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one graph weighs, and how long ONNX Runtime takes for a batch on one thread."""

    name: str
    size_bytes: int
    parameters: int
    batch_ms: Mapping[int, float]
    """By batch size; a size that would take too long to measure is left out."""


@dataclass(frozen=True, slots=True)
class ComparedNetwork:
    """One of a recipe's networks: a branch alone, or all together."""

    figures: Figures
    """On the test items that have all of the recipe's modalities."""
    inference_ms: float
    """What an item costs its encoders, on one thread."""
    train_losses: Sequence[float]
    """An item's, epoch by epoch."""
    validation_losses: Sequence[float]
    """On the items that stop the training."""

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 1."""
        return 1 + int(np.argmin(self.validation_losses))


@dataclass(frozen=True, slots=True)
class Training:
    """What only the training itself knows."""

    picture_text_ms: float | None
    """What it costs one core to read the text in a picture; None where none was read."""
    curves: Sequence[Mapping[str, Sequence[float]]]
    """Of each part of the cross-fit and branch, the loss on what was left out, epoch by epoch; a recipe has
    none."""
    networks: Mapping[str, ComparedNetwork]
    """A recipe's, by what they hear, such as `text+image`; last the one of all that is the candidate."""
    split_items: Mapping[str, int]
    items_by_label: NDArray[np.int64]
    """Of each label, how many items outside the test fold have it, [l]."""
    settings: Mapping[str, str]
    left_out: Mapping[str, int]
    """What was not learnt from, by the reason."""


@dataclass(frozen=True, slots=True)
class Findings:
    """A head and what was found of it on some items."""

    release: Release
    examples: Sequence[Example]
    """The items that it was measured on, n."""
    groups: Sequence[str]
    """Of each item: what the bootstrap draws as a whole."""
    presence: NDArray[np.float32]
    """[n, m]"""
    truth: NDArray[np.bool_]
    """[n, l]"""
    predictions: Predictions
    figures: Figures
    baselines: Mapping[str, Figures]
    slices: Mapping[str, Figures]
    parts: Mapping[str, Slice]
    """What the slices' figures were measured on; their rows are those of `truth`."""
    beside: Mapping[str, BesideBranches]
    """By slice that several modalities or branches speak of."""
    costs: Sequence[ModelCost]
    versions: Mapping[str, str]
    seed: int
    """Of the bootstrap."""
    training: Training | None = None
    """None where other items than those of the test fold were measured."""
