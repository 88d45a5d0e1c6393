"""Versions of one item keep their order."""

import asyncio

from genrestream.workers.ordering import KeyOrder, Turn


async def test_a_later_version_waits_until_the_earlier_one_has_left() -> None:
    """Claim: turns of one key pass in the order of entering, whichever is ready first."""
    order = KeyOrder()
    passed: list[str] = []
    earlier, later = order.enter("item"), order.enter("item")

    async def take(name: str, turn: Turn) -> None:
        with turn:
            await turn.wait()
            passed.append(name)

    late = asyncio.create_task(take("later", later))
    await asyncio.sleep(0)
    assert passed == []
    await take("earlier", earlier)
    await late
    assert passed == ["earlier", "later"]


async def test_other_keys_do_not_wait() -> None:
    """Claim: a turn of another key passes at once."""
    order = KeyOrder()
    order.enter("slow")
    async with asyncio.timeout(1):
        await order.enter("other").wait()


async def test_a_failed_turn_lets_the_next_one_go_on() -> None:
    """Claim: an exception inside a turn leaves it, and nothing is kept of the key afterwards."""
    order = KeyOrder()
    first, second = order.enter("item"), order.enter("item")
    try:
        with first:
            raise ValueError("broken")
    except ValueError:
        pass
    with second:
        async with asyncio.timeout(1):
            await second.wait()
    assert order._last == {}
