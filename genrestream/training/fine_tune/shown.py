"""What training shows of the items, and in which order. Legend: b batch, n items, t tokens."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genrestream.schemas.items import Modality
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.recipes.augment import augmented
from genrestream.training.recipes.loop import Augment, Draw, shuffled

CROP_SHARE = 0.15
"""Of a picture's sides, at most, that is cut away."""
DROPPED_TOKENS = 0.1
"""The share of a text's tokens that is not shown."""
LOUDNESS_LOG10 = 0.2
"""Louder or quieter by at most 2 dB: in log10 of power."""
ALIKE_BATCHES = 32
"""Within so many batches the texts are ordered by length."""


def shown_of(modality: Modality, pad_id: int) -> Augment:
    """Pictures mirrored and cut out, texts without some tokens, sound louder or quieter: each by chance."""

    def show(inputs: Mapping[Modality, Tensor], rng: np.random.Generator) -> dict[Modality, Tensor]:
        given = inputs[modality]
        match modality:
            case Modality.IMAGE:
                shown = augmented(given, rng, flip=True, rotation_deg=0.0, crop_share=CROP_SHARE)
            case Modality.TEXT:
                shown = _without_some(given, pad_id, rng)
            case Modality.AUDIO:
                shown = _louder(given, rng)
        return {modality: shown}

    return show


def order_of(items: TuneItems, batch_items: int) -> Draw:
    """Every training item once an epoch; texts of like length together, so that few tokens are padding."""
    if items.modality is not Modality.TEXT:
        return shuffled(items.train)
    return by_length(items.train, items.lengths[items.train], batch_items * ALIKE_BATCHES)


def by_length(rows: NDArray[np.int64], lengths: NDArray[np.int64], window: int) -> Draw:
    """The rows in an order by chance, then by their `lengths` [n] within windows of so many."""

    def draw(rng: np.random.Generator) -> NDArray[np.int64]:
        order = rng.permutation(len(rows))
        windows = [order[start : start + window] for start in range(0, len(order), window)]
        drawn: NDArray[np.int64] = rows[
            np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in windows])
        ]
        return drawn

    return draw


def _without_some(token_ids: Tensor, pad_id: int, rng: np.random.Generator) -> Tensor:
    """int64 [b, t], some tokens as if they were padding; the first, which some encoders sum up in, stays."""
    left_out = rng.random(tuple(token_ids.shape)) < DROPPED_TOKENS
    left_out[:, 0] = False
    return token_ids.masked_fill(torch.from_numpy(left_out).to(token_ids.device), pad_id)


def _louder(patches: Tensor, rng: np.random.Generator) -> Tensor:
    """Log-mel patches float32 [b, ...], each recording as loud as chance has it; silence stays silence."""
    shape = (len(patches),) + (1,) * (patches.ndim - 1)
    gains = rng.uniform(-LOUDNESS_LOG10, LOUDNESS_LOG10, shape).astype(np.float32)
    louder = (patches + torch.from_numpy(gains).to(patches.device)).clamp_min(0.0)
    return torch.where(patches > 0, louder, patches)
