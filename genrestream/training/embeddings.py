"""Items to what heads are trained on: each content is encoded once, in parallel, and kept on disk.

A run that was stopped goes on where it was: what is kept is not computed again.
"""

import concurrent.futures
import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from genrestream.schemas.features import HashedTextFeatures
from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example
from genrestream.training.chunk_pool import CHUNK_DEADLINE_S, through_pool
from genrestream.training.contents import content_hash, named_modalities, read_content
from genrestream.training.disk_arrays import TermsOnDisk
from genrestream.training.encode_chunk import Encoded, Encoder, Task, encode_chunk
from genrestream.training.head_rows import MODALITIES, HeadRows
from genrestream.training.vector_store import StoredRows, VectorStore
from genrestream.workers.features.content import HashedTerms

_MADE = "one by one"
"""Names what `run_encoder` does with items: embeddings that were made otherwise are not used."""

Progress = Callable[[int, int], None]
"""Called with items done and items in all."""


@dataclass(frozen=True, slots=True)
class EmbeddedItems:
    """The rows of all items, and what it took."""

    rows: HeadRows
    computed: int
    """Embeddings that were not kept already."""
    unreadable: int
    """Media that are named and cannot be read; their items are trained without them."""


def embed(
    examples: Sequence[Example],
    encoders: Sequence[Encoder],
    hashed: HashedTextFeatures | None,
    max_text_chars: int,
    store: Path,
    progress: Progress = lambda done, total: None,
) -> EmbeddedItems:
    """The rows of `examples`, in order, from kept and new embeddings and newly hashed terms.

    Raises:
        TrainingError: embeddings cannot be kept.
        FeatureSetupError, RepositoryError: an encoder's tokenizer or graph is damaged.
    """
    task = Task(tuple(encoders), hashed, max_text_chars)
    terms = TermsOnDisk(store) if hashed is not None else None
    places: dict[Modality, array[int]] = {encoder.record.modality: array("q") for encoder in encoders}
    has_terms = np.zeros(len(examples), np.bool_)
    done = computed = unreadable = 0
    with ExitStack() as stack:
        stores = {
            encoder.record.modality: stack.enter_context(open_store(store, encoder, max_text_chars))
            for encoder in encoders
        }
        for chunk, hashes, encoded in encoded_chunks(examples, task, stores):
            for modality, (which, vectors) in encoded.vectors.items():
                contents = [content for row in which if (content := hashes[modality][row])]
                stores[modality].append(contents, vectors)
                computed += len(which)
            for modality, found in hashes.items():
                places[modality].extend(stores[modality].places(found))
            if terms is not None:
                for row, each in enumerate(encoded.terms, done):
                    terms.append(each)
                    has_terms[row] = each is not None
            unreadable += encoded.unreadable
            done += len(chunk)
            progress(done, len(examples))
        embeddings = {
            modality: StoredRows(stores[modality].mapped(), np.array(where, np.int64))
            for modality, where in places.items()
        }
    presence = np.zeros((len(examples), len(MODALITIES)), np.float32)
    for modality, where in places.items():
        presence[:, MODALITIES.index(modality)] = np.array(where) >= 0
    text = MODALITIES.index(Modality.TEXT)
    presence[:, text] = np.maximum(presence[:, text], has_terms)
    kept = terms.rows(hashed.vocabulary_size) if terms is not None and hashed is not None else None
    views = {encoder.record.modality: encoder.record.views for encoder in encoders if encoder.record.views}
    return EmbeddedItems(HeadRows(embeddings, kept, presence, views=views), computed, unreadable)


def open_store(store: Path, encoder: Encoder, max_text_chars: int) -> VectorStore:
    """Where an encoder's embeddings are kept; raises TrainingError when it cannot be opened."""
    return VectorStore(store / store_name(encoder, max_text_chars), encoder.record.embedding_dim)


def store_name(encoder: Encoder, max_text_chars: int) -> str:
    """A name that changes with anything that changes the embeddings."""
    record = encoder.record
    parts = (record.features.model_dump_json(), sorted(record.checksums.items()), max_text_chars, _MADE)
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    return f"{record.model}-{record.version}-{digest[:16]}"


_Chunk = tuple[Sequence[Example], dict[Modality, list[bytes | None]], Encoded]


def encoded_chunks(
    examples: Sequence[Example], task: Task, stores: dict[Modality, VectorStore]
) -> Iterator[_Chunk]:
    """The chunks in order, each with the content hashes of its items and what is new about them."""
    return through_pool(
        examples,
        lambda pool, chunk: _schedule(pool, chunk, task, stores),
        lambda pool, pending: _finish(pool, pending, task),
    )


@dataclass(frozen=True, slots=True)
class _Pending:
    examples: Sequence[Example]
    hashes: dict[Modality, list[bytes | None]]
    wanted: list[frozenset[Modality]]
    future: "ProcessFuture[Encoded]"


def _schedule(
    pool: ProcessPool, examples: Sequence[Example], task: Task, stores: dict[Modality, VectorStore]
) -> _Pending:
    hashes: dict[Modality, list[bytes | None]] = {modality: [] for modality in stores}
    wanted: list[frozenset[Modality]] = []
    for example in examples:
        named = named_modalities(example.item)
        heard = frozenset(named & stores.keys())
        content = read_content(example, heard)
        found = {modality: content_hash(content, modality) for modality in heard}
        for modality in stores:
            hashes[modality].append(found.get(modality))
        wanted.append(frozenset(modality for modality in found if found[modality] not in stores[modality]))
    future = pool.schedule(encode_chunk, args=(examples, wanted, task), timeout=CHUNK_DEADLINE_S)
    return _Pending(examples, hashes, wanted, future)


def _finish(pool: ProcessPool, pending: _Pending, task: Task) -> _Chunk:
    try:
        encoded: Encoded = pending.future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        # A decoder died, hangs or takes too much memory on one item; find it, and train it without its media.
        encoded = _one_by_one(pool, pending, task)
    return pending.examples, pending.hashes, encoded


def _one_by_one(pool: ProcessPool, pending: _Pending, task: Task) -> Encoded:
    """Each item by itself, and where that fails each of its modalities: the one that kills is left out."""
    vectors: dict[Modality, tuple[list[int], list[NDArray[Any]]]] = {}
    terms: list[HashedTerms | None] = []
    unreadable = 0
    for row, (example, modalities) in enumerate(zip(pending.examples, pending.wanted, strict=True)):
        whole = _try(pool, example, modalities, task)
        apart = [frozenset({modality}) for modality in modalities] + [frozenset()]
        tries = [whole] if whole else [_try(pool, example, asked, task) for asked in apart]
        found = [encoded for encoded in tries if encoded]
        for encoded in found:
            for modality, (_, vector) in encoded.vectors.items():
                rows, kept = vectors.setdefault(modality, ([], []))
                rows.append(row)
                kept.append(vector)
        terms.append(found[-1].terms[0] if found else None)
        unreadable += sum(encoded.unreadable for encoded in found) + len(tries) - len(found)
    joined = {modality: (rows, np.concatenate(kept)) for modality, (rows, kept) in vectors.items()}
    return Encoded(joined, terms, unreadable)


def _try(pool: ProcessPool, example: Example, modalities: frozenset[Modality], task: Task) -> Encoded | None:
    """One item by itself; None if its process died, did not answer in time or ran out of memory."""
    arguments = ([example], [modalities], task)
    future = pool.schedule(encode_chunk, args=arguments, timeout=CHUNK_DEADLINE_S)
    try:
        encoded: Encoded = future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        return None
    return encoded
