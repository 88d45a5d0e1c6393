"""A decoder that hangs or dies costs one modality of one item."""

import asyncio
import fcntl
import io
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pebble import ProcessExpired, ProcessPool
from PIL import Image

from genrestream.schemas import HashedTextFeatures, ImageFeatures, MissingReason, Modality, TextFeatures
from genrestream.workers.errors import FeaturesImpossibleError
from genrestream.workers.feature_pool import NICER, PIPE_BYTES, FeaturePool, PoolLimits
from genrestream.workers.features.content import Content, FeaturePlan, HashedTerms, Missing
from genrestream.workers.mending_pool import MAX_ATTEMPTS, MendingPool

HASHED = HashedTextFeatures(word_buckets=64, char_buckets=64)
IMAGE = ImageFeatures(height_px=32, width_px=24)
PLAIN = FeaturePlan((HASHED, IMAGE), {})


def picture() -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (60, 80), "red").save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A WebP of 38 bytes with 50 million half-transparent pixels: 1.25 GiB of address space on the way."""
    buffer = io.BytesIO()
    Image.new("RGBA", (8_000, 6_250), (9, 9, 9, 128)).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


@pytest.fixture
def hanging_plan(tmp_path: Path) -> FeaturePlan:
    """A plan whose text never comes: the tokenizer is a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "tokenizer.json")
    text = TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256="0" * 64, max_tokens=16)
    return FeaturePlan((text, IMAGE), {"0" * 64: str(tmp_path / "tokenizer.json")})


async def test_extractions_come_in_order_whatever_the_chunks() -> None:
    """Claim: 70 items in several chunks over two processes give 70 extractions, each of its own item."""
    contents = [Content((f"word{index} " * (index + 1),), None, None) for index in range(70)]
    async with FeaturePool(PoolLimits(processes=2)) as pool:
        extractions = await pool.extract(contents, FeaturePlan((HASHED,), {}))
    heaviest = []
    for extraction in extractions:
        terms = extraction.tensors[0]
        assert isinstance(terms, HashedTerms)
        heaviest.append(float(terms.weights.max()))
    assert len(heaviest) == 70
    # A word that stands n times in its text weighs 1 + ln(n) or, with a colliding n-gram, more.
    assert all(weight >= 1 + np.log(index + 1) - 1e-5 for index, weight in enumerate(heaviest))


async def test_a_hanging_modality_is_marked_and_the_others_are_there(hanging_plan: FeaturePlan) -> None:
    """Claim: past the deadline the text is missing with `timeout`, the picture is a tensor."""
    restarts: list[MissingReason] = []
    limits = PoolLimits(processes=1, item_deadline_s=3.0)
    async with FeaturePool(limits, on_restart=restarts.append) as pool:
        (extraction,) = await pool.extract([Content(("a",), picture(), None)], hanging_plan)
        assert extraction.missing[Modality.TEXT].reason is MissingReason.TIMEOUT
        assert isinstance(extraction.tensors[1], np.ndarray)
        assert extraction.tensors[1].shape == (32, 24, 3)
        assert MissingReason.TIMEOUT in restarts
        (after,) = await pool.extract([Content(("fine",), None, None)], PLAIN)
        assert isinstance(after.tensors[0], HashedTerms)


async def test_what_takes_too_much_memory_costs_one_modality() -> None:
    """Claim: between two others in one chunk, its picture is missing as `too_large`, and no more."""
    restarts: list[MissingReason] = []
    limits = PoolLimits(processes=1, memory_bytes=2**30)
    contents = [
        Content(("before",), picture()),
        Content(("beside the bomb",), bomb()),
        Content(("after",), picture()),
    ]
    async with FeaturePool(limits, on_restart=restarts.append) as pool:
        before, bombed, after = await pool.extract(contents, PLAIN)
    for extraction in (before, after):
        assert all(tensor is not None for tensor in extraction.tensors)
    assert isinstance(bombed.tensors[0], HashedTerms)
    assert bombed.tensors[1] is None
    assert bombed.missing == {
        Modality.IMAGE: Missing(
            MissingReason.TOO_LARGE, "decoding takes more memory than a feature process may have"
        )
    }
    assert set(restarts) == {MissingReason.TOO_LARGE}


