"""The stages of an item's way, as metrics and benchmarks name them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class Stage(StrEnum):
    """A stage of the way; a metric's label."""

    DECODE = "decode"
    MEDIA = "media"
    FEATURES = "features"
    ENCODE = "encode"
    FUSE = "fuse"
    PUBLISH = "publish"
    CACHE = "cache"


class Timer:
    """Measures stages and tells somebody the seconds."""

    def __init__(self, observe: Callable[[Stage, float], None] = lambda stage, seconds: None) -> None:
        self._observe = observe

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure the block, also when it fails."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self._observe(stage, time.perf_counter() - started_s)
