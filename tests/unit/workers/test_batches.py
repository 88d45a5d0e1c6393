"""Micro-batches."""

import asyncio
from collections.abc import Sequence

import pytest

from genrestream.workers.batches import MicroBatcher


async def test_a_full_batch_goes_at_once_and_the_rest_by_time() -> None:
    """Claim: of five items with batches of two, two batches go full and the fifth alone, results in place."""
    sizes: list[int] = []

    async def double(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [2 * item for item in items]

    batcher = MicroBatcher(double, max_items=2, max_wait_s=0.01, max_batches=4)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(batcher.submit(item) for item in range(5)))
    assert results == [0, 2, 4, 6, 8]
    assert sizes == [2, 2, 1]


async def test_while_batches_are_in_flight_the_next_one_grows() -> None:
    """Claim: with one batch in flight, what arrives meanwhile goes together as soon as it ends."""
    sizes: list[int] = []
    gate = asyncio.Event()

    async def wait(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        await gate.wait()
        return list(items)

    batcher = MicroBatcher(wait, max_items=8, max_wait_s=0.001, max_batches=1)
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.02)
    rest = [asyncio.create_task(batcher.submit(item)) for item in range(1, 6)]
    await asyncio.sleep(0.02)
    assert sizes == [1]
    gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first, *rest)
    assert sizes == [1, 5]


async def test_a_failed_batch_fails_its_items_and_frees_its_place() -> None:
    """Claim: every item of the batch gets the exception, and the next batch runs."""

    async def refuse(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise ValueError("no")
        return list(items)

    batcher = MicroBatcher(refuse, max_items=2, max_wait_s=0.001, max_batches=1)
    async with asyncio.timeout(5):
        failed = await asyncio.gather(batcher.submit(0), batcher.submit(1), return_exceptions=True)
        with pytest.raises(ValueError, match="no"):
            await batcher.submit(0)
        assert await batcher.submit(2) == 2
    assert [type(error) for error in failed] == [ValueError, ValueError]


async def test_a_batch_with_too_few_results_fails_those_without_one() -> None:
    """Claim: nobody waits for ever for a result that does not come, and the place is free again."""

    async def drop_one(items: Sequence[int]) -> list[int]:
        return list(items)[:1]

    batcher = MicroBatcher(drop_one, max_items=2, max_wait_s=0.001, max_batches=1)
    async with asyncio.timeout(20):
        first, second = await asyncio.gather(batcher.submit(0), batcher.submit(1), return_exceptions=True)
        assert first == 0
        assert isinstance(second, ValueError)
        assert await batcher.submit(2) == 2


async def test_a_cancelled_batch_cancels_its_items() -> None:
    """Claim: whoever waits for a batch that a client library cancels is told, and the next batch runs."""

    async def cancelled(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise asyncio.CancelledError
        return list(items)

    batcher = MicroBatcher(cancelled, max_items=2, max_wait_s=0.001, max_batches=1)
    async with asyncio.timeout(20):
        told = await asyncio.gather(batcher.submit(0), batcher.submit(1), return_exceptions=True)
        assert [type(error) for error in told] == [asyncio.CancelledError] * 2
        assert await batcher.submit(2) == 2
