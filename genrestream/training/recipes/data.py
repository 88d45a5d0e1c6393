"""Items to a recipe's input rows: decoded once, kept on disk, and read from there batch by batch.

The kept rows are memory-mapped, so that memory does not grow with the set.
Legend: n items, b batch, m modalities.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genrestream.schemas.features import TextFeatures
from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example
from genrestream.training.embeddings import encoded_chunks, store_name
from genrestream.training.encode_chunk import Task
from genrestream.training.head_rows import MODALITIES
from genrestream.training.recipes.branches import BranchFeatures
from genrestream.training.recipes.raw_features import RawFeatures, raw_features
from genrestream.training.vector_store import VectorStore

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RecipeRows:
    """All items' features."""

    kept: Mapping[Modality, NDArray[Any]]
    """Of each modality, memory-mapped [rows, ...], in the order in which they were first met."""
    places: Mapping[Modality, NDArray[np.int64]]
    """[n]: the row of each item, -1 where it has none."""
    presence: NDArray[np.float32]
    """[n, m], 1.0 or 0.0, in the order of `Modality`."""
    unreadable: int
    """Media that are named and cannot be read."""
    pad_id: int = 0
    """What texts are padded with."""

    def __len__(self) -> int:
        return len(self.presence)

    def batch(self, rows: NDArray[np.int64], device: str) -> dict[Modality, Tensor]:
        """The features of some items [b, ...] as the worker makes them; zeros where an item lacks them.

        Texts end where the longest of the batch does.
        """
        return {modality: self._batch(modality, rows).to(device) for modality in self.kept}

    def _batch(self, modality: Modality, rows: NDArray[np.int64]) -> Tensor:
        places = self.places[modality][rows]
        there = places >= 0
        nothing = self.pad_id if modality is Modality.TEXT else 0
        kept = self.kept[modality]
        found = np.full((len(rows), *kept.shape[1:]), nothing, kept.dtype)
        found[there] = kept[places[there]]
        if modality is Modality.TEXT:
            tokens = int((found != self.pad_id).sum(axis=1).max(initial=1))
            return torch.from_numpy(found[:, :tokens].astype(np.int64))
        return torch.from_numpy(found)


def read_rows(
    examples: Sequence[Example],
    features: Mapping[Modality, BranchFeatures],
    max_text_chars: int,
    files: Path,
    store: Path,
    progress: Progress = lambda done, total: None,
) -> RecipeRows:
    """The rows of `examples`, in order; those that `store` holds are not made again.

    `files` is a folder in which the files beside the features, a tokenizer, are written for the run.

    Raises:
        TrainingError: rows cannot be kept.
    """
    sources = [_source(modality, found, files) for modality, found in features.items()]
    task = Task(tuple(sources), None, max_text_chars)
    found_at: dict[Modality, array[int]] = {modality: array("q") for modality in features}
    done = unreadable = 0
    with ExitStack() as stack:
        stores = {
            source.record.modality: stack.enter_context(
                VectorStore(
                    store / store_name(source, max_text_chars), source.record.embedding_dim, source.dtype
                )
            )
            for source in sources
        }
        for chunk, chunk_hashes, encoded in encoded_chunks(examples, task, stores):
            for modality, (which, vectors) in encoded.vectors.items():
                contents = [content for row in which if (content := chunk_hashes[modality][row])]
                stores[modality].append(contents, vectors)
            for modality, found in chunk_hashes.items():
                found_at[modality].extend(stores[modality].places(found))
            unreadable += encoded.unreadable
            done += len(chunk)
            progress(done, len(examples))
        places = {modality: np.array(found, np.int64) for modality, found in found_at.items()}
        shapes = {source.record.modality: source.shape for source in sources}
        kept = {modality: each.mapped().reshape(-1, *shapes[modality]) for modality, each in stores.items()}
    presence = np.zeros((len(examples), len(MODALITIES)), np.float32)
    for modality, where in places.items():
        presence[:, MODALITIES.index(modality)] = where >= 0
    text = features[Modality.TEXT].features if Modality.TEXT in features else None
    pad_id = text.pad_id if isinstance(text, TextFeatures) else 0
    return RecipeRows(kept, places, presence, unreadable, pad_id)


def _source(modality: Modality, found: BranchFeatures, files: Path) -> RawFeatures:
    folder = files / modality
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.beside.items():
        (folder / name).write_bytes(content)
    return raw_features(found.features, folder)
