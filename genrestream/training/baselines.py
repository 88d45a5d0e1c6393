"""What a head has to beat: labels by frequency alone, no labels at all, and words alone.

Legend: n items, l labels.
"""

import numpy as np
from numpy.typing import NDArray

from genrestream.training.calibrate import calibrate
from genrestream.training.fit_head import FittedHead, gated
from genrestream.training.fuse import MAX_GATE_ITEMS, at_most, fit_gate
from genrestream.training.heads import TERMS
from genrestream.training.metrics import Predictions, decide
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import Aim, choose_thresholds


def prior_only(train: NDArray[np.bool_], items: int) -> Predictions:
    """Each of so many items gets each label's share in `train` [n, l], so the same labels."""
    share = train.mean(axis=0)
    some = train[at_most(MAX_GATE_ITEMS, np.arange(len(train)), 0)]
    thresholds = choose_thresholds(some, np.tile(share, (len(some), 1)), Aim.MICRO_F1)
    confidences = np.tile(share, (items, 1))
    return Predictions(confidences, decide(confidences, thresholds))


def all_zeros(items: int, labels: int) -> Predictions:
    """Nothing is ever given: the collapse that a good-looking loss or accuracy can hide."""
    return Predictions(np.zeros((items, labels)), np.zeros((items, labels), np.bool_))


def terms_alone(
    fitted: FittedHead,
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    split: Split,
    seed: int,
) -> Predictions | None:
    """A linear TF-IDF one-vs-rest model on the test fold; None without hashed terms.

    The terms' branch has a loss of its own, so by itself it is that model; it is binary cross-entropy's
    whatever loss trained the head. Its threshold is cross-validated: chosen on the training items, each
    judged by the branches that never saw it.
    """
    logits = fitted.terms_logits
    if logits is None:
        return None
    train, fold = at_most(MAX_GATE_ITEMS, split[Fold.TRAIN], seed), split[Fold.CALIBRATION]
    held_out = logits[train]
    gate = fit_gate([TERMS], held_out, presence[train], targets[train], seed)
    gate = calibrate(gate, logits[fold], presence[fold], targets[fold])

    unseen = gated(gate, held_out, presence[train])
    thresholds = choose_thresholds(targets[train], unseen, Aim.MICRO_F1)
    test = split[Fold.TEST]
    found = gated(gate, logits[test], presence[test])
    return Predictions(found, decide(found, thresholds))
