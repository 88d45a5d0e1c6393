"""Features to confidences: encoders and heads for one micro-batch of a kind, in this order.

The worker and `classify` both go through here; they differ in the adapters only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Modality
from genrestream.workers.encode import encode
from genrestream.workers.features.content import Extraction
from genrestream.workers.fuse import fuse, modalities_present
from genrestream.workers.live import EncoderKey, LiveKind
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
    used: Mapping[str, tuple[Modality, ...]]
    """By task, the modalities on which its confidences rest."""
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
    used: list[dict[str, tuple[Modality, ...]]] = [{} for _ in extractions]
    with timer.stage(Stage.FUSE):
        for running in live.releases:
            # A head asked about an item without any of its modalities would answer with the prior: a guess.
            present = modalities_present(running.release, live, extractions)
            rows = [row for row, modalities in enumerate(present) if modalities]
            if not rows:
                continue
            output = await fuse(
                inference,
                running.release,
                live,
                [extractions[row] for row in rows],
                [present[row] for row in rows],
                {key: matrix[rows] for key, matrix in embeddings.items()},
            )
            for row, values in zip(rows, output, strict=True):
                confidences[row][running.release.task] = values
                used[row][running.release.task] = present[row]
    return [
        Scored(live, extraction, found, heard, {key: matrix[row] for key, matrix in embeddings.items()})
        for row, (extraction, found, heard) in enumerate(zip(extractions, confidences, used, strict=True))
    ]
