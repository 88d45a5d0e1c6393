"""An embedding process that dies on one item, as a faulty decoder would."""

import os
from collections.abc import Sequence

from genrestream.schemas import Modality
from genrestream.training.catalogue import Example
from genrestream.training.encode_chunk import Encoded, Task, encode_chunk

DEADLY = "p1"


def encode_or_die(examples: Sequence[Example], wanted: Sequence[frozenset[Modality]], task: Task) -> Encoded:
    """As `encode_chunk`, but the picture of item p1 ends the process."""
    for example, modalities in zip(examples, wanted, strict=True):
        if example.item.id == DEADLY and Modality.IMAGE in modalities:
            os._exit(11)
    return encode_chunk(examples, wanted, task)