async def test_the_same_picture_fits_into_the_default() -> None:
    """Claim: at the limit of pixels, what takes 1.25 GiB is read with the memory that a process has."""
    async with FeaturePool(PoolLimits(processes=1)) as pool:
        (extraction,) = await pool.extract([Content(("a",), bomb())], PLAIN)
    assert extraction.missing == {}


async def test_a_killed_process_costs_nobody_else(hanging_plan: FeaturePlan) -> None:
    """Claim: when its process dies, an item is marked `crashed`, and items after it are extracted."""
    async with FeaturePool(PoolLimits(processes=1, item_deadline_s=60.0)) as pool:
        waiting = asyncio.create_task(pool.extract([Content(("a",), None, None)], hanging_plan))
        async with asyncio.timeout(60):
            while not waiting.done():
                for process in psutil.Process().children(recursive=True):
                    if opens_a_pipe(process):
                        process.kill()
                await asyncio.sleep(0.05)
        assert waiting.result()[0].missing[Modality.TEXT].reason is MissingReason.CRASHED
        (after,) = await pool.extract([Content(("fine",), picture(), None)], PLAIN)
        assert all(tensor is not None for tensor in after.tensors)


async def test_processes_that_die_at_rest_are_replaced() -> None:
    """Claim: when all processes are killed while nothing runs, what comes next is extracted, blaming none."""
    restarts: list[MissingReason] = []
    contents = [Content((f"word{index}",), picture()) for index in range(8)]
    async with FeaturePool(PoolLimits(processes=2), on_restart=restarts.append) as pool:
        for killed in (1, 2):
            processes = [one for one in multiprocessing.active_children() if one.name == "pebble_pool_worker"]
            assert len(processes) == 2
            for process in processes:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)
            several = await asyncio.gather(*(pool.extract(contents, PLAIN) for _ in range(3)))
            for extraction in (extraction for extractions in several for extraction in extractions):
                assert extraction.missing == {}
                assert all(tensor is not None for tensor in extraction.tensors)
            assert restarts == [MissingReason.CRASHED] * killed


async def test_processes_that_never_stay_alive_stop_the_worker() -> None:
    """Claim: a task is given to three pools that break, one after the other; then its error says to stop."""
    broken = 0

    def count() -> None:
        nonlocal broken
        broken += 1

    context = multiprocessing.get_context("forkserver")
    dying = MendingPool(lambda: ProcessPool(1, initializer=os._exit, initargs=(3,), context=context), count)
    with pytest.raises(FeaturesImpossibleError, match="the feature processes do not stay alive: "):
        await dying.run(os.getpid, timeout_s=60.0)
    assert broken == MAX_ATTEMPTS
    await dying.close()


async def test_what_a_task_raises_is_the_tasks_own() -> None:
    """Claim: a RuntimeError out of the function comes back as it is; the pool is whole."""
    context = multiprocessing.get_context("forkserver")
    pool = MendingPool(lambda: ProcessPool(1, context=context), lambda: pytest.fail("the pool broke"))
    with pytest.raises(RuntimeError, match="as it is"):
        await pool.run(_raise, timeout_s=60.0)
    assert await pool.run(abs, -1, timeout_s=60.0) == 1
    await pool.close()


