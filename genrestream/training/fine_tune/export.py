"""A tuned encoder as a draft for the model repository, by the way of all: ONNX, eight bits, checks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import text_fields_of
from genrestream.training.catalogue import Example
from genrestream.training.encoders.draft import Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples, spread
from genrestream.training.encoders.patches import PatchEncoder, build_patch_encoder
from genrestream.training.encoders.pictures import EXAMPLE_PICTURES, PictureEncoder, draft_picture_encoder
from genrestream.training.encoders.sentences import CHECKED_TEXTS, SentenceEncoder, build_sentence_encoder
from genrestream.training.fine_tune.base import Base
from genrestream.training.fine_tune.items import TuneItems

CHECKED_RECORDINGS = 24
MIN_FOUND_AGAIN = 0.05
"""Instead of the bound for encoders that know nothing of labels: a tuned one may bring items of one label
together. One that says the same of everything finds the 1 of 24 items that comes first."""


def draft_of(
    base: Base, model: str, source: str, items: TuneItems, examples: Sequence[Example], progress: Progress
) -> Draft:
    """The encoder of `base` with the weights that it has now, calibrated and checked on training items.

    Raises:
        EncoderError: it is no encoder of the features that it states. Failed checks are in the draft.
    """
    encoder = base.encoder.cpu().requires_grad_(requires_grad=False)
    licence = f"{base.licence}; and that of its training items"
    features = base.features
    if isinstance(encoder, SentenceEncoder) and isinstance(features, TextFeatures):
        texts = tuple(text_fields_of(examples[row].item) for row in _some(items, CHECKED_TEXTS))
        return build_sentence_encoder(
            encoder,
            base.tokenizer,
            model,
            features.max_tokens,
            source,
            licence,
            Examples(texts=texts),
            progress,
            min_found_again=MIN_FOUND_AGAIN,
        )
    if isinstance(encoder, PictureEncoder) and isinstance(features, ImageFeatures):
        pictures = _features(items, EXAMPLE_PICTURES).astype(np.uint8, copy=False)
        return draft_picture_encoder(
            encoder, model, features, source, licence, pictures, progress, MIN_FOUND_AGAIN
        )
    if isinstance(encoder, PatchEncoder) and isinstance(features, AudioFeatures):
        patches = _features(items, CHECKED_RECORDINGS).astype(np.float32, copy=False)
        return build_patch_encoder(
            encoder, model, features, source, licence, patches, min_found_again=MIN_FOUND_AGAIN
        )
    raise EncoderError(f"{base.model} is no encoder of the features that it states: {features.modality}")


def _features(items: TuneItems, count: int) -> NDArray[np.generic]:
    """Feature tensors [b, ...] of some training items."""
    rows = np.array(_some(items, count), np.int64)
    tensors: NDArray[np.generic] = items.rows.batch(rows, "cpu")[items.modality].numpy()
    return tensors


def _some(items: TuneItems, count: int) -> list[int]:
    """At most so many of the training items, evenly spread."""
    return spread(items.train.tolist(), count)
