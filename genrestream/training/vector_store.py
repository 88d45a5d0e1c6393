"""Embeddings kept on disk by content hash, so that each is computed once; append-only and memory-mapped.

A folder an encoder's version and features: `vectors.bin` holds the rows in one type, as a rule float32, and
`rows.sqlite` says which row is whose, so that neither has to fit into memory. Vectors are written first: what
a kill leaves without an entry is cut off when the store is opened. Legend: n items, d dimensions.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from genrestream.training.errors import TrainingError

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 4_096

_TABLE = "CREATE TABLE IF NOT EXISTS rows (content BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"


class VectorStore:
    """The vectors of one encoder, [d] each of one `dtype`; one process at a time writes, others wait.

    Raises:
        TrainingError: the folder cannot be written, or its index is damaged.
    """

    def __init__(self, directory: Path, dimensions: int, dtype: DTypeLike = np.float32) -> None:
        self._dtype = np.dtype(dtype)
        self._row_bytes = self._dtype.itemsize * dimensions
        self._dimensions = dimensions
        self._vectors_path = directory / "vectors.bin"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = (directory / "lock").open("w")
            _wait_for(self._lock, directory)
            self._vectors = self._vectors_path.open("a+b")
            self._index = sqlite3.connect(directory / "rows.sqlite", isolation_level=None)
            # One sync a checkpoint instead of one a chunk; a power cut costs the last rows, never the order.
            self._index.execute("PRAGMA journal_mode = WAL")
            self._index.execute("PRAGMA synchronous = NORMAL")
            self._index.execute(_TABLE)
            (known,) = self._index.execute("SELECT count(*) FROM rows").fetchone()
            self._count: int = min(known, os.fstat(self._vectors.fileno()).st_size // self._row_bytes)
            self._index.execute("DELETE FROM rows WHERE row >= ?", (self._count,))
            self._vectors.truncate(self._count * self._row_bytes)
        except OSError as error:
            raise TrainingError(f"cannot open the embeddings in {directory}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise TrainingError(f"cannot open the embeddings in {directory}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()
        for file in (self._vectors, self._lock):
            file.close()

    def __contains__(self, content: bytes) -> bool:
        return self._row(content) >= 0

    def __len__(self) -> int:
        return self._count

    def append(self, hashes: Iterable[bytes], vectors: NDArray[Any]) -> None:
        """Add `vectors` [n, d] under their content hashes; those that are there already are left out.

        Raises:
            TrainingError: the disk is full, or the files cannot be written.
        """
        new = {content: place for place, content in enumerate(hashes) if content not in self}
        if not new:
            return
        try:
            self._vectors.write(np.ascontiguousarray(vectors[list(new.values())], self._dtype).tobytes())
            self._vectors.flush()
            os.fdatasync(self._vectors.fileno())
            self._index.execute("BEGIN")
            rows = ((content, self._count + place) for place, content in enumerate(new))
            self._index.executemany("INSERT INTO rows VALUES (?, ?)", rows)
            self._index.execute("COMMIT")
        except OSError as error:
            raise TrainingError(f"cannot keep embeddings: {error.strerror}") from error
        except sqlite3.Error as error:
            raise TrainingError(f"cannot keep embeddings: {error}") from error
        self._count += len(new)

    def blocks(self) -> Iterator[tuple[list[bytes], NDArray[Any]]]:
        """Contents and their vectors [rows, d], in the order in which they were kept, some at a time."""
        kept = self.mapped()
        rows = self._index.execute("SELECT content, row FROM rows ORDER BY row")
        while some := rows.fetchmany(ROWS_AT_ONCE):
            yield [content for content, _ in some], kept[[row for _, row in some]]

    def places(self, hashes: Sequence[bytes | None]) -> NDArray[np.int64]:
        """The row of each content in `mapped`, int64 [n]; -1 where there is None or nothing kept."""
        return np.array([-1 if content is None else self._row(content) for content in hashes], np.int64)

    def mapped(self) -> NDArray[Any]:
        """All vectors [rows, d], read from the disk as they are used; stays readable once this is closed."""
        if not self._count:
            return np.zeros((0, self._dimensions), self._dtype)
        return np.memmap(self._vectors_path, self._dtype, mode="r", shape=(self._count, self._dimensions))

    def _row(self, content: bytes) -> int:
        found = self._index.execute("SELECT row FROM rows WHERE content = ?", (content,)).fetchone()
        return -1 if found is None else int(found[0])


def _wait_for(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.warning("waiting for another process that writes %s", directory)
        fcntl.flock(lock, fcntl.LOCK_EX)


class StoredRows:
    """Rows of a store in the order of some items, read from the disk as they are used."""

    def __init__(self, kept: NDArray[Any], places: NDArray[np.int64]) -> None:
        """`kept` [rows, d] are a store's `mapped`; `places` [n] say which is whose, -1 for none."""
        self._kept, self._places = kept, places

    @property
    def shape(self) -> tuple[int, int]:
        """[n, d]"""
        return len(self._places), self._kept.shape[1]

    def __getitem__(self, which: NDArray[np.integer]) -> NDArray[Any]:
        """The rows of some items [b, d], in memory; zeros where an item has none."""
        places = self._places[which]
        found = np.zeros((len(places), self._kept.shape[1]), self._kept.dtype)
        there = places >= 0
        found[there] = self._kept[places[there]]
        return found
