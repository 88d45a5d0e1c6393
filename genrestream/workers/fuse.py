"""Embeddings and hashed terms to confidences: the fused head of one task.

Legend: b items of the micro-batch, l labels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Modality, Release
from genrestream.schemas.tensors import (
    CONFIDENCES,
    PRESENCE,
    TERM_IDS,
    TERM_WEIGHTS,
    embedding_input,
)
from genrestream.workers.encode import Embeddings
from genrestream.workers.features.batches import pad_terms
from genrestream.workers.features.content import Extraction, HashedTerms
from genrestream.workers.live import LiveKind
from genrestream.workers.protocols import Array, Inference

NO_TERMS = HashedTerms(np.zeros(0, np.int32), np.zeros(0, np.float32))


def modalities_present(
    release: Release, live: LiveKind, extractions: Sequence[Extraction]
) -> list[tuple[Modality, ...]]:
    """Of each item, the modalities on which the head's labels rest.

    A head that does not know texts read from pictures must not take one for the item's own.
    """
    features = release.features
    specs = {
        Modality.TEXT: (features.text, features.hashed_text),
        Modality.IMAGE: (features.image,),
        Modality.AUDIO: (features.audio,),
    }
    slots = {
        modality: [live.plan.specs.index(spec) for spec in specs[modality] if spec is not None]
        for modality in release.modalities
    }
    return [
        tuple(
            modality
            for modality, among in slots.items()
            if any(extraction.tensors[slot] is not None for slot in among)
            and not (modality is Modality.TEXT and extraction.text_is_read and features.picture_text is None)
        )
        for extraction in extractions
    ]


def head_inputs(
    release: Release,
    live: LiveKind,
    extractions: Sequence[Extraction],
    present: Sequence[Sequence[Modality]],
    embeddings: Embeddings,
) -> dict[str, Array]:
    """The head's input tensors for a micro-batch, by name; `present` is what `modalities_present` gives."""
    inputs: dict[str, Array] = {
        embedding_input(modality): embeddings[reference.model, reference.version]
        for modality, reference in release.encoders.items()
    }
    hashed = release.features.hashed_text
    if hashed is not None:
        slot = live.plan.specs.index(hashed)
        tensors = (extraction.tensors[slot] for extraction in extractions)
        terms = [tensor if isinstance(tensor, HashedTerms) else NO_TERMS for tensor in tensors]
        inputs[TERM_IDS], inputs[TERM_WEIGHTS] = pad_terms(terms, hashed.bucket_terms)
    order = list(Modality)
    tells_read_text = release.features.tells_read_text
    presence = np.zeros((len(extractions), len(order) + tells_read_text), np.float32)
    for row, modalities in enumerate(present):
        for modality in modalities:
            presence[row, order.index(modality)] = 1.0
        if tells_read_text:
            presence[row, -1] = extractions[row].text_is_read
    inputs[PRESENCE] = presence
    return inputs


async def fuse(
    inference: Inference,
    release: Release,
    live: LiveKind,
    extractions: Sequence[Extraction],
    present: Sequence[Sequence[Modality]],
    embeddings: Embeddings,
) -> NDArray[np.float32]:
    """Calibrated confidences float32 [b, l] in the order of the release's labels.

    Raises:
        InferenceUnavailable, InferenceRejected: as the adapter says.
    """
    inputs = head_inputs(release, live, extractions, present, embeddings)
    return await inference.infer(release.model, release.version, inputs, CONFIDENCES)
