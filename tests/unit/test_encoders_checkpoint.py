"""TensorFlow-1 checkpoints are read without TensorFlow, and broken ones are one clear line."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrestream.training.encoders.checkpoint import read_checkpoint
from genrestream.training.encoders.draft import EncoderError

MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT32, INT64 = 1, 9


def varint(number):
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def block(entries, shared=()):
    """A table block; `shared` says how many bytes of its key each entry takes from the key before."""
    body = b""
    for index, (key, value) in enumerate(entries):
        kept = shared[index] if shared else 0
        body += varint(kept) + varint(len(key) - kept) + varint(len(value)) + key[kept:] + value
    return body + struct.pack("<II", 0, 1)


def write(folder, entries, data, shared=(), compression=b"\x00"):
    """A checkpoint with the given entries in one block."""
    table = block(entries, shared)
    trailer = compression + bytes(4)
    handle = varint(0) + varint(len(table))
    index = block([(b"z", handle)])
    at = len(table) + len(trailer)
    footer = varint(0) + varint(0) + varint(at) + varint(len(index))
    (folder / ".index").write_bytes(
        table + trailer + index + b"\x00" + bytes(4) + footer.ljust(40, b"\x00") + MAGIC
    )
    (folder / ".data-00000-of-00001").write_bytes(data)


def entry(dtype, shape, offset, size):
    dims = b"".join(field(2, field(1, dim)) for dim in shape)
    return field(1, dtype) + field(2, dims) + field(4, offset) + field(5, size) + b"\x35\x01\x02\x03\x04"


@pytest.fixture
def checkpoint(tmp_path):
    """`layer/bias` = [1, 2], `layer/kernel` = [[3, 4, 5]], and an integer counter."""
    values = np.array([1, 2, 3, 4, 5], "<f4").tobytes() + struct.pack("<q", 7)
    write(
        tmp_path,
        [
            (b"", field(1, 1)),
            (b"layer/bias", entry(FLOAT32, (2,), 0, 8)),
            (b"layer/kernel", entry(FLOAT32, (1, 3), 8, 12)),
            (b"step", entry(INT64, (), 20, 8)),
        ],
        values,
        shared=(0, 0, 6, 0),
    )
    return tmp_path


def test_float_tensors_come_with_their_names_and_shapes(checkpoint):
    """Names with shared prefixes, shapes and values are restored; other types are left out."""
    tensors = read_checkpoint(checkpoint)
    assert sorted(tensors) == ["layer/bias", "layer/kernel"]
    assert tensors["layer/bias"].tolist() == [1, 2]
    assert tensors["layer/kernel"].tolist() == [[3, 4, 5]]


def test_a_missing_file_is_named(tmp_path):
    """The path is in the message."""
    with pytest.raises(EncoderError, match=r"cannot read .*\.index: No such file"):
        read_checkpoint(tmp_path)


def test_what_is_no_table_is_refused(checkpoint):
    """A file without the table's magic number is no checkpoint."""
    (checkpoint / ".index").write_bytes(b"x" * 100)
    with pytest.raises(EncoderError, match="no readable TensorFlow checkpoint: no table footer"):
        read_checkpoint(checkpoint)


def test_a_compressed_block_is_refused(tmp_path):
    """Snappy is not read: the wheel's checkpoints are not compressed."""
    write(tmp_path, [(b"a", entry(FLOAT32, (), 0, 4))], bytes(4), compression=b"\x01")
    with pytest.raises(EncoderError, match="a block is compressed"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(("shape", "offset", "size"), [((2,), 0, 4), ((1,), 4, 4), ((1 << 40,), 0, 1 << 42)])
def test_a_tensor_outside_the_data_is_refused(tmp_path, shape, offset, size):
    """Sizes are checked against the shape and the file, before anything is allocated."""
    write(tmp_path, [(b"a", entry(FLOAT32, shape, offset, size))], bytes(4))
    with pytest.raises(EncoderError, match="does not fit the data file"):
        read_checkpoint(tmp_path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_index_never_ends_in_another_error(checkpoint, position, byte):
    """Whatever byte is wrong, the result is tensors or an EncoderError."""
    path = checkpoint / ".index"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[position % len(whole)] = byte
    path.write_bytes(bytes(damaged))
    try:
        assert isinstance(read_checkpoint(checkpoint), dict)
    except EncoderError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are allowed
    finally:
        path.write_bytes(whole)
