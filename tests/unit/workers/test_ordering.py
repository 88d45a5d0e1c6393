"""Versions of one item keep their order."""

import asyncio

from genrestream.workers.ordering import KeyOrder, Turn


async def test_a_later_version_waits_until_the_earlier_one_has_left() -> None:
    """Claim: turns of one key pass in the order of entering, whichever is ready first."""
    order = KeyOrder()
    passed: list[str] = []
    earlier, later = order.enter("item"), order.enter("item")

    async def take(name: str, turn: Turn) -> None:
        await turn.wait()
        passed.append(name)
        turn.leave()

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


async def test_nothing_is_kept_of_turns_that_were_left() -> None:
    """Claim: a key is forgotten with its last turn, and who comes then does not wait."""
    order = KeyOrder()
    first, second = order.enter("item"), order.enter("item")
    first.leave()
    second.leave()
    assert order._last == {}
    async with asyncio.timeout(1):
        await order.enter("item").wait()


async def test_who_waits_is_counted_and_told() -> None:
    """Claim: a turn that has to wait asks for a commit; one that need not, or no more, does not."""
    asked: list[str] = []
    order = KeyOrder(on_wait=lambda: asked.append("commit"))
    first, second = order.enter("item"), order.enter("item")
    await first.wait()
    assert asked == []
    waiting = asyncio.create_task(second.wait())
    await asyncio.sleep(0)
    assert (asked, order.waiting) == (["commit"], 1)
    first.leave()
    await waiting
    assert order.waiting == 0
