"""Features to confidences: encoders and heads for one micro-batch of a kind, in this order.

The worker and `classify` both go through here; they differ in the adapters only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.workers.encode import encode
from genrestream.workers.features.content import Extraction
from genrestream.workers.fuse import fuse, modalities_present
from genrestream.workers.live import EncoderKey, LiveKind, LiveRelease
from genrestream.workers.observe import Stage, Timer
from genrestream.workers.protocols import Inference


@dataclass(frozen=True, slots=True)
class Scored:
    """What the models say about one item. Legend: l labels, d embedding size."""

    live: LiveKind
    """The snapshot that was asked."""
    extraction: Extraction
    confidences: Mapping[str, NDArray[np.float32]]
    """By task, float32 [l]; no entry for a task whose head listens to nothing that the item has."""
    embeddings: Mapping[EncoderKey, NDArray[np.float32]]
    """By encoder, float32 [d]; zeros where the item lacks the modality."""


async def score(
    extractions: Sequence[Extraction], live: LiveKind, inference: Inference, timer: Timer
) -> list[Scored]:
    """The confidences of every item of a micro-batch for every live task.

    Raises:
        InferenceUnavailable: try the batch again.
        InferenceRejected: one item or several are at fault; a batch of one tells which.
    """
    with timer.stage(Stage.ENCODE):
        embeddings = await encode(inference, live, extractions)
    confidences: list[dict[str, NDArray[np.float32]]] = [{} for _ in extractions]
    with timer.stage(Stage.FUSE):
        for running in live.releases:
            rows = _rows_that_can_be_labelled(running, live, extractions)
            if not rows:
                continue
            chosen = [extractions[row] for row in rows]
            theirs = {key: matrix[rows] for key, matrix in embeddings.items()}
            output = await fuse(inference, running.release, live, chosen, theirs)
            for row, values in zip(rows, output, strict=True):
                confidences[row][running.release.task] = values
    return [
        Scored(live, extraction, found, {key: matrix[row] for key, matrix in embeddings.items()})
        for row, (extraction, found) in enumerate(zip(extractions, confidences, strict=True))
    ]


def _rows_that_can_be_labelled(
    running: LiveRelease, live: LiveKind, extractions: Sequence[Extraction]
) -> list[int]:
    """A head asked about an item without any of its modalities would answer with the prior: a guess."""
    return [
        row
        for row, extraction in enumerate(extractions)
        if modalities_present(running.release, live, extraction)
    ]
