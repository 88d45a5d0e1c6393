"""Rows and heads for tests: items whose labels can be read from their terms and embeddings."""

from collections.abc import Sequence

import numpy as np

from genrestream.schemas import Modality
from genrestream.training.head_rows import MODALITIES, HeadRows, TermRows

LABELS = 4
DIMENSIONS = 8
BUCKETS = 40


def make_rows(
    items: int,
    seed: int = 0,
    modalities: Sequence[Modality] = (Modality.TEXT, Modality.IMAGE),
    absent: float = 0.3,
) -> tuple[HeadRows, np.ndarray]:
    """Rows whose text and pictures each tell the labels with some noise, and the labels bool [n, 4].

    Each modality but the first is absent from a share of the items.
    """
    rng = np.random.default_rng(seed)
    targets = rng.random((items, LABELS)) < np.array([0.4, 0.3, 0.2, 0.15])
    presence = np.zeros((items, len(MODALITIES)), np.float32)
    embeddings = {}
    for modality in modalities:
        has = rng.random(items) >= (0.0 if modality is modalities[0] else absent)
        presence[:, MODALITIES.index(modality)] = has
        directions = np.random.default_rng(len(modality)).normal(size=(LABELS, DIMENSIONS))
        noisy = targets @ directions + rng.normal(size=(items, DIMENSIONS)) * 1.5
        embeddings[modality] = (noisy * has[:, None]).astype(np.float32)
    terms = make_terms(targets, rng) if Modality.TEXT in modalities else None
    return HeadRows(embeddings, terms, presence), targets


def make_terms(targets: np.ndarray, rng: np.random.Generator) -> TermRows:
    """Each label has three terms of its own (1 to 12), which its items hold half of the time; 13 and up is
    noise."""
    ids = []
    for row in targets:
        own = [1 + 3 * label + k for label in np.flatnonzero(row) for k in range(3) if rng.random() < 0.5]
        noise = rng.choice(np.arange(13, BUCKETS), size=rng.integers(2, 6), replace=False)
        ids.append(np.unique(np.concatenate([own, noise])).astype(np.int32))
    starts = np.concatenate([[0], np.cumsum([len(found) for found in ids])]).astype(np.int64)
    flat = np.concatenate(ids)
    return TermRows(starts, flat, np.ones(len(flat), np.float32), BUCKETS)
