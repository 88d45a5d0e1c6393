"""Feature work in a bounded pool of processes, off the event loop, with a deadline an item.

A decoder that hangs, crashes or takes too much memory costs its process and the chunk is taken apart: item
by item, then modality by modality, until the one that did it stands alone and is marked missing.
"""

import asyncio
import concurrent.futures
import ctypes
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessPool

from genrestream.schemas import MissingReason, Modality
from genrestream.workers.errors import FeaturesImpossibleError
from genrestream.workers.features.content import Content, Extraction, FeatureLimits, FeaturePlan, Missing
from genrestream.workers.features.errors import FeatureSetupError
from genrestream.workers.fork_server import fork_server
from genrestream.workers.mending_pool import MendingPool
from genrestream.workers.process_bounds import address_space, give_up_rights
from genrestream.workers.process_memory import keep_freed_memory

log = logging.getLogger(__name__)

TEXT_WEIGHT_BYTES = 4_096
"""What an item without media counts in a chunk: a text costs about as much as 4 KiB of picture."""

CHUNK_BYTES = 512 * 1024
"""A chunk holds about this much: some eight posters, one recording, thirty texts."""

FURTHER_ITEM_S = 0.5
"""What each item of a chunk after the first adds to its deadline: few take longer, and a chunk that is late
is taken apart. With a whole deadline each, one item that hangs would hold up the others for minutes."""

PIPE_BYTES = 2**20
"""The most that a pipe may have without a privilege (man pipe)."""

NICER = 5
"""Decoding gives way (man nice) to the event loop, which keeps the heartbeats, and to servers on the same
machine: the models work off what is there before more is decoded. Events were 3 % faster."""

PR_SET_PDEATHSIG = 1

OUT_OF_MEMORY_EXIT = 77
"""How a process ends whose allocation failed; no signal's number and none of Python's own."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of the pool."""

    processes: int = 2
    item_deadline_s: float = 20.0
    chunks_in_flight: int = 4
    """Twice the processes keeps each of them fed."""
    memory_bytes: int = 2 * 2**30
    """Address space of a process while it extracts. At rest it has 0.3 GiB; of pictures at the limit of
    50 megapixels, a WebP with transparency takes it to 1.25 GiB; 0.2 GiB freed before may still be held."""
    tasks_per_process: int = 10_000
    """A process is replaced after so many chunks, whatever its libraries leaked."""


