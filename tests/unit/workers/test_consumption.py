"""What is taken in, acknowledged, and given up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from genrestream.workers import stream
from genrestream.workers.budget import Budget
from genrestream.workers.intake import Incoming
from genrestream.workers.ordering import Turn
from genrestream.workers.pipeline import Outcome
from genrestream.workers.stream import Consumption

PARTITION = TP("catalog.tracks", 3)
FAULT = "!"
"""In the place of a key."""
SLOW = "s"
"""The key of messages that are never done."""


class Stream:
    """Faust's stream as an agent sees it: events, each acknowledged by hand."""

    def __init__(self, keys: str) -> None:
        self.app = SimpleNamespace(consumer_generation_id=1, should_stop=False)
        self.acknowledged: list[int] = []
        self.events_seen: list[Any] = []
        self._keys = keys

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for offset, key in enumerate(self._keys):
            if key == FAULT:
                raise RuntimeError("a fault of the stream")
            message = SimpleNamespace(
                topic=PARTITION.topic,
                partition=PARTITION.partition,
                tp=PARTITION,
                offset=offset,
                key=key.encode(),
                value=b"{}",
                headers=(),
                timestamp=None,
                generation_id=1,
            )
            event = SimpleNamespace(message=message, value=b"{}", app=self.app, ack=self._ack(offset))
            self.events_seen.append(event)
            yield event
        await asyncio.sleep(3600)

    def _ack(self, offset: int) -> Callable[[], None]:
        return lambda: self.acknowledged.append(offset)


class Processor:
    """Publishes when it is the message's turn, once the test lets it."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.go = asyncio.Event()
        self.error: BaseException | None = None

    async def process(self, message: Incoming, turn: Turn) -> Outcome:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        if message.key == SLOW.encode():
            await asyncio.sleep(3600)
        await turn.wait()
        self.published.append(message.offset)
        return Outcome.LABELLED


class Scene:
    def __init__(self, keys: str, max_messages: int = 100) -> None:
        self.stream = Stream(keys)
        self.processor = Processor()
        self.budget = Budget(max_messages, 10_000)
        self.failures: list[str] = []
        self.commits_wanted = 0
        self.consumption = Consumption(
            self.processor,
            self.budget,
            on_outcome=lambda message, outcome: None,
            on_failure=self.failures.append,
            on_assigned=self._assigned,
            commit_soon=self._commit_soon,
        )
        self.assigned = 0
        self.assigned_gate: asyncio.Event | None = None
        self.agent = asyncio.create_task(self.consumption.run(self.stream))  # type: ignore[arg-type]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def close(self, failures: Sequence[str] = ()) -> None:
        """Stop as Faust does; the worker was told of these failures and no others."""
        self.stream.app.should_stop = True
        self.agent.cancel()
        await asyncio.gather(self.agent, return_exceptions=True)
        assert self.failures == list(failures)

    async def _assigned(self) -> None:
        self.assigned += 1
        if self.assigned_gate is not None:
            await self.assigned_gate.wait()

    def _commit_soon(self) -> None:
        self.commits_wanted += 1


async def test_a_newer_version_is_published_once_the_older_one_is_committed() -> None:
    """Claim: published is not enough: what is not committed is read again after a crash, and would follow."""
    scene = Scene("aba")
    scene.processor.go.set()
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([0, 1], [0, 1])
    assert scene.commits_wanted > 0
    scene.consumption.committed({PARTITION: 1})
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([0, 1, 2], [0, 1, 2])
    assert scene.assigned == 1
    await scene.close()


async def test_what_is_taken_away_is_given_up() -> None:
    """Claim: nothing of a revoked partition is published or acknowledged afterwards, and its room is free."""
    scene = Scene("abab")
    await scene.settle()
    assert (scene.budget.messages, scene.consumption.ledger.in_flight) == (4, 4)
    scene.consumption.forget([PARTITION])
    scene.processor.go.set()
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([], [])
    assert (scene.budget.messages, scene.consumption.ledger.in_flight) == (0, 0)
    await scene.close()


async def test_what_waits_for_room_when_its_partition_is_taken_away_is_given_up() -> None:
    """Claim: the message that the revocation itself lets in is not begun, though the generation is the old
    one until the next assignment.
    """
    scene = Scene("ab", max_messages=1)
    await scene.settle()
    assert (len(scene.stream.events_seen), scene.budget.messages) == (2, 1)
    scene.processor.go.set()
    scene.consumption.forget([PARTITION])
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([], [])
    assert (scene.budget.messages, scene.consumption.ledger.in_flight) == (0, 0)
    await scene.close()


async def test_a_full_ledger_that_is_emptied_lets_the_next_message_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Claim: who waits for room in a partition goes on when the partition is taken away."""
    monkeypatch.setattr(stream, "MAX_LEDGER_ENTRIES", 1)
    scene = Scene("abc")
    await scene.settle()
    assert len(scene.stream.events_seen) == 2
    scene.consumption.forget([PARTITION])
    await scene.settle()
    # The second message is given up, the third one is of the next assignment.
    assert len(scene.stream.events_seen) == 3
    assert scene.consumption.ledger.in_flight == 1
    await scene.close()


