"""Items from `items.jsonl` files and from the command line, their media as references or inline bytes."""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from pydantic import ValidationError

from genrestream.schemas import InlineMedia, Item, Kind, MediaReference, item_model
from genrestream.schemas.items import MAX_INLINE_MEDIA_BYTES, MEDIA_FIELDS

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer line is refused: 1 MiB of inline media in base64 and the texts fit twice."""

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class MediaForm(StrEnum):
    """How media that are local files travel."""

    AUTO = "auto"
    """Inline up to 1 MiB an item; the rest, and what cannot be read, as a reference: the label says why."""
    INLINE = "inline"
    """Inline; a larger or unreadable file is an error."""
    FILE = "file"
    """As a `file://` reference, unread: the workers have to see the same files, below their media root."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no item."""

    number: int
    """Counted from 1."""
    message: str


class ItemError(ValueError):
    """What is given is no item; one line that names the field."""


def read_items(
    source: Path | BinaryIO, *, media: MediaForm = MediaForm.FILE, kind: Kind | None = None
) -> Iterator[Item | BadLine]:
    """Each line's item, or why it is none, in order; blank lines are passed over.

    `labels`, `group` and other fields that items do not have are dropped. Media paths are relative to the
    file's folder (for a stream: to the working folder). With `kind`, lines that do not say theirs are taken
    as that kind, and other kinds are bad lines.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield from _items(stream, source.absolute().parent, media, kind)
    else:
        yield from _items(source, Path.cwd(), media, kind)


def _items(stream: BinaryIO, folder: Path, media: MediaForm, kind: Kind | None) -> Iterator[Item | BadLine]:
    for number, line in enumerate(_lines(stream), start=1):
        if line is None:
            yield BadLine(number, f"longer than {MAX_LINE_BYTES} bytes")
        elif not line.isspace():
            try:
                yield parse_item(line, folder, media, kind)
            except ItemError as error:
                yield BadLine(number, str(error))


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines, without a byte order mark; None for one that is too long, which is never held whole."""
    first = True
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf") or b"\n", False
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
        else:
            yield line


def parse_item(line: bytes, folder: Path, media: MediaForm, kind: Kind | None = None) -> Item:
    """The item of one line of JSON.

    Raises:
        ItemError: it is none, or of another kind than `kind`.
    """
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ItemError(f"no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ItemError("no JSON object")
    return build_item(fields, folder, media, kind)


def build_item(fields: dict[str, Any], folder: Path, media: MediaForm, kind: Kind | None = None) -> Item:
    """The item with these fields; a media field that is a path, relative to `folder`, becomes media.

    Raises:
        ItemError: a field is wrong or missing, or the item is of another kind than `kind`.
    """
    given = fields.get("kind", kind)
    if given not in tuple(Kind):
        raise ItemError(f"kind: {given!r:.60} is none of {', '.join(Kind)}")
    if kind is not None and given != kind:
        raise ItemError(f"kind: {given}, but only kind {kind} is taken")
    named = Kind(given)
    prepared = dict(fields)
    # Of an item with two media files both of which are large, one has to travel as a reference.
    room_bytes = MAX_INLINE_MEDIA_BYTES
    for field in MEDIA_FIELDS[named].values():
        path = fields.get(field)
        if isinstance(path, str) and not _SCHEME.match(path):
            prepared[field] = found = _local_media(field, folder / path, media, room_bytes)
            room_bytes -= len(found.data) if isinstance(found, InlineMedia) else 0
    try:
        return item_model(named).model_validate(prepared)
    except ValidationError as error:
        raise ItemError(_faults(error)) from error


def _local_media(field: str, path: Path, media: MediaForm, room_bytes: int) -> MediaReference | InlineMedia:
    try:
        reference = MediaReference(url=path.absolute().as_uri())
    except ValidationError as error:
        raise ItemError(f"{field}: {_faults(error)}") from error
    if media is MediaForm.FILE:
        return reference
    try:
        data = _read_up_to(path, room_bytes)
    except (OSError, ValueError) as error:
        if media is MediaForm.AUTO:
            return reference
        reason = error.strerror if isinstance(error, OSError) else error
        raise ItemError(f"{field}: cannot read {path}: {reason}") from error
    if data:
        # Already bytes: validation would want base64.
        return InlineMedia.model_construct(data=data)
    if media is MediaForm.AUTO:
        return reference
    limit = f"larger than the {room_bytes} bytes that still fit inline"
    raise ItemError(f"{field}: {path} is {limit if data is None else 'empty'}")


def _read_up_to(path: Path, limit_bytes: int) -> bytes | None:
    """The file's bytes, or None when there are more than `limit_bytes`."""
    with path.open("rb") as file:
        data = file.read(limit_bytes + 1)
    return data if len(data) <= limit_bytes else None


def _faults(error: ValidationError) -> str:
    """One line: the first faults, each with its field; nothing of the input is repeated."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'item'}: {fault['msg']}" for fault in faults[:3]
    ]
    return "; ".join([*told, f"and {len(faults) - 3} more"] if len(faults) > 3 else told)


def count_lines(path: Path) -> int:
    """How many lines the file has; for progress bars.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in _blocks(file))


def _blocks(file: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: file.read(io.DEFAULT_BUFFER_SIZE * 32), b"")
