"""The items that are learnt from, stopped on and measured on: those that have the modality.

Legend: n items, l labels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.split import Fold, Split


@dataclass(frozen=True, slots=True)
class TuneItems:
    """Features, labels and folds; the threshold fold is left to the heads that are trained later."""

    modality: Modality
    rows: RecipeRows
    has: NDArray[np.bool_]
    """[n, l]"""
    lengths: NDArray[np.int64]
    """[n]: the tokens of each text; 0 of all else."""
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """The calibration fold: when to stop."""
    test: NDArray[np.int64]

    @classmethod
    def of(cls, modality: Modality, rows: RecipeRows, has: NDArray[np.bool_], split: Split) -> Self:
        """The rows of each fold that have the modality; short texts first, so that few tokens are padding.

        Raises:
            TrainingError: a fold has none.
        """
        there = rows.places[modality] >= 0
        lengths = _lengths(modality, rows)
        folds = {}
        for fold in (Fold.TRAIN, Fold.CALIBRATION, Fold.TEST):
            found = split[fold][there[split[fold]]]
            if not len(found):
                raise TrainingError(f"no item of the {fold} fold has a readable {modality}")
            folds[fold] = found[np.argsort(lengths[found], kind="stable")]
        return cls(modality, rows, has, lengths, folds[Fold.TRAIN], folds[Fold.CALIBRATION], folds[Fold.TEST])

    @property
    def folds(self) -> tuple[NDArray[np.int64], ...]:
        """Those learnt from, stopped on and measured on."""
        return (self.train, self.validation, self.test)


def _lengths(modality: Modality, rows: RecipeRows) -> NDArray[np.int64]:
    lengths = np.zeros(len(rows), np.int64)
    if modality is Modality.TEXT:
        kept, places = rows.kept[modality], rows.places[modality]
        # One by one: all at once would be the set's tokens in memory.
        for row in np.flatnonzero(places >= 0):
            lengths[row] = np.count_nonzero(kept[places[row]] != rows.pad_id)
    return lengths