async def test_a_task_that_is_given_up_before_it_begins_gives_its_room_back() -> None:
    """Claim: a revocation between the taking in and the first step of the work leaks no room."""
    scene = Scene("a")
    while not scene.budget.messages:
        await asyncio.sleep(0)
    scene.consumption.forget([PARTITION])
    await scene.settle()
    assert scene.budget.messages == 0
    await scene.close()


async def test_what_is_done_and_waits_to_be_acknowledged_holds_no_content() -> None:
    """Claim: behind a slow message the finished ones keep nothing but what their acknowledgement needs."""
    scene = Scene(SLOW + "ab")
    scene.processor.go.set()
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([1, 2], [])
    contents = [(event.value, event.message.value, event.message.key) for event in scene.stream.events_seen]
    assert contents == [(b"{}", b"{}", b"s"), (None, None, None), (None, None, None)]
    await scene.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("two\nlines"), "catalog.tracks/3@0 cannot be taken to its end: ValueError: two"),
        (asyncio.CancelledError(), "catalog.tracks/3@0 was cancelled"),
    ],
)
async def test_an_unforeseen_end_of_a_message_stops_the_worker(error: BaseException, told: str) -> None:
    """Claim: what the pipeline does not answer is not acknowledged and does not stall silently."""
    scene = Scene("a")
    scene.processor.error = error
    scene.processor.go.set()
    await scene.settle()
    assert scene.stream.acknowledged == []
    await scene.close([told])


async def test_a_fault_while_taking_in_stops_the_worker() -> None:
    """Claim: the agent does not raise, for Faust would start it anew behind the message; and nothing is
    acknowledged any more, for it would be committed past it.
    """
    scene = Scene("a" + FAULT + "b")
    await scene.settle()
    scene.processor.go.set()
    await scene.agent
    await scene.settle()
    assert (scene.processor.published, scene.stream.acknowledged) == ([0], [])
    await scene.close(["cannot take in messages: RuntimeError: a fault of the stream"])


async def test_a_cancellation_that_is_no_stop_stops_the_worker() -> None:
    """Claim: Faust would restart a cancelled agent, which has lost the message that it held."""
    scene = Scene("ab", max_messages=1)
    await scene.settle()
    scene.agent.cancel()
    await scene.settle()
    scene.processor.go.set()
    await scene.settle()
    assert scene.stream.acknowledged == []
    await scene.close(["the taking in of messages was cancelled"])


async def test_an_agent_that_waits_to_begin_shows_its_age() -> None:
    """Claim: a message that came off the stream counts, also before it is in the ledger."""
    scene = Scene("a")
    assert scene.consumption.oldest_age_s() == 0
    never = asyncio.Event()
    scene.assigned_gate = never
    await scene.settle()
    assert scene.consumption.ledger.oldest_age_s() == 0
    assert scene.consumption.oldest_age_s() > 0
    await scene.close()
    assert scene.consumption.oldest_age_s() == 0
