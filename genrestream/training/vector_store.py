"""Embeddings kept on disk by content hash, so that each is computed once; append-only and memory-mapped.

A folder an encoder's version and features. `hashes.bin` holds 32 bytes a row, `vectors.bin` the rows in
one type, as a rule float32. Vectors are written first: what a kill leaves half-written is cut off when the
store is opened.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from genrestream.training.errors import TrainingError

HASH_BYTES = 32


class VectorStore:
    """The vectors of one encoder, [d] each of one `dtype`; one process at a time writes, others wait.

    Raises:
        TrainingError: the folder cannot be written.
    """

    def __init__(self, directory: Path, dimensions: int, dtype: DTypeLike = np.float32) -> None:
        self._dtype = np.dtype(dtype)
        self._row_bytes = self._dtype.itemsize * dimensions
        self._dimensions = dimensions
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = (directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._hashes = (directory / "hashes.bin").open("a+b")
            self._vectors = (directory / "vectors.bin").open("a+b")
            self._vectors_path = directory / "vectors.bin"
            count = min(_size(self._hashes) // HASH_BYTES, _size(self._vectors) // self._row_bytes)
            self._hashes.truncate(count * HASH_BYTES)
            self._vectors.truncate(count * self._row_bytes)
            self._hashes.seek(0)
            hashes = self._hashes.read()
        except OSError as error:
            raise TrainingError(f"cannot open the embeddings in {directory}: {error.strerror}") from error
        self._rows = {hashes[i * HASH_BYTES : (i + 1) * HASH_BYTES]: i for i in range(count)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._vectors, self._hashes, self._lock):
            file.close()

    def __contains__(self, content: bytes) -> bool:
        return content in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, hashes: Iterable[bytes], vectors: NDArray[Any]) -> None:
        """Add `vectors` [n, d] under their content hashes; those that are there already are left out.

        Raises:
            TrainingError: the disk is full, or the file cannot be written.
        """
        new = {content: row for row, content in enumerate(hashes) if content not in self._rows}
        if not new:
            return
        try:
            self._vectors.write(np.ascontiguousarray(vectors[list(new.values())], self._dtype).tobytes())
            self._vectors.flush()
            os.fdatasync(self._vectors.fileno())
            self._hashes.write(b"".join(new))
            self._hashes.flush()
        except OSError as error:
            raise TrainingError(f"cannot keep embeddings: {error.strerror}") from error
        for content in new:
            self._rows[content] = len(self._rows)

    def gather(self, hashes: Sequence[bytes | None]) -> NDArray[Any]:
        """The vectors [n, d] for content hashes; zeros where there is None or nothing kept."""
        result = np.zeros((len(hashes), self._dimensions), self._dtype)
        kept = self.mapped()
        for row, place in enumerate(self.places(hashes)):
            if place >= 0:
                result[row] = kept[place]
        return result

    def places(self, hashes: Sequence[bytes | None]) -> NDArray[np.int64]:
        """The row of each content in `mapped`, int64 [n]; -1 where there is None or nothing kept."""
        return np.array([-1 if key is None else self._rows.get(key, -1) for key in hashes], np.int64)

    def mapped(self) -> NDArray[Any]:
        """All vectors [rows, d], read from the disk as they are used; stays readable once this is closed."""
        if not self._rows:
            return np.zeros((0, self._dimensions), self._dtype)
        return np.memmap(self._vectors_path, self._dtype, mode="r", shape=(len(self._rows), self._dimensions))


def _size(file: object) -> int:
    return os.fstat(file.fileno()).st_size  # type: ignore[attr-defined]
