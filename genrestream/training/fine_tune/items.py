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
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """The calibration fold: when to stop."""
    test: NDArray[np.int64]

    @classmethod
    def of(cls, modality: Modality, rows: RecipeRows, has: NDArray[np.bool_], split: Split) -> Self:
        """The rows of each fold that have the modality, ascending.

        Raises:
            TrainingError: a fold has none.
        """
        there = rows.places[modality] >= 0
        folds = {fold: split[fold][there[split[fold]]] for fold in (Fold.TRAIN, Fold.CALIBRATION, Fold.TEST)}
        for fold, found in folds.items():
            if not len(found):
                raise TrainingError(f"no item of the {fold} fold has a readable {modality}")
        return cls(modality, rows, has, folds[Fold.TRAIN], folds[Fold.CALIBRATION], folds[Fold.TEST])

    @property
    def folds(self) -> tuple[NDArray[np.int64], ...]:
        """Those learnt from, stopped on and measured on."""
        return (self.train, self.validation, self.test)
