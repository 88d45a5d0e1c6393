"""Record batches of strangers are read whatever their header names are."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy

from genrestream.kafka_records import _Records


class Name(str):
    """Sent as these bytes."""

    raw = b""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.raw or super().encode()


def name(raw: bytes) -> Name:
    made = Name("x")
    made.raw = raw
    return made


def batch(*names: bytes, compression: int = 0) -> bytes:
    """A record a name, keyed by its number."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1_000_000)
    for offset, raw in enumerate(names):
        builder.append(offset, 7, b"%d" % offset, b"value" * 100, [(name(raw), b"data"), ("ok", None)])
    return bytes(builder.build())


@pytest.mark.parametrize("compression", [0, DefaultRecordBatch.CODEC_GZIP])
def test_a_name_that_is_no_text_is_escaped(compression: int) -> None:
    """Claim: every record of the batch is there, with key, value and headers, and so is the next batch."""
    data = batch(b"first", b"\xff\xfe", b"last", compression=compression) + batch(b"next")
    records = _Records(data)
    first, second = records.next_batch(), records.next_batch()
    assert (first.next_offset, first.is_control_batch, first.validate_crc()) == (3, False, True)
    assert [(record.offset, record.key, record.value, record.headers) for record in first] == [
        (0, b"0", b"value" * 100, [("first", b"data"), ("ok", None)]),
        (1, b"1", b"value" * 100, [("\\xff\\xfe", b"data"), ("ok", None)]),
        (2, b"2", b"value" * 100, [("last", b"data"), ("ok", None)]),
    ]
    assert [record.headers[0] for record in second] == [("next", b"data")]
    assert not records.has_next()
