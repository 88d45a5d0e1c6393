"""What may be in flight."""

import asyncio

import pytest

from genrestream.workers.budget import Budget


async def _blocked(budget: Budget, size_bytes: int) -> bool:
    try:
        async with asyncio.timeout(0.02):
            await budget.take(size_bytes)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(("messages", "size"), [(2, 1), (100, 50)])
async def test_messages_and_bytes_are_both_bounded(messages: int, size: int) -> None:
    """Claim: with room for 2 messages or for 100 bytes, the third message waits until one is given back."""
    budget = Budget(max_messages=messages, max_bytes=100)
    await budget.take(size)
    await budget.take(size)
    assert await _blocked(budget, size)
    budget.give_back(size)
    assert not await _blocked(budget, size)


async def test_a_message_larger_than_the_budget_goes_alone() -> None:
    """Claim: what is larger than all room does not wait for ever; nothing joins it."""
    budget = Budget(max_messages=10, max_bytes=100)
    assert not await _blocked(budget, 1000)
    assert await _blocked(budget, 1)
    budget.give_back(1000)
    assert budget.messages == 0
    assert not await _blocked(budget, 1)


async def test_everybody_who_waits_is_served() -> None:
    """Claim: 50 callers pass through room for 3, never more than 3 at a time."""
    budget = Budget(max_messages=3, max_bytes=1000)
    most = 0

    async def pass_through() -> None:
        nonlocal most
        await budget.take(10)
        most = max(most, budget.messages)
        await asyncio.sleep(0)
        budget.give_back(10)

    async with asyncio.timeout(5):
        await asyncio.gather(*(pass_through() for _ in range(50)))
    assert most == 3
    assert budget.messages == 0
