"""What encoders learn of the training items before any label is shown: scales, and a language."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from genrestream.schemas.items import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.audio_lyrics import LyricsEncoder
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.language_fit import fit_language_model
from genrestream.training.recipes.mfcc_cnn import MfccEncoder
from genrestream.training.recipes.spec import Branch
from genrestream.training.recipes.spec_audio import ElmoLstm, MfccCnn

MAX_STANDARDISED_ITEMS = 256
"""Recordings whose coefficients are averaged: 40 s each hold 3,440 frames, so the means are firm, and the
memory that it takes is some 200 MB."""

Progress = Callable[[str, int, int], None]


def warm_up(
    encoders: Mapping[Modality, nn.Module],
    branches: Mapping[Modality, Branch],
    rows: RecipeRows,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    seed: int,
    device: str,
    progress: Progress,
) -> None:
    """Train what needs no labels, in place; the language model stops early on the rows `validation`.

    Raises:
        TrainingError: a fold holds no item with the modality, or the language model's loss is no number.
    """
    for modality, encoder in encoders.items():
        branch = branches[modality]
        if isinstance(branch, MfccCnn) and isinstance(encoder, MfccEncoder) and branch.standardise:
            some = _there(rows, modality, train)[:MAX_STANDARDISED_ITEMS]
            encoder.standardise(rows.batch(some, "cpu")[modality])
        elif isinstance(branch, ElmoLstm) and isinstance(encoder, LyricsEncoder):
            fit_language_model(
                encoder.language_model,
                _tokens(rows, _there(rows, modality, train)),
                _tokens(rows, _there(rows, modality, validation)),
                branch.language_epochs,
                branch.language_rate,
                seed,
                device,
                lambda done, total: progress("training the language model", done, total),
            )


def _there(rows: RecipeRows, modality: Modality, which: NDArray[np.int64]) -> NDArray[np.int64]:
    there = which[rows.places[modality][which] >= 0]
    if not len(there):
        raise TrainingError(f"no item of a fold has a readable {modality}")
    return there


def _tokens(rows: RecipeRows, which: NDArray[np.int64]) -> NDArray[np.int32]:
    """The token ids of some items, int32 [n, t], padded behind."""
    found: NDArray[np.int32] = rows.kept[Modality.TEXT][rows.places[Modality.TEXT][which]]
    return found
