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


async def test_beside_one_in_flight_a_batch_fills_or_sets_out_when_that_ends() -> None:
    """Claim: with room for more, what arrives meanwhile goes when it is full, or with nothing in flight."""
    sizes: list[int] = []
    gates = [asyncio.Event() for _ in range(3)]

    async def wait(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        await gates[len(sizes) - 1].wait()
        return list(items)

    batcher = MicroBatcher(wait, max_items=3, max_wait_s=0.001, busy_wait_s=60, max_batches=3)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await asyncio.sleep(0.02)
    tasks += [asyncio.create_task(batcher.submit(item)) for item in range(1, 6)]
    await asyncio.sleep(0.02)
    assert sizes == [1, 3]
    gates[0].set()
    await asyncio.sleep(0.02)
    assert sizes == [1, 3]
    gates[1].set()
    await asyncio.sleep(0.02)
    assert sizes == [1, 3, 2]
    gates[2].set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4, 5]


async def test_beside_one_in_flight_a_batch_waits_no_longer_than_it_may() -> None:
    """Claim: one that hangs holds up what arrives later for the busy wait alone."""
    hang = asyncio.Event()

    async def hang_on_zero(items: Sequence[int]) -> list[int]:
        if 0 in items:
            await hang.wait()
        return list(items)

    batcher = MicroBatcher(hang_on_zero, max_items=3, max_wait_s=0.001, busy_wait_s=0.02, max_batches=2)
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        assert await batcher.submit(1) == 1
        hang.set()
        assert await first == 0


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
