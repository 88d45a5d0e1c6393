"""How well a linear layer reads the labels from embeddings: what tuning is judged by.

Legend: n items, l labels.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from genrestream.training.errors import TrainingError
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.fit import fit_stopping
from genrestream.training.fit_loop import FitSettings, branch_logits
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import EmbeddingBranch
from genrestream.training.metrics import mean_average_precision, top_k_hits
from genrestream.training.recipes.loop import embed_rows
from genrestream.training.recipes.network import RecipeNetwork

Progress = Callable[[int, int], None]
"""Called with items done and items in all."""


@dataclass(frozen=True, slots=True)
class LinearFigures:
    """On the test items that have the modality."""

    items: int
    mean_ap: float
    top1: float
    """Share of items whose best label is right, of those that have a label."""

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class LinearFit:
    """A linear layer over embeddings, and how good it is."""

    branch: EmbeddingBranch
    test: LinearFigures


def embed_items(
    network: RecipeNetwork,
    items: TuneItems,
    batch_items: int,
    device: str,
    progress: Progress = lambda done, total: None,
) -> HeadRows:
    """What the network's encoder gives for the items as it is now; all other rows are as if they had nothing.

    Each fold goes by itself: in a batch with others a text is padded as they ask for, which decides the last
    bits of its embedding, and what is learnt is to be the same whatever the test items are.
    """
    network.to(device)
    total = sum(map(len, items.folds))
    done = 0

    def report(now: int, _: int) -> None:
        progress(done + now, total)

    vectors = np.zeros((len(items.rows), network.embedding_dims[items.modality]), np.float32)
    presence = np.zeros_like(items.rows.presence)
    for fold in items.folds:
        found = embed_rows(network, items.rows, fold, batch_items, device, report)
        vectors[fold] = found.embeddings[items.modality][fold]
        presence[fold] = found.presence[fold]
        done += len(fold)
    return HeadRows({items.modality: vectors}, None, presence)


def fit_linear(embedded: HeadRows, items: TuneItems, seed: int) -> LinearFit:
    """The layer for some embeddings, as heads have it: learnt from the train fold, stopped on calibration's.

    Raises:
        TrainingError: the embeddings hold what is no number.
    """
    settings = FitSettings(seed=seed)
    branches = fit_stopping(embedded, items.has, items.train, items.validation, settings)
    branch = branches.by_name[items.modality]
    if not isinstance(branch, EmbeddingBranch):
        raise TrainingError(f"there is no embedding of {items.modality}")
    logits = branch_logits(branches, embedded, items.test, settings)[:, 0]
    confidences = torch.from_numpy(logits).sigmoid().numpy()
    truth = items.has[items.test]
    labelled = truth.any(axis=1)
    hits = top_k_hits(truth, confidences, 1)[labelled]
    figures = LinearFigures(
        items=len(truth),
        mean_ap=mean_average_precision(truth, confidences),
        top1=float(hits.mean()) if len(hits) else 0.0,
    )
    return LinearFit(branch, figures)
