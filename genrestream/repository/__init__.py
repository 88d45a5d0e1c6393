"""The Triton model repository on disk: layout, records, checksums, atomic versions, the live pointer.

Triton serves the folder as it is; workers and training read the records that lie beside the graphs. `Graph`,
which runs one, is imported by its module's name: a worker does without ONNX Runtime, and is back sooner.
"""

from genrestream.repository.atomic import write_atomically
from genrestream.repository.choices import Candidate, HeadChoice
from genrestream.repository.config import encoder_config, head_config
from genrestream.repository.errors import GraphInputError, RepositoryError
from genrestream.repository.layout import (
    CONFIG,
    ENCODER_RECORD,
    GOLDEN,
    GRAPH,
    LIVE_POINTER,
    RELEASE_RECORD,
    TOKENIZER,
)
from genrestream.repository.live import LivePointer
from genrestream.repository.repository import Repository
from genrestream.repository.versions import add_candidate, add_version

__all__ = [
    "CONFIG",
    "ENCODER_RECORD",
    "GOLDEN",
    "GRAPH",
    "LIVE_POINTER",
    "RELEASE_RECORD",
    "TOKENIZER",
    "Candidate",
    "GraphInputError",
    "HeadChoice",
    "LivePointer",
    "Repository",
    "RepositoryError",
    "add_candidate",
    "add_version",
    "encoder_config",
    "head_config",
    "write_atomically",
]
