"""Features as they are, in the place of an encoder: what a recipe's encoders are trained on.

The embedding pool makes and keeps them as it does embeddings. Imports no torch, so that its processes start
in a moment.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from genrestream.schemas.features import AudioFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import EncoderRecord
from genrestream.schemas.tensors import encoder_input
from genrestream.training.encode_chunk import Encoder
from genrestream.workers.features.batches import pad_tokens


@dataclass(frozen=True, slots=True)
class RawFeatures(Encoder):
    """Gives the feature tensors, flat: uint8 of pictures, int32 of texts, float32 of recordings."""

    @property
    def dtype(self) -> DTypeLike:
        """Of what is kept."""
        match self.record.features:
            case ImageFeatures():
                return np.uint8
            case TextFeatures():
                return np.int32
            case AudioFeatures():
                return np.float32

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item's tensor; a text's is padded to its most tokens."""
        features = self.record.features
        return (features.max_tokens,) if isinstance(features, TextFeatures) else encoder_input(features).shape

    def encode(self, tensors: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The tensors, flat [n, size]."""
        features = self.record.features
        rows = (
            pad_tokens(tensors, features.max_tokens, features.pad_id)
            if isinstance(features, TextFeatures)
            else np.stack(tensors).reshape(len(tensors), -1)
        )
        return rows.astype(self.dtype, copy=False)


def raw_features(features: ImageFeatures | TextFeatures | AudioFeatures, directory: Path) -> RawFeatures:
    """What gives these features; `directory` holds the tokenizer, where they name one."""
    size = (
        features.max_tokens
        if isinstance(features, TextFeatures)
        else math.prod(encoder_input(features).shape)
    )
    record = EncoderRecord(
        model=f"{features.modality}-features",
        version=1,
        modality=Modality(features.modality),
        features=features,
        embedding_dim=size,
        source="the features themselves",
        licence="",
        checksums={},
        created_at=datetime.now(UTC),
    )
    return RawFeatures(record, directory)
