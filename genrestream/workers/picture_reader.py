"""Reads the text in pictures of items that have no text, in processes of their own, with a deadline each.

It costs a hundred times what a picture's other features cost. With a pool apart it can be as slow as it is:
items that need no reading pass by, and their features wait for nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessPool

from genrestream.schemas.features import PictureTextFeatures
from genrestream.workers.errors import FeaturesImpossibleError
from genrestream.workers.feature_pool import start_process
from genrestream.workers.features.content import PICTURE_READER, FeatureLimits
from genrestream.workers.features.errors import MediaError
from genrestream.workers.fork_server import fork_server
from genrestream.workers.mending_pool import MendingPool
from genrestream.workers.process_bounds import address_space
from genrestream.workers.protocols import Reading

log = logging.getLogger(__name__)

LEAST_S = 0.001
"""For a picture whose turn came at the very end of its time."""


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Bounds of the reading."""

    processes: int = 1
    deadline_s: float = 5.0
    """For one picture, waiting for a process included."""
    max_waiting: int = 64
    """Pictures that wait for a process; of those that come then the text stays absent."""
    memory_bytes: int = 3 * 2**30
    """Address space of a process while it reads."""


class PictureReader:
    """The `PictureTexts` of a worker that reads. Use it as an asynchronous context manager."""

    def __init__(
        self,
        limits: ReaderLimits | None = None,
        feature_limits: FeatureLimits | None = None,
        on_reading: Callable[[Reading], None] = lambda reading: None,
    ) -> None:
        """Raises FeaturesImpossibleError when RapidOCR is not installed."""
        if find_spec(PICTURE_READER) is None:
            raise FeaturesImpossibleError(
                "pictures are to be read, and RapidOCR is not installed: pip install 'genrestream[ocr]'"
            )
        self._limits = limits or ReaderLimits()
        self._feature_limits = feature_limits or FeatureLimits()
        self._on_reading = on_reading
        self._context = fork_server()
        self._room = asyncio.Semaphore(self._limits.processes)
        self._waiting = 0
        self._processes = MendingPool(self._new_pool, on_break=lambda: on_reading(Reading.CRASHED))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._processes.close()

    async def read(self, picture: bytes, spec: PictureTextFeatures) -> tuple[str, ...]:
        """The text's fields, none when nothing could be read.

        Raises:
            FeaturesImpossibleError: the processes do not stay alive whatever they are given.
        """
        if self._waiting >= self._limits.max_waiting:
            self._on_reading(Reading.REFUSED)
            return ()
        self._waiting += 1
        try:
            reading, fields = await self._read_in_time(picture, spec)
        finally:
            self._waiting -= 1
        self._on_reading(reading)
        return fields

    async def _read_in_time(
        self, picture: bytes, spec: PictureTextFeatures
    ) -> tuple[Reading, tuple[str, ...]]:
        """Waiting for a process counts: an item waits no longer, however many stand before it."""
        clock = asyncio.get_running_loop()
        end_s = clock.time() + self._limits.deadline_s
        try:
            async with asyncio.timeout_at(end_s):
                await self._room.acquire()
        except TimeoutError:
            return Reading.TIMEOUT, ()
        try:
            # None at all would be no bound.
            return await self._read(picture, spec, max(LEAST_S, end_s - clock.time()))
        finally:
            self._room.release()

    async def _read(
        self, picture: bytes, spec: PictureTextFeatures, timeout_s: float
    ) -> tuple[Reading, tuple[str, ...]]:
        try:
            fields = await self._processes.run(
                _read_in_process,
                picture,
                spec,
                self._feature_limits,
                self._limits.memory_bytes,
                timeout_s=timeout_s,
            )
        except TimeoutError:
            return Reading.TIMEOUT, ()
        except ProcessExpired:
            return Reading.CRASHED, ()
        except MediaError:
            return Reading.UNREADABLE, ()
        except FeaturesImpossibleError:
            raise
        except Exception:
            log.exception("reading a picture raised what no picture should")
            return Reading.UNREADABLE, ()
        return (Reading.READ if fields else Reading.NOTHING), fields

    def _new_pool(self) -> ProcessPool:
        barrier = self._context.Barrier(self._limits.processes)
        return ProcessPool(
            max_workers=self._limits.processes,
            initializer=start_process,
            initargs=(barrier,),
            context=self._context,
        )


def _read_in_process(
    picture: bytes, spec: PictureTextFeatures, limits: FeatureLimits, memory_bytes: int
) -> tuple[str, ...]:
    # Loaded where it runs: OpenCV and three networks.
    from genrestream.workers.features.picture_text import picture_text  # noqa: PLC0415

    with address_space(memory_bytes):
        return picture_text(picture, spec, limits)
