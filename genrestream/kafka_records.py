"""aiokafka's reading of record batches, for batches that strangers have written.

Kafka takes header names as bytes. aiokafka decodes them as UTF-8 and raises where they are none: the consumer
ends, and so does every one after it, at the same record. Here such a name is escaped instead (`\\xff`), and
the record is read like any other.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _EscapingBytes(bytearray):
    """Bytes whose parts are decoded without ever failing."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _EscapingBytes(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return bytes(self).decode(encoding, errors)


class _Batch:
    """A record batch, read by the fast parser, or else by the one that escapes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._batch = DefaultRecordBatch(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            records = list(self._batch)
        except UnicodeDecodeError:
            escaping = _DefaultRecordBatchPy(self._data)
            iter(escaping)  # Unpacks what is compressed.
            escaping._buffer = _EscapingBytes(escaping._buffer)  # noqa: SLF001 - what the parser slices
            records = list(escaping)
        return iter(records)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch has brought, batch by batch."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return _Batch(bytes(data)) if isinstance(batch, DefaultRecordBatch) else batch


def read_any_header_name() -> None:
    """From now on, consumers in this process read records whose header names are no UTF-8."""
    fetcher.MemoryRecords = _Records
