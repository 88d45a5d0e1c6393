"""What stands in the items' pictures: read once, in parallel, and kept by the picture's content.

Legend: n items.
"""

import concurrent.futures
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from genrestream.schemas.features import PictureTextFeatures
from genrestream.schemas.items import TEXT_FIELDS, Modality
from genrestream.training.catalogue import Example
from genrestream.training.chunk_pool import CHUNK_DEADLINE_S, through_pool
from genrestream.training.contents import content_hash, read_content
from genrestream.training.disk_arrays import FieldsOnDisk
from genrestream.training.errors import TrainingError
from genrestream.workers.features.content import DEFAULT_LIMITS, PICTURE_READER
from genrestream.workers.features.errors import MediaError
from genrestream.workers.features.picture_text import picture_text

Progress = Callable[[int, int], None]

ITEM_DEADLINE_S = 60.0
"""For a picture by itself, when its chunk failed."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS texts (content BLOB PRIMARY KEY, fields TEXT, seconds REAL) WITHOUT ROWID"
)
_INSERT = "INSERT OR IGNORE INTO texts VALUES (?, ?, ?)"

_Read = tuple[tuple[str, ...], float]
"""The fields, and the seconds of a core that they took."""


@dataclass(frozen=True, slots=True)
class PictureTexts:
    """What was read."""

    fields: Sequence[tuple[str, ...]]
    """Of each item [n]; none where it has no picture, or nothing could be read. On the disk."""
    ms: float | None
    """A picture's mean cost on one core; None where no item has a picture."""


def refuse_unread() -> None:
    """Raises TrainingError when pictures are to be read and RapidOCR is not installed."""
    if find_spec(PICTURE_READER) is None:
        raise TrainingError("RapidOCR is not installed: pip install 'genrestream[ocr]' (Python below 3.13)")


class ReadExamples(Sequence[Example]):
    """Examples with what was read from their pictures in the place of their texts."""

    def __init__(self, examples: Sequence[Example], texts: PictureTexts) -> None:
        self._examples, self._fields = examples, texts.fields

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, place: int | slice) -> "Example | list[Example]":  # type: ignore[override]
        if isinstance(place, slice):
            return [self._read(row) for row in range(*place.indices(len(self)))]
        return self._read(range(len(self))[place])

    def _read(self, row: int) -> Example:
        example = self._examples[row]
        texts = {**dict.fromkeys(TEXT_FIELDS[example.item.kind]), "title": " ".join(self._fields[row])}
        return replace(example, item=example.item.model_copy(update=texts))


def read_picture_texts(
    examples: Sequence[Example],
    spec: PictureTextFeatures,
    store: Path,
    progress: Progress = lambda done, total: None,
) -> PictureTexts:
    """The texts of the pictures of `examples`; those that `store` holds are not read again.

    Raises:
        TrainingError: texts cannot be kept, or there is nothing to read pictures with.
    """
    refuse_unread()
    fields = FieldsOnDisk(store)
    done = pictures = 0
    seconds = 0.0
    with _kept(store, spec) as kept:
        for hashes, found in through_pool(
            examples,
            lambda pool, chunk: _schedule(pool, chunk, spec, kept),
            lambda pool, pending: _finish(pool, pending, spec),
        ):
            kept.executemany(
                _INSERT,
                [(hashes[row], json.dumps(text), took_s) for row, (text, took_s) in found.items()],
            )
            for picture in hashes:
                text, took_s = _of(kept, picture) or ((), 0.0)
                fields.append(text)
                if picture is not None:
                    pictures, seconds = pictures + 1, seconds + took_s
            done += len(hashes)
            progress(done, len(examples))
    return PictureTexts(fields.all(), 1000 * seconds / pictures if pictures else None)


@dataclass(frozen=True, slots=True)
class _Pending:
    examples: Sequence[Example]
    hashes: list[bytes | None]
    new: list[int]
    future: "ProcessFuture[list[_Read]]"


def _schedule(
    pool: ProcessPool, examples: Sequence[Example], spec: PictureTextFeatures, kept: sqlite3.Connection
) -> _Pending:
    hashes: list[bytes | None] = []
    for example in examples:
        content = read_content(example, frozenset({Modality.IMAGE}))
        hashes.append(content_hash(content, Modality.IMAGE) if content.image is not None else None)
    new = [row for row, picture in enumerate(hashes) if picture is not None and _of(kept, picture) is None]
    future = pool.schedule(read_chunk, args=([examples[row] for row in new], spec), timeout=CHUNK_DEADLINE_S)
    return _Pending(examples, hashes, new, future)


def _finish(
    pool: ProcessPool, pending: _Pending, spec: PictureTextFeatures
) -> tuple[list[bytes | None], dict[int, _Read]]:
    try:
        found: list[_Read] = pending.future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        # One picture kills its reader, or takes too long: it has no text.
        found = [_alone(pool, pending.examples[row], spec) for row in pending.new]
    return pending.hashes, dict(zip(pending.new, found, strict=True))


def _alone(pool: ProcessPool, example: Example, spec: PictureTextFeatures) -> _Read:
    future = pool.schedule(read_chunk, args=([example], spec), timeout=ITEM_DEADLINE_S)
    try:
        found: list[_Read] = future.result()
    except (ProcessExpired, concurrent.futures.TimeoutError, TimeoutError, MemoryError):
        return (), ITEM_DEADLINE_S
    return found[0]


def read_chunk(examples: Sequence[Example], spec: PictureTextFeatures) -> list[_Read]:
    """The text of each one's picture; none where it cannot be decoded."""
    found: list[_Read] = []
    for example in examples:
        began_s = time.thread_time()
        image = read_content(example, frozenset({Modality.IMAGE})).image
        try:
            fields = picture_text(image, spec, DEFAULT_LIMITS) if image else ()
        except MediaError:
            fields = ()
        found.append((fields, time.thread_time() - began_s))
    return found


def take_picture_texts(share: Path, spec: PictureTextFeatures, store: Path) -> None:
    """Add to `store` the texts that another one, `share`, holds; raises TrainingError as above."""
    with _kept(share, spec) as theirs, _kept(store, spec) as ours:
        ours.executemany(_INSERT, theirs.execute("SELECT content, fields, seconds FROM texts"))


@contextmanager
def _kept(store: Path, spec: PictureTextFeatures) -> Iterator[sqlite3.Connection]:
    # When a text is wanted changes nothing of what is read.
    digest = hashlib.sha256(spec.model_dump_json(exclude={"when"}).encode()).hexdigest()
    directory = store / f"picture-texts-{digest[:16]}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            directory / "texts.sqlite", isolation_level=None, timeout=CHUNK_DEADLINE_S
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)
            yield connection
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise TrainingError(f"cannot keep the texts of pictures in {directory}: {error}") from error


def _of(kept: sqlite3.Connection, picture: bytes | None) -> _Read | None:
    if picture is None:
        return None
    row = kept.execute("SELECT fields, seconds FROM texts WHERE content = ?", (picture,)).fetchone()
    return None if row is None else (tuple(json.loads(row[0])), row[1])
