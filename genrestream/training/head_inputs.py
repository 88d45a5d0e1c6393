"""All of an item that a head learns from: what it holds, and what its picture says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrestream.schemas.features import FeatureSpec
from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example
from genrestream.training.embeddings import embed
from genrestream.training.encode_chunk import Encoder
from genrestream.training.head_rows import HeadRows
from genrestream.training.picture_texts import ReadExamples, read_picture_texts
from genrestream.training.request import Progress


@dataclass(frozen=True, slots=True)
class HeadInputs:
    """The rows, and what it took."""

    rows: HeadRows
    unreadable: int
    """Media that are named and cannot be read; their items are trained without them."""
    picture_text_ms: float | None = None
    """What it costs one core to read a picture; None for a head that knows no such texts."""


def head_inputs_of(
    examples: Sequence[Example],
    encoders: Sequence[Encoder],
    features: FeatureSpec,
    store: Path,
    progress: Progress = lambda step, done, total: None,
) -> HeadInputs:
    """The rows of `examples`, in order.

    Raises:
        TrainingError: embeddings or texts cannot be kept.
        FeatureSetupError, RepositoryError: an encoder's tokenizer or graph is damaged.
    """

    def embedded(some: Sequence[Example], by: Sequence[Encoder], step: str) -> tuple[HeadRows, int]:
        found = embed(
            some,
            by,
            features.hashed_text,
            features.max_text_chars,
            store,
            lambda done, total: progress(step, done, total),
        )
        return found.rows, found.unreadable

    reading = features.picture_text
    if reading is None:
        return HeadInputs(*embedded(examples, encoders, "features and embeddings"))
    texts = read_picture_texts(
        examples, reading, store, lambda done, total: progress("reading pictures", done, total)
    )
    read_examples = ReadExamples(examples, texts)
    if reading.when == "always":
        return HeadInputs(*embedded(read_examples, encoders, "features and embeddings"), texts.ms)
    rows, unreadable = embedded(examples, encoders, "features and embeddings")
    of_text = [encoder for encoder in encoders if encoder.record.modality is Modality.TEXT]
    read, _ = embedded(read_examples, of_text, "embeddings of what was read")
    return HeadInputs(_joined(rows, read), unreadable, texts.ms)


def _joined(rows: HeadRows, read: HeadRows) -> HeadRows:
    """The rows with a fourth column of presence, and beside them those whose text was read."""
    text, rest = read.presence[:, :1], rows.presence[:, 1:]
    presence = np.concatenate([text, rest * text, text], axis=1)
    embeddings = {**rows.embeddings, **read.embeddings}
    nothing = np.zeros((len(rows), 1), np.float32)
    return HeadRows(
        rows.embeddings,
        rows.terms,
        np.concatenate([rows.presence, nothing], axis=1),
        HeadRows(embeddings, read.terms, presence),
        rows.views,
    )
