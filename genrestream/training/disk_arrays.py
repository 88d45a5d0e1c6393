"""Arrays and texts that need not fit into memory: in files without a name, which end with the last user.

The kernel brings in what is used and writes out what is not. Large ones lie where `tempfile` puts files;
where that is a file system in memory, TMPDIR names another folder. Legend: n items, t terms.
"""

import json
import os
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import TermRows
from genrestream.workers.features.content import HashedTerms

IN_MEMORY_BYTES = 64 * 1024 * 1024
"""A smaller array is not worth a file."""


def zeros_on_disk(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros to be written over; on the disk from 64 MiB on.

    Raises:
        TrainingError: there is no room for it.
    """
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size_bytes <= IN_MEMORY_BYTES:
        return np.zeros(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            # A page of a file with holes that finds the disk full, when it is written, ends the process.
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            return np.memmap(file, dtype, mode="w+", shape=shape)
    except OSError as error:
        megabytes, where = size_bytes // 1_000_000, tempfile.gettempdir()
        raise TrainingError(
            f"no room for {megabytes:,} MB in {where}: {error.strerror}; TMPDIR names another folder"
        ) from error


class TermsOnDisk:
    """Collects the hashed terms of items, one after the other.

    Raises:
        TrainingError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._lengths = array("q")
        self._ids, self._weights = _nameless(folder), _nameless(folder)

    def append(self, terms: HashedTerms | None) -> None:
        """The terms of the next item; None for one without."""
        self._lengths.append(0 if terms is None else len(terms.ids))
        if terms is None:
            return
        try:
            self._ids.write(terms.ids.astype(np.int32).tobytes())
            self._weights.write(terms.weights.astype(np.float32).tobytes())
        except OSError as error:
            raise TrainingError(f"cannot keep hashed terms: {error.strerror}") from error

    def rows(self, vocabulary_size: int) -> TermRows:
        """All of them, memory-mapped; nothing can be added any more. Raises TrainingError as above."""
        starts = np.concatenate([[0], np.cumsum(np.array(self._lengths, np.int64))]).astype(np.int64)
        count = int(starts[-1])
        return TermRows(
            starts,
            _mapped(self._ids, np.int32, count, "hashed terms"),
            _mapped(self._weights, np.float32, count, "hashed terms"),
            vocabulary_size,
        )


class FieldsOnDisk:
    """Collects some texts of each item, one item after the other.

    Raises:
        TrainingError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._ends = array("q", [0])
        self._file = _nameless(folder)

    def append(self, fields: Sequence[str]) -> None:
        """Those of the next item."""
        data = json.dumps(fields).encode()
        try:
            self._file.write(data)
        except OSError as error:
            raise TrainingError(f"cannot keep texts: {error.strerror}") from error
        self._ends.append(self._ends[-1] + len(data))

    def all(self) -> "Fields":
        """Those of all items; nothing can be added any more. Raises TrainingError as above."""
        return Fields(self._ends, _mapped(self._file, np.uint8, self._ends[-1], "texts"))


class Fields(Sequence[tuple[str, ...]]):
    """Some texts of each item, read from the disk as they are asked for."""

    def __init__(self, ends: Sequence[int], data: NDArray[np.uint8]) -> None:
        """JSON one after the other in `data` uint8; item i from ends[i] to ends[i + 1]."""
        self._ends, self._data = ends, data

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        row = range(len(self))[place]
        return tuple(json.loads(self._data[self._ends[row] : self._ends[row + 1]].tobytes()))


def _nameless(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror}") from error


def _mapped(file: IO[bytes], dtype: DTypeLike, count: int, what: str) -> NDArray[Any]:
    try:
        with file:
            file.flush()
            # An empty file cannot be mapped.
            return np.memmap(file, dtype, mode="r", shape=(count,)) if count else np.zeros(0, dtype)
    except OSError as error:
        raise TrainingError(f"cannot keep {what}: {error.strerror}") from error
