"""Confidences to labels. Legend: l labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Decision, LabelConfidence, Release

MAX_LABELS = 50
"""More labels than this on one item help nobody; extreme tag sets have thousands."""

CONFIDENCE_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """The labels of one item for one task; never empty."""

    labels: tuple[LabelConfidence, ...]
    decision: Decision
    scores: dict[str, float] | None


def decide(confidences: NDArray[np.float32], release: Release, *, all_scores: bool = False) -> Verdict:
    """The labels that reach their thresholds, in falling confidence; else the best one, as low confidence.

    Args:
        confidences: float32 [l] in 0..1, calibrated, in the order of the release's labels.
        release: names the labels and their thresholds.
        all_scores: also give every label's confidence.

    Raises:
        ValueError: the number of confidences is not that of the labels, or one is not a number.
    """
    if confidences.shape != (len(release.labels),):
        raise ValueError(f"confidences of shape {confidences.shape}, expected ({len(release.labels)},)")
    if not np.isfinite(confidences).all():
        raise ValueError("a confidence is not a finite number")
    chosen = _falling(confidences, np.flatnonzero(confidences >= np.asarray(release.thresholds, np.float32)))
    decision = Decision.LABELLED if len(chosen) else Decision.LOW_CONFIDENCE
    labels = tuple(
        LabelConfidence(label=release.labels[index], confidence=_rounded(confidences[index]))
        for index in (chosen[:MAX_LABELS] if len(chosen) else [confidences.argmax()])
    )
    scores = None
    if all_scores:
        everything = _falling(confidences, np.arange(len(confidences)))
        scores = {release.labels[index]: _rounded(confidences[index]) for index in everything}
    return Verdict(labels, decision, scores)


def _falling(confidences: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """The indices in falling confidence; equal ones stay in order."""
    return indices[np.argsort(-confidences[indices], kind="stable")]


def _rounded(confidence: np.float32) -> float:
    return round(min(max(float(confidence), 0.0), 1.0), CONFIDENCE_DECIMALS)
