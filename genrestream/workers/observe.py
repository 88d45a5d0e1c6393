"""The stages of an item's way, as metrics and benchmarks name them."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from types import TracebackType


class Stage(StrEnum):
    """A stage of the way; a metric's label."""

    DECODE = "decode"
    MEDIA = "media"
    READ_PICTURE = "read_picture"
    FEATURES = "features"
    ENCODE = "encode"
    FUSE = "fuse"
    PUBLISH = "publish"
    CACHE = "cache"


class Timer:
    """Measures stages and tells somebody the seconds."""

    def __init__(self, observe: Callable[[Stage, float], None] = lambda stage, seconds: None) -> None:
        self._observe = observe

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Measure the block, also when it fails."""
        return _Measurement(self._observe, stage)


class _Measurement:
    """A class and no generator: every item goes through four of these, at half the cost."""

    __slots__ = ("_observe", "_stage", "_started_s")

    def __init__(self, observe: Callable[[Stage, float], None], stage: Stage) -> None:
        self._observe = observe
        self._stage = stage

    def __enter__(self) -> None:
        self._started_s = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observe(self._stage, time.perf_counter() - self._started_s)
