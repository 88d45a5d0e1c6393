"""Tensors to embeddings: each modality that an item has goes through its encoder, batched by shape.

Legend: b items of the micro-batch, d embedding size, t tokens.
"""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import EncoderRecord, TextFeatures
from genrestream.schemas.tensors import EMBEDDING, encoder_input
from genrestream.workers.features.batches import bucket_by_length, pad_tokens
from genrestream.workers.features.content import Embedded, Extraction
from genrestream.workers.live import EncoderKey, LiveKind
from genrestream.workers.protocols import Array, Inference

Embeddings = Mapping[EncoderKey, NDArray[np.float32]]
"""Of each encoder float32 [b, d]; zeros where an item lacks the modality."""


async def encode(inference: Inference, live: LiveKind, extractions: Sequence[Extraction]) -> Embeddings:
    """The embeddings of a micro-batch, all encoders at the same time.

    Raises:
        InferenceUnavailable, InferenceRejected: as the adapter says.
    """
    keys = list(live.encoders)
    embeddings = await asyncio.gather(
        *(_encode_with(inference, live.encoders[key], live, extractions) for key in keys)
    )
    return dict(zip(keys, embeddings, strict=True))


async def _encode_with(
    inference: Inference, encoder: EncoderRecord, live: LiveKind, extractions: Sequence[Extraction]
) -> NDArray[np.float32]:
    slot = live.plan.specs.index(encoder.features)
    key = (encoder.model, encoder.version)
    embeddings = np.zeros((len(extractions), encoder.embedding_dim), np.float32)
    present: dict[int, Array] = {}
    first: dict[int, int] = {}
    repeated: dict[int, int] = {}
    for row, extraction in enumerate(extractions):
        tensor = extraction.tensors[slot]
        if isinstance(tensor, Embedded):
            embeddings[row] = tensor.by_encoder[key]
        elif isinstance(tensor, np.ndarray):
            # Equal media of a micro-batch share one tensor (see shared_embeddings.py).
            if (earlier := first.setdefault(id(tensor), row)) == row:
                present[row] = tensor
            else:
                repeated[row] = earlier
    if not present:
        return embeddings
    batches = _batches(encoder, list(present), list(present.values()))
    name = encoder_input(encoder.features).name
    outputs = await asyncio.gather(
        *(inference.infer(encoder.model, encoder.version, {name: batch}, EMBEDDING) for _, batch in batches)
    )
    for (rows, _), output in zip(batches, outputs, strict=True):
        embeddings[rows] = output
    for row, earlier in repeated.items():
        embeddings[row] = embeddings[earlier]
    return embeddings


def _batches(
    encoder: EncoderRecord, rows: list[int], arrays: Sequence[Array]
) -> list[tuple[list[int], Array]]:
    """Rows and their batch, all of one shape. Texts of unlike length would pay for each other's padding."""
    if not isinstance(encoder.features, TextFeatures):
        return [(rows, np.stack(arrays))]
    buckets = bucket_by_length([len(array) for array in arrays], encoder.features.bucket_tokens)
    return [
        (
            [rows[index] for index in indices],
            pad_tokens([arrays[index] for index in indices], length, encoder.features.pad_id),
        )
        for length, indices in buckets.items()
    ]
