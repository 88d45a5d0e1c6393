"""Tensors of the Triton models: names, data types and shapes, the same from schema to graph.

Legend: h height, w width, t tokens, p patches, f frames, m mel bands, n hashed terms, d embedding size,
l labels. Shapes are without the batch dimension; -1 varies from request to request.
"""

from dataclasses import dataclass
from typing import Literal

from genrestream.schemas.features import AudioFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality

DataType = Literal["UINT8", "INT32", "INT64", "FP32"]

IMAGE = "image"
TOKEN_IDS = "token_ids"  # noqa: S105 - a tensor's name
MEL_PATCHES = "mel_patches"
EMBEDDING = "embedding"
TERM_IDS = "term_ids"
TERM_WEIGHTS = "term_weights"
PRESENCE = "presence"
CONFIDENCES = "confidences"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model."""

    name: str
    dtype: DataType
    shape: tuple[int, ...]


def embedding_input(modality: Modality) -> str:
    """The name of a head's input for a modality's embedding: `text_embedding`, and so on."""
    return f"{modality}_embedding"


def encoder_input(features: ImageFeatures | TextFeatures | AudioFeatures) -> Tensor:
    """What an encoder takes for its features."""
    match features:
        case ImageFeatures():
            return Tensor(IMAGE, "UINT8", (features.height_px, features.width_px, 3))
        case TextFeatures():
            return Tensor(TOKEN_IDS, "INT64", (-1,))
        case AudioFeatures():
            shape = (features.patches, features.patch_frames, features.mel_bands)
            return Tensor(MEL_PATCHES, "FP32", shape)


def encoder_output(embedding_dim: int) -> Tensor:
    """What an encoder gives."""
    return Tensor(EMBEDDING, "FP32", (embedding_dim,))


def head_inputs(
    embedding_dims: dict[Modality, int], *, hashed_text: bool, picture_text: bool = False
) -> tuple[Tensor, ...]:
    """What a fused head takes: an embedding a modality it knows, hashed terms, the presence mask.

    `presence` holds 1.0 or 0.0 for text, image and audio, in the order of `Modality`; an absent
    modality's embedding is zeros and its terms are padding. With `picture_text` a fourth says whether the
    text was read from the picture.
    """
    embeddings = [
        Tensor(embedding_input(modality), "FP32", (embedding_dims[modality],))
        for modality in Modality
        if modality in embedding_dims
    ]
    terms = [Tensor(TERM_IDS, "INT32", (-1,)), Tensor(TERM_WEIGHTS, "FP32", (-1,))] if hashed_text else []
    return (*embeddings, *terms, Tensor(PRESENCE, "FP32", (len(Modality) + picture_text,)))


def head_output(labels: int) -> Tensor:
    """What a fused head gives: calibrated probabilities in the order of the release's labels."""
    return Tensor(CONFIDENCES, "FP32", (labels,))
