"""What a head has to beat: labels by frequency alone, no labels at all, and words alone.

Legend: n items, l labels.
"""

import numpy as np
from numpy.typing import NDArray

from genrestream.training.calibrate import calibrate
from genrestream.training.fit_head import FittedHead, gated
from genrestream.training.fuse import fit_gate
from genrestream.training.heads import TERMS
from genrestream.training.metrics import Figures, measure, measure_decided
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import Aim, choose_thresholds


def prior_only(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Figures:
    """Every item of `test` [n, l] gets each label's share in `train`, so the same labels."""
    share = train.mean(axis=0)
    confidences = np.tile(share, (len(test), 1))
    thresholds = choose_thresholds(train, np.tile(share, (len(train), 1)), Aim.MICRO_F1)
    return measure(test, confidences, thresholds)


def all_zeros(test: NDArray[np.bool_]) -> Figures:
    """Nothing is ever given: the collapse that a good-looking loss or accuracy can hide."""
    nothing = np.zeros(test.shape)
    return measure_decided(test, nothing, np.zeros(test.shape, np.bool_))


def terms_alone(
    fitted: FittedHead,
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    split: Split,
    seed: int,
) -> Figures | None:
    """A linear TF-IDF one-vs-rest model with its own calibration and thresholds; None without hashed terms.

    The terms' branch has a loss of its own, so by itself it is that model.
    """
    names = fitted.fitted.branches.names
    if TERMS not in names:
        return None
    place = [names.index(TERMS)]
    train, fold = split[Fold.TRAIN], split[Fold.CALIBRATION]
    held_out = fitted.fitted.held_out_logits[:, place]
    gate = fit_gate([TERMS], held_out, presence[train], targets[train], seed)
    gate = calibrate(gate, fitted.logits[fold][:, place], presence[fold], targets[fold])

    def confidences(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return gated(gate, fitted.logits[rows][:, place], presence[rows])

    tuned, test = split[Fold.THRESHOLD], split[Fold.TEST]
    thresholds = choose_thresholds(targets[tuned], confidences(tuned), Aim.MICRO_F1)
    return measure(targets[test], confidences(test), thresholds)
