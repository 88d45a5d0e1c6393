"""The picture hash and the recording's content hash of each item; picture hashes are kept on disk.

Legend: n items.
"""

import concurrent.futures
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example
from genrestream.training.chunk_pool import CHUNK_DEADLINE_S, through_pool
from genrestream.training.contents import content_hash, named_modalities, read_content
from genrestream.training.near_duplicates.pictures import HASH_BYTES, picture_hash
from genrestream.training.vector_store import StoredRows, VectorStore
from genrestream.workers.features.errors import MediaError

STORE_NAME = "picture-hashes-2"
"""Another number when anything changes the hashes."""
DIGEST_BYTES = 32
"""Of SHA-256."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MediaHashes:
    """Of each item."""

    pictures: NDArray[np.uint8]
    """Perceptual hashes uint8 [n, 32]; zeros without a picture that can be read and is not blank."""
    recordings: NDArray[np.uint8]
    """SHA-256 of the file, uint8 [n, 32]; zeros without one that can be read."""


def media_hashes(
    examples: Sequence[Example], store: Path, progress: Progress = lambda done, total: None
) -> MediaHashes:
    """The hashes of `examples`, in order.

    Raises:
        TrainingError: hashes cannot be kept.
    """
    places = array("q")
    recordings = np.zeros((len(examples), DIGEST_BYTES), np.uint8)
    with VectorStore(store / STORE_NAME, HASH_BYTES, np.uint8) as kept:

        def schedule(pool: ProcessPool, chunk: Sequence[int]) -> _Pending:
            return _schedule(pool, [examples[row] for row in chunk], kept)

        for pending, hashes in through_pool(range(len(examples)), schedule, _finish):
            known = {
                content: found
                for content, found in zip(pending.new, hashes, strict=True)
                if found is not None
            }
            if known:
                kept.append(list(known), np.stack(list(known.values())))
            for row, digest in enumerate(pending.recordings, len(places)):
                if digest is not None:
                    recordings[row] = np.frombuffer(digest, np.uint8)
            places.extend(kept.places(pending.pictures))
            progress(len(places), len(examples))
        rows = StoredRows(kept.mapped(), np.array(places, np.int64))
        return MediaHashes(rows[np.arange(len(examples))], recordings)


_Hashes = list[NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A chunk whose new pictures are being hashed."""

    pictures: list[bytes | None]
    """Content hashes, as are all of these."""
    recordings: list[bytes | None]
    new: dict[bytes, Example]
    """The pictures that are not kept yet, each once, and an item that has it."""
    future: "ProcessFuture[_Hashes] | None"
    """None without any that is new."""


def hash_chunk(examples: Sequence[Example]) -> _Hashes:
    """The picture hash of each example; None for a picture that cannot be read."""
    return [_hash(example) for example in examples]


def _hash(example: Example) -> NDArray[np.uint8] | None:
    try:
        return picture_hash(read_content(example, frozenset({Modality.IMAGE})).image or b"")
    except MediaError:
        return None


def _schedule(pool: ProcessPool, chunk: Sequence[Example], kept: VectorStore) -> _Pending:
    pictures: list[bytes | None] = []
    recordings: list[bytes | None] = []
    new: dict[bytes, Example] = {}
    for example in chunk:
        content = read_content(example, named_modalities(example.item) - {Modality.TEXT})
        picture = content_hash(content, Modality.IMAGE) if content.image else None
        pictures.append(picture)
        recordings.append(content_hash(content, Modality.AUDIO) if content.audio else None)
        if picture is not None and picture not in kept:
            new[picture] = example
    return _Pending(pictures, recordings, new, _start(pool, list(new.values())) if new else None)


def _start(pool: ProcessPool, examples: Sequence[Example]) -> "ProcessFuture[_Hashes]":
    return pool.schedule(hash_chunk, args=(examples,), timeout=CHUNK_DEADLINE_S)


def _finish(pool: ProcessPool, pending: _Pending) -> tuple[_Pending, _Hashes]:
    if pending.future is None:
        return pending, []
    return pending, _result(pool, list(pending.new.values()), pending.future)


def _result(pool: ProcessPool, examples: Sequence[Example], future: "ProcessFuture[_Hashes]") -> _Hashes:
    try:
        hashes: _Hashes = future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        # A decoder died, hangs or takes too much memory on one picture: that one has no hash.
        if len(examples) == 1:
            return [None]
        return [_result(pool, [example], _start(pool, [example]))[0] for example in examples]
    return hashes
