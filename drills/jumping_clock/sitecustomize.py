"""Python runs this at its start: the wall clock is off by what a shared file says, at every look at it.

The monotonic clock goes on, as it does when an operator or NTP sets a machine's time.
"""

import datetime
import mmap
import os
import struct
import time
from typing import Self

_REAL_NS = time.time_ns
_DATETIME = datetime.datetime

with open(os.environ["DRILL_CLOCK"], "r+b") as _file:
    # The offset in seconds, and the one that was seen last.
    _SHARED = mmap.mmap(_file.fileno(), 16)


def _time_ns() -> int:
    _SHARED[8:] = _SHARED[:8]
    (offset_s,) = struct.unpack("<q", _SHARED[:8])
    return _REAL_NS() + int(offset_s) * 1_000_000_000


def _time() -> float:
    return _time_ns() / 1e9


class _Datetime(_DATETIME):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        return cls.fromtimestamp(_time(), tz)


time.time, time.time_ns = _time, _time_ns
datetime.datetime = _Datetime  # type: ignore[misc]