async def test_a_tokenizer_that_is_gone_stops_the_worker(tmp_path: Path) -> None:
    """Claim: no item is blamed for a file that the plan names and that is not there."""
    text = TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256="0" * 64, max_tokens=16)
    plan = FeaturePlan((text, IMAGE), {"0" * 64: str(tmp_path / "tokenizer.json")})
    contents = [Content(("a",), picture(), None), Content(("b",), picture(), None)]
    async with FeaturePool(PoolLimits(processes=1)) as pool:
        with pytest.raises(
            FeaturesImpossibleError, match=r"tokenizer .*tokenizer\.json cannot be read: No such"
        ):
            await pool.extract(contents, plan)


RunTask = Callable[..., Any]


@pytest.fixture
def fails_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Content], bool], Exception], None]:
    """Let each task raise that has a content of the kind told; others go to the real processes."""
    run: RunTask = MendingPool.run

    def fail_at(is_bad: Callable[[Content], bool], error: Exception) -> None:
        async def failing(self: MendingPool, function: RunTask, *arguments: Any, timeout_s: float) -> Any:
            if any(map(is_bad, arguments[0])):
                raise error
            return await run(self, function, *arguments, timeout_s=timeout_s)

        monkeypatch.setattr(MendingPool, "run", failing)

    return fail_at


async def test_whatever_a_task_raises_its_neighbours_are_extracted(
    fails_at: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Claim: an error that nothing foresees costs one modality of one item of the chunk, and is logged."""
    contents = [Content((word,), picture()) for word in ("before", "bad", "after")]
    async with FeaturePool(PoolLimits(processes=1)) as pool:
        fails_at(lambda content: "bad" in content.text, ZeroDivisionError("unforeseen"))
        before, bad, after = await pool.extract(contents, PLAIN)
    assert before.missing == after.missing == {}
    assert bad.missing == {
        Modality.TEXT: Missing(MissingReason.UNREADABLE, "cannot be read: ZeroDivisionError")
    }
    assert isinstance(bad.tensors[1], np.ndarray)
    assert "unforeseen" in caplog.text


async def test_an_item_without_content_survives_its_process(fails_at: Callable[..., None]) -> None:
    """Claim: one that has nothing is as missing as ever, however often the process dies at it."""
    restarts: list[MissingReason] = []
    empty = Content((), None, None)
    async with FeaturePool(PoolLimits(processes=1), on_restart=restarts.append) as pool:
        fails_at(lambda content: content == empty, ProcessExpired("died", code=-9))
        beside, nothing = await pool.extract([Content(("beside",), picture()), empty], PLAIN)
    assert beside.missing == {}
    assert {modality: missing.reason for modality, missing in nothing.missing.items()} == {
        Modality.TEXT: MissingReason.ABSENT,
        Modality.IMAGE: MissingReason.ABSENT,
    }
    assert nothing.tensors == (None, None)
    assert len(restarts) == 2


def _raise() -> None:
    raise RuntimeError("as it is")


def opens_a_pipe(process: psutil.Process) -> bool:
    """Whether the process waits inside the kernel for the other end of a named pipe to be opened."""
    try:
        return Path(f"/proc/{process.pid}/wchan").read_text() in {"wait_for_partner", "fifo_open"}
    except OSError:
        return False


def pipe_sizes() -> dict[int, int]:
    """Inode -> bytes of every pipe that this process has open."""
    sizes = {}
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # no pipe
            sizes[os.fstat(descriptor).st_ino] = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return sizes


async def test_a_recording_passes_through_a_pipe_in_one_go() -> None:
    before = pipe_sizes()
    async with FeaturePool(PoolLimits(processes=1)):
        opened = pipe_sizes().keys() - before.keys()
        assert PIPE_BYTES in {pipe_sizes()[inode] for inode in opened}


async def test_decoding_gives_way_to_the_worker() -> None:
    ours = psutil.Process()
    before = set(ours.children(recursive=True))
    async with FeaturePool(PoolLimits(processes=2)):
        started = set(ours.children(recursive=True)) - before
        # The server that forks them, where it is new, keeps the worker's priority.
        assert sorted(process.nice() - ours.nice() for process in started)[-2:] == [NICER, NICER]
