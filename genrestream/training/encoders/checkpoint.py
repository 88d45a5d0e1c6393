"""Reading a TensorFlow-1 checkpoint without TensorFlow.

A checkpoint ("tensor bundle") is an index and data files. The index is a table in LevelDB's format: from a
footer of fixed size to an index block, from there to blocks of entries, tensor name to a small protocol
buffer. The data are the tensors' raw bytes. Formats: tensorflow/core/lib/io/format.h (footer and blocks),
tensorflow/core/protobuf/tensor_bundle.proto (BundleEntryProto), both little-endian.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.training.encoders.draft import EncoderError

FOOTER_BYTES = 48
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
UNCOMPRESSED = 0
FLOAT32 = 1
"""DT_FLOAT of tensorflow/core/framework/types.proto."""
MAX_INDEX_BYTES = 16 * 1024 * 1024
MAX_DATA_BYTES = 1024 * 1024 * 1024


def read_checkpoint(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of `folder/.index` and `folder/.data-00000-of-00001`, by name.

    Raises:
        EncoderError: a file is missing, too large, compressed, or not a checkpoint.
    """
    index = _read(folder / ".index", MAX_INDEX_BYTES)
    data = _read(folder / ".data-00000-of-00001", MAX_DATA_BYTES)
    try:
        entries = {name.decode(): _entry(value) for name, value in _table(index) if name}
        return {name: _tensor(data, entry) for name, entry in entries.items() if entry.dtype == FLOAT32}
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise EncoderError(f"{folder} holds no readable TensorFlow checkpoint: {error}") from error


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a tensor lies in the data file."""

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        if path.stat().st_size > limit_bytes:
            raise EncoderError(f"{path} is larger than {limit_bytes} bytes")
        return path.read_bytes()
    except OSError as error:
        raise EncoderError(f"cannot read {path}: {error.strerror}") from error


def _tensor(data: bytes, entry: _Entry) -> NDArray[np.float32]:
    count = math.prod(entry.shape)
    if entry.size != 4 * count or entry.offset + entry.size > len(data):
        raise ValueError("an entry does not fit the data file")
    return np.frombuffer(data, "<f4", count, entry.offset).reshape(entry.shape).astype(np.float32)


def _table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All entries of the index file."""
    footer = index[-FOOTER_BYTES:]
    if not footer.endswith(MAGIC):
        raise ValueError("no table footer")
    position = 0
    _, position = _varint(footer, position)  # offset and size of the meta index, which is empty
    _, position = _varint(footer, position)
    offset, position = _varint(footer, position)
    size, _ = _varint(footer, position)
    for _, handle in _block(index, offset, size):
        block_offset, position = _varint(handle, 0)
        block_size, _ = _varint(handle, position)
        yield from _block(index, block_offset, block_size)


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one block; each key shares a prefix with the one before it."""
    if index[offset + size] != UNCOMPRESSED:
        raise ValueError("a block is compressed")
    block = index[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restarts
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _entry(message: bytes) -> _Entry:
    """A BundleEntryProto: dtype 1, shape 2, shard 3, offset 4, size 5."""
    fields = dict(_fields(message))
    shape_message = fields.get(2, b"")
    sizes = [dict(_fields(dim)).get(1, 0) for number, dim in _fields(_as_bytes(shape_message)) if number == 2]
    if fields.get(3, 0) != 0:
        raise ValueError("a tensor lies in a second data file")
    return _Entry(
        dtype=_as_int(fields.get(1, 0)),
        shape=tuple(_as_int(size) for size in sizes),
        offset=_as_int(fields.get(4, 0)),
        size=_as_int(fields.get(5, 0)),
    )


def _fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of a protocol buffer; fixed-size fields are skipped."""
    data, position = _as_bytes(message), 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, value
        elif wire_type == 2:
            length, position = _varint(data, position)
            yield number, data[position : position + length]
            position += length
        elif wire_type in {1, 5}:
            position += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A little-endian base-128 number and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _as_bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")  # noqa: TRY004 - broken data, not a wrong call
    return value


def _as_int(value: bytes | int) -> int:
    if isinstance(value, bytes):
        raise ValueError("a message where a number belongs")  # noqa: TRY004 - broken data, not a wrong call
    return value
