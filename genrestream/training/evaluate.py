"""How good a head is on the test fold: as the items are, and with each subset of their modalities.

Also says when a head is not worth anything: one that predicts nothing, or the same for all, must not pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.training.baselines import all_zeros, prior_only, terms_alone
from genrestream.training.errors import CollapsedError
from genrestream.training.fit_head import FittedHead
from genrestream.training.fuse import masked_to, rows_with
from genrestream.training.head_rows import READ
from genrestream.training.heads import all_subsets
from genrestream.training.metrics import Figures, Predictions, decide, measure_decided
from genrestream.training.split import Fold, Split

MIN_SLICE_ITEMS = 20
"""A subset of modalities that fewer test items have is not measured."""

MIN_SPREAD = 1e-3
"""Confidences that differ less between items are the same for all."""

Predict = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float32]]
"""Confidences float32 [n, l] for rows int64 [n] with a presence mask float32 [n, m]."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a head says of the items that have a subset of modalities, from those alone."""

    rows: NDArray[np.int64]
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A head's figures on the test fold beside those that it has to beat."""

    head: Figures
    slices: Mapping[str, Figures]
    """By the modalities that were left to it, such as `text+image`."""
    parts: Mapping[str, Slice]
    """What the slices' figures were measured on."""
    baselines: Mapping[str, Figures]
    predictions: Predictions
    """The head's, of the test fold [n, l]."""
    rivals: Mapping[str, Predictions]
    """The baselines'."""


def slice_figures(parts: Mapping[str, Slice], targets: NDArray[np.bool_]) -> dict[str, Figures]:
    """The figures of each slice; its rows are those of `targets` [all, l]."""
    return {name: measure_decided(targets[part.rows], part.predictions) for name, part in parts.items()}


def predict_slices(
    predict: Predict,
    rows: NDArray[np.int64],
    presence: NDArray[np.float32],
    thresholds: NDArray[np.floating],
    modalities: tuple[Modality, ...],
    read_presence: NDArray[np.float32] | None = None,
) -> dict[str, Slice]:
    """The predictions for every subset of modalities that at least 20 of `rows` have, by its name.

    `presence` [all, m] is indexed by `rows`, and so is `read_presence`, that of the texts read from pictures.
    """
    parts = {}
    for subset in all_subsets(modalities, reads=read_presence is not None):
        there = read_presence if read_presence is not None and READ in subset else presence
        which = rows[rows_with(there[rows], subset)]
        if len(which) < MIN_SLICE_ITEMS:
            continue
        confidences = predict(which, masked_to(there[which], subset))
        parts["+".join(subset)] = Slice(which, Predictions(confidences, decide(confidences, thresholds)))
    return parts


def evaluate(
    fitted: FittedHead,
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    split: Split,
    thresholds: NDArray[np.floating],
    seed: int,
    read_presence: NDArray[np.float32] | None = None,
) -> Evaluation:
    """The head on the test fold, beside the baselines; `presence` [n, m] and `targets` [n, l] are all items'.

    Raises:
        CollapsedError: with the reason why the head must not be used.
    """
    terms = terms_alone(fitted, presence, targets, split, seed)
    return evaluate_beside(
        terms, fitted.predict, fitted.modalities, presence, targets, split, thresholds, read_presence
    )


def evaluate_beside(
    terms: Predictions | None,
    predict: Predict,
    modalities: tuple[Modality, ...],
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    split: Split,
    thresholds: NDArray[np.floating],
    read_presence: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Whatever `predict` asks on the test fold, beside the baselines; `terms` are those of words alone.

    Raises:
        CollapsedError: with the reason why the head must not be used.
    """
    test, train = split[Fold.TEST], split[Fold.TRAIN]
    truth = targets[test]
    confidences = predict(test, presence[test])
    predictions = Predictions(confidences, decide(confidences, thresholds))
    rivals = {
        "frequencies": prior_only(targets[train], len(test)),
        "all zeros": all_zeros(*truth.shape),
    }
    if terms is not None:
        rivals["TF-IDF"] = terms
    head = measure_decided(truth, predictions)
    baselines = {name: measure_decided(truth, rival) for name, rival in rivals.items()}
    refuse_collapsed(confidences, thresholds, head, baselines["frequencies"])
    parts = predict_slices(predict, test, presence, thresholds, modalities, read_presence)
    return Evaluation(head, slice_figures(parts, targets), parts, baselines, predictions, rivals)


def refuse_collapsed(
    confidences: NDArray[np.float32], thresholds: NDArray[np.floating], head: Figures, prior: Figures
) -> None:
    """Return if the head's confidences [n, l] tell items apart, and better than labels' frequencies do.

    Raises:
        CollapsedError: with the reason why the head must not be used.
    """
    if not np.isfinite(confidences).all():
        raise CollapsedError("the head collapsed: some confidences are no numbers")
    if float(confidences.std(axis=0).max()) < MIN_SPREAD:
        raise CollapsedError("the head collapsed: it gives every item the same confidences")
    if not (confidences >= thresholds).any():
        raise CollapsedError(
            "the head collapsed: no confidence reaches its threshold, so it predicts nothing"
        )
    decided = decide(confidences, thresholds)
    if len(decided) > 1 and (decided == decided[0]).all():
        raise CollapsedError("the head collapsed: it gives every item the same labels")
    if head.mean_ap <= prior.mean_ap:
        raise CollapsedError(
            f"the head learnt nothing: its mean average precision is {head.mean_ap:.3f}, "
            f"that of the labels' frequencies alone {prior.mean_ap:.3f}"
        )