class FeaturePool:
    """The processes that extract features. Use it as an asynchronous context manager."""

    def __init__(
        self,
        pool_limits: PoolLimits | None = None,
        feature_limits: FeatureLimits | None = None,
        on_restart: Callable[[MissingReason], None] = lambda reason: None,
    ) -> None:
        self._limits = pool_limits or PoolLimits()
        self._feature_limits = feature_limits or FeatureLimits()
        self._on_restart = on_restart
        self._room = asyncio.Semaphore(self._limits.chunks_in_flight)
        self._context = fork_server()
        self._processes = MendingPool(self._new_pool, on_break=lambda: on_restart(MissingReason.CRASHED))

    async def __aenter__(self) -> Self:
        # The first item waits for no process to start, and no process is ended while it starts, which it
        # would complain of at length.
        await asyncio.gather(
            *(
                self._processes.run(_meet, timeout_s=self._limits.item_deadline_s)
                for _ in range(self._limits.processes)
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._processes.close()

    async def extract(self, contents: Sequence[Content], plan: FeaturePlan) -> list[Extraction]:
        """One extraction a content, in order; never raises for what a content holds.

        Raises:
            FeaturesImpossibleError: a file that the plan names is not as it says, or processes do not stay
                alive whatever they are given.
        """
        chunks = list(_chunks(contents, self._limits.processes))
        parts = await asyncio.gather(*(self._extract_chunk(chunk, plan) for chunk in chunks))
        return [extraction for part in parts for extraction in part]

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._limits.processes,
            max_tasks=self._limits.tasks_per_process,
            initializer=start_process,
            # One a pool: what was left waiting in a pool that broke does not count in the next.
            initargs=(self._context.Barrier(self._limits.processes),),
            context=self._context,
        )

    async def _extract_chunk(self, contents: list[Content], plan: FeaturePlan) -> list[Extraction]:
        try:
            return await self._run(contents, plan)
        except FeatureSetupError as error:
            raise FeaturesImpossibleError(str(error)) from error
        except FeaturesImpossibleError:
            raise
        except (TimeoutError, concurrent.futures.TimeoutError, ProcessExpired) as error:
            blame = self._blame(error)
            self._on_restart(blame.reason)
        except Exception as error:
            log.exception("a chunk of %d items raised what no content should", len(contents))
            blame = Missing(MissingReason.UNREADABLE, f"cannot be read: {type(error).__name__}")
        if len(contents) > 1:
            return [(await self._extract_chunk([content], plan))[0] for content in contents]
        return [await self._extract_apart(contents[0], plan, blame)]

    async def _extract_apart(self, content: Content, plan: FeaturePlan, blame: Missing) -> Extraction:
        """Extract each modality for itself, so that the broken one does not take the others along."""
        singles = _apart(content)
        if len(singles) <= 1:
            # Decodes nothing, so that it is safe here; what has no content is not to blame for anything.
            nothing = _extract(Content((), None, None), plan, self._feature_limits)
            return replace(nothing, missing={**nothing.missing, **dict.fromkeys(singles, blame)})
        parts = {
            modality: (await self._extract_chunk([single], plan))[0] for modality, single in singles.items()
        }
        return _merge(parts)

    async def _run(self, contents: list[Content], plan: FeaturePlan) -> list[Extraction]:
        # Pebble counts the time-out from the start of the task in its process, not from here.
        timeout_s = self._limits.item_deadline_s + FURTHER_ITEM_S * max(0, len(contents) - 1)
        async with self._room:
            return await self._processes.run(
                _extract_all,
                contents,
                plan,
                self._feature_limits,
                self._limits.memory_bytes,
                timeout_s=timeout_s,
            )

    def _blame(self, error: Exception) -> Missing:
        if not isinstance(error, ProcessExpired):
            return Missing(MissingReason.TIMEOUT, f"no result in {self._limits.item_deadline_s:g} s")
        if error.exitcode == OUT_OF_MEMORY_EXIT:
            return Missing(
                MissingReason.TOO_LARGE, "decoding takes more memory than a feature process may have"
            )
        return Missing(MissingReason.CRASHED, "the decoder died")


def start_process(all_started: Barrier) -> None:
    """Leave Ctrl-C to the worker, die with it, however it dies, and give up what decoding does not need."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_freed_memory()
    _widen_pipes()
    os.nice(NICER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    give_up_rights()
    globals()["_all_started"] = all_started


def _widen_pipes() -> None:
    """Let a recording or its patches into the pipe in one go; else writer and reader take turns by 64 KiB.

    The pool's own pipes have no name here: all that this process has open are widened.
    """
    for descriptor in os.listdir("/proc/self/fd"):
        # No pipe, listdir's own, which is closed by now, or more than this user may have: it is only slower.
        with suppress(OSError):
            fcntl.fcntl(int(descriptor), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _meet() -> None:
    """Return once every process of the pool is at this: none takes two of these tasks."""
    globals()["_all_started"].wait()


def _extract_all(
    contents: list[Content], plan: FeaturePlan, limits: FeatureLimits, memory_bytes: int
) -> list[Extraction]:
    # Receiving the task and sending the result are not under the limit: failing there would lose the task.
    try:
        with address_space(memory_bytes):
            return [_extract(content, plan, limits) for content in contents]
    except MemoryError:
        # Whatever filled the process, this content or what came before: it makes room for a fresh one.
        os._exit(OUT_OF_MEMORY_EXIT)


def _extract(content: Content, plan: FeaturePlan, limits: FeatureLimits) -> Extraction:
    # Loaded where it runs: the decoders take a tenth of what a worker loads before it can read.
    from genrestream.workers.features.extract import extract  # noqa: PLC0415

    return extract(content, plan, limits)


def _chunks(contents: Sequence[Content], processes: int) -> Iterator[list[Content]]:
    """Cut into chunks of about equal weight: at least one a process where there are items enough."""
    weights = [_weight_bytes(content) for content in contents]
    target = min(CHUNK_BYTES, -(-sum(weights) // processes)) if weights else 0
    chunk: list[Content] = []
    gathered = 0
    for content, weight in zip(contents, weights, strict=True):
        if chunk and gathered + weight > target:
            yield chunk
            chunk, gathered = [], 0
        chunk.append(content)
        gathered += weight
    if chunk:
        yield chunk


def _weight_bytes(content: Content) -> int:
    return TEXT_WEIGHT_BYTES + len(content.image or b"") + len(content.audio or b"")


def _apart(content: Content) -> dict[Modality, Content]:
    singles = {
        Modality.TEXT: replace(content, image=None, audio=None) if content.text else None,
        Modality.IMAGE: Content((), content.image, None) if content.image is not None else None,
        Modality.AUDIO: Content((), None, content.audio) if content.audio is not None else None,
    }
    return {modality: single for modality, single in singles.items() if single is not None}


def _merge(parts: dict[Modality, Extraction]) -> Extraction:
    """Take each tensor from the part that has it; a modality is missing as its own part says."""
    first, *rest = parts.values()
    tensors = list(first.tensors)
    for part in rest:
        tensors = [
            mine if mine is not None else other for mine, other in zip(tensors, part.tensors, strict=True)
        ]
    missing = dict(first.missing)
    for modality, part in parts.items():
        missing.pop(modality, None)
        if modality in part.missing:
            missing[modality] = part.missing[modality]
    return Extraction(tuple(tensors), missing, any(part.text_is_read for part in parts.values()))
