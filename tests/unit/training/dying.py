"""Processes that die on one item, as with a faulty decoder, or fail."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Modality
from genrestream.training.catalogue import Example
from genrestream.training.encode_chunk import Encoded, Task, encode_chunk
from genrestream.training.near_duplicates.media_hashes import hash_chunk

DEADLY = "p1"


def encode_or_die(examples: Sequence[Example], wanted: Sequence[frozenset[Modality]], task: Task) -> Encoded:
    """As `encode_chunk`, but the picture of item p1 ends the process."""
    for example, modalities in zip(examples, wanted, strict=True):
        if example.item.id == DEADLY and Modality.IMAGE in modalities:
            os._exit(11)
    return encode_chunk(examples, wanted, task)


def hash_or_die(examples: Sequence[Example]) -> list[NDArray[np.uint8] | None]:
    """As `hash_chunk`, but the picture of item p1 ends the process."""
    if any(example.item.id == DEADLY for example in examples):
        os._exit(11)
    return hash_chunk(examples)


def refuse_to_hash(examples: Sequence[Example]) -> list[NDArray[np.uint8] | None]:
    """Fail, as nothing should be asked for."""
    raise RuntimeError(f"asked for {len(examples)} hashes")
