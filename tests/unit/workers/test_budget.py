"""What may be in flight."""

import asyncio

import pytest

from genrestream.workers.budget import EXPECTED_MEDIUM_BYTES, Budget, MediaRoom


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


async def _shut_out(room: MediaRoom, media: int) -> bool:
    try:
        async with asyncio.timeout(0.02), room.hold(media):
            return False
    except TimeoutError:
        return True


async def test_media_count_what_is_expected_and_then_what_they_have() -> None:
    """Claim: room for two media that are read takes a third once one of them is there and small."""
    room = MediaRoom(2 * EXPECTED_MEDIUM_BYTES)
    async with room.hold(1) as first, room.hold(1):
        assert await _shut_out(room, 1)
        first.are(0)
        assert not await _shut_out(room, 1)
        first.are(EXPECTED_MEDIUM_BYTES + 1)
        assert await _shut_out(room, 1)
    assert not await _shut_out(room, 2)


async def test_large_media_overdraw_the_room_and_keep_others_out() -> None:
    """Claim: what is there and larger than all room lets nobody read until it is given back; texts pass."""
    room = MediaRoom(2 * EXPECTED_MEDIUM_BYTES)
    async with room.hold(2) as large:
        large.are(50 * EXPECTED_MEDIUM_BYTES)
        assert await _shut_out(room, 1)
        async with room.hold(0) as text:
            text.are(1_000)
        assert await _shut_out(room, 1)
    assert not await _shut_out(room, 1)


async def test_an_item_whose_media_exceed_the_room_goes_alone() -> None:
    """Claim: in the smallest room two media of one item are read, and so is everybody else's, in turn."""
    room = MediaRoom(1)
    most = inside = 0

    async def read() -> None:
        nonlocal most, inside
        async with room.hold(2) as held:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            held.are(10 * EXPECTED_MEDIUM_BYTES)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.timeout(5):
        await asyncio.gather(*(read() for _ in range(20)))
    assert (most, inside) == (1, 0)


async def test_room_comes_back_when_the_item_fails_or_is_given_up() -> None:
    """Claim: neither an exception nor a cancellation keeps room, in it or while waiting for it."""
    room = MediaRoom(EXPECTED_MEDIUM_BYTES)
    with pytest.raises(ZeroDivisionError):
        async with room.hold(1):
            raise ZeroDivisionError
    async with room.hold(1):
        waiting = asyncio.create_task(_shut_out(room, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    assert not await _shut_out(room, 1)
