"""Contents on which encoders are calibrated and checked, and the features of those contents."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from genrestream.schemas import AudioFeatures, ImageFeatures, Kind, TextFeatures, item_model
from genrestream.schemas.items import text_fields_of
from genrestream.training.encoders.draft import EncoderError, Progress
from genrestream.workers.features.batches import pad_tokens, padded_length
from genrestream.workers.features.content import Content, FeaturePlan
from genrestream.workers.features.extract import extract

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
RECORDING_SUFFIXES = {".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a"}
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES_SEEN = 200_000
"""Files looked at in a folder; more is not a folder of examples."""
MAX_TEXTS = 2_000

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Examples:
    """Files and texts; what cannot be read as its kind is left out when features are made."""

    pictures: tuple[Path, ...] = ()
    recordings: tuple[Path, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    """The text fields of an item each."""


def find_examples(folder: Path) -> Examples:
    """All pictures and recordings below the folder, and the texts of the catalogue sets in it.

    Raises:
        EncoderError: there is no such folder, or it holds more than 200,000 files.
    """
    if not folder.is_dir():
        raise EncoderError(f"no folder at {folder}")
    files = []
    for path in folder.rglob("*"):
        if path.is_file():
            files.append(path)
        if len(files) > MAX_FILES_SEEN:
            raise EncoderError(f"{folder} holds more than {MAX_FILES_SEEN} files: name a smaller folder")
    files.sort()
    return Examples(
        pictures=tuple(path for path in files if path.suffix.lower() in PICTURE_SUFFIXES),
        recordings=tuple(path for path in files if path.suffix.lower() in RECORDING_SUFFIXES),
        texts=tuple(text for path in files if path.name == "items.jsonl" for text in _texts(path)),
    )


def _texts(path: Path) -> list[tuple[str, ...]]:
    texts: list[tuple[str, ...]] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if len(texts) >= MAX_TEXTS:
                break
            try:
                record = json.loads(line)
                record.pop("labels", None)
                item = item_model(Kind(record["kind"])).model_validate(record)
            except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
                raise EncoderError(f"{path}:{number} is no catalogue item") from error
            if fields := text_fields_of(item):
                texts.append(fields)
    return texts


def spread(values: Sequence[_Value], count: int) -> list[_Value]:
    """At most `count` of the values, evenly spread over them, in order."""
    if len(values) <= count:
        return list(values)
    return [values[index * len(values) // count] for index in range(count)]


def picture_batch(
    paths: Sequence[Path], spec: ImageFeatures, count: int, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Up to `count` of the pictures as uint8 [b, h, w, 3]."""
    batch = _media_batch(paths, spec, count, progress)
    return batch.astype(np.uint8, copy=False)


def recording_batch(
    paths: Sequence[Path], spec: AudioFeatures, count: int, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Up to `count` of the recordings as float32 [b, p, f, m]."""
    batch = _media_batch(paths, spec, count, progress)
    return batch.astype(np.float32, copy=False)


def _media_batch(
    paths: Sequence[Path], spec: ImageFeatures | AudioFeatures, count: int, progress: Progress | None
) -> NDArray[np.generic]:
    """Features of files, b first.

    Raises:
        EncoderError: none of the files can be read.
    """
    plan = FeaturePlan(specs=(spec,), tokenizers={})
    chosen = spread([path for path in paths if path.stat().st_size <= MAX_FILE_BYTES], count)
    tensors = []
    for done, path in enumerate(chosen, start=1):
        data = path.read_bytes()
        image = spec.modality == "image"
        content = Content(text=(), image=data if image else None, audio=None if image else data)
        tensor = extract(content, plan).tensors[0]
        if isinstance(tensor, np.ndarray):
            tensors.append(tensor)
        if progress:
            progress(f"read {spec.modality} examples", done, len(chosen))
    if not tensors:
        raise EncoderError(
            f"no {spec.modality} to check the encoder with: none of {len(chosen)} files is readable"
        )
    return np.stack(tensors)


def text_batch(texts: Sequence[tuple[str, ...]], spec: TextFeatures, tokenizer: Path) -> NDArray[np.int64]:
    """The texts as int64 [b, t], padded to the longest."""
    plan = FeaturePlan(specs=(spec,), tokenizers={spec.tokenizer_sha256: str(tokenizer)})
    tensors = [extract(Content(text=text), plan).tensors[0] for text in texts]
    ids = [tensor for tensor in tensors if isinstance(tensor, np.ndarray)]
    return pad_tokens(ids, padded_length(max(map(len, ids)), spec.bucket_tokens), spec.pad_id)
