"""The picture hash and the recording's content hash of each item; picture hashes are kept on disk."""

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example, content_hash, named_modalities, read_content
from genrestream.training.chunk_pool import CHUNK_DEADLINE_S, CHUNK_ITEMS, through_pool
from genrestream.training.near_duplicates.pictures import HASH_BYTES, picture_hash
from genrestream.training.vector_store import VectorStore
from genrestream.workers.features.errors import MediaError

STORE_NAME = "picture-hashes-1"
"""Another number when anything changes the hashes."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MediaHashes:
    """Of each item."""

    pictures: NDArray[np.uint8]
    """Perceptual hashes uint8 [n, 32]; zeros without a picture that can be read and is not blank."""
    recordings: list[bytes | None]
    """SHA-256 of the file; None without one that can be read."""


def media_hashes(
    examples: Sequence[Example], store: Path, progress: Progress = lambda done, total: None
) -> MediaHashes:
    """The hashes of `examples`, in order.

    Raises:
        TrainingError: hashes cannot be kept.
    """
    pictures: list[bytes | None] = []
    recordings: list[bytes | None] = []
    with VectorStore(store / STORE_NAME, HASH_BYTES) as kept:
        new: dict[bytes, Example] = {}
        for done, example in enumerate(examples, 1):
            content = read_content(example, named_modalities(example.item) - {Modality.TEXT})
            picture = content_hash(content, Modality.IMAGE) if content.image else None
            pictures.append(picture)
            recordings.append(content_hash(content, Modality.AUDIO) if content.audio else None)
            if picture is not None and picture not in kept:
                new[picture] = example
            if done % CHUNK_ITEMS == 0:
                progress(done, len(examples) + len(new))
        contents, chosen = list(new), list(new.values())
        done = 0
        for hashes in _hashed_chunks(chosen):
            # A store's numbers are float32, which hold a byte each exactly.
            known = {place: found for place, found in enumerate(hashes, done) if found is not None}
            if known:
                kept.append([contents[place] for place in known], np.stack(list(known.values())))
            done += len(hashes)
            progress(len(examples) + done, len(examples) + len(new))
        progress(len(examples) + done, len(examples) + done)
        return MediaHashes(kept.gather(pictures).astype(np.uint8), recordings)


_Hashes = list[NDArray[np.uint8] | None]


def hash_chunk(examples: Sequence[Example]) -> _Hashes:
    """The picture hash of each example; None for a picture that cannot be read."""
    return [_hash(example) for example in examples]


def _hash(example: Example) -> NDArray[np.uint8] | None:
    try:
        return picture_hash(read_content(example, frozenset({Modality.IMAGE})).image or b"")
    except MediaError:
        return None


def _hashed_chunks(examples: Sequence[Example]) -> Iterator[_Hashes]:
    """The hashes chunk by chunk, in order."""
    return through_pool(examples, lambda pool, chunk: (chunk, _schedule(pool, chunk)), _finish)


def _schedule(pool: ProcessPool, chunk: Sequence[Example]) -> "ProcessFuture[_Hashes]":
    return pool.schedule(hash_chunk, args=(chunk,), timeout=CHUNK_DEADLINE_S)


def _finish(pool: ProcessPool, pending: "tuple[Sequence[Example], ProcessFuture[_Hashes]]") -> _Hashes:
    chunk, future = pending
    try:
        hashes: _Hashes = future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        # A decoder died, hangs or takes too much memory on one picture: that one has no hash.
        if len(chunk) == 1:
            return [None]
        return [_finish(pool, ([example], _schedule(pool, [example])))[0] for example in chunk]
    return hashes
