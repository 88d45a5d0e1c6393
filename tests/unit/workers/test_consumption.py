"""What is taken in, acknowledged, and given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from genrestream.workers.budget import Budget
from genrestream.workers.intake import Incoming
from genrestream.workers.ordering import Turn
from genrestream.workers.pipeline import Outcome
from genrestream.workers.stream import Consumption

PARTITION = TP("catalog.tracks", 3)


class Stream:
    """Faust's stream as an agent sees it: events, each acknowledged by hand."""

    def __init__(self, keys: str) -> None:
        self.app = SimpleNamespace(consumer_generation_id=1)
        self.acknowledged: list[int] = []
        self._keys = keys

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for offset, key in enumerate(self._keys):
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
            yield SimpleNamespace(message=message, app=self.app, ack=self._ack(offset))
        await asyncio.sleep(3600)

    def _ack(self, offset: int) -> Callable[[], None]:
        return lambda: self.acknowledged.append(offset)


class Processor:
    """Publishes when it is the message's turn, once the test lets it."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.go = asyncio.Event()

    async def process(self, message: Incoming, turn: Turn) -> Outcome:
        await self.go.wait()
        await turn.wait()
        self.published.append(message.offset)
        return Outcome.LABELLED


class Scene:
    def __init__(self, keys: str) -> None:
        self.stream = Stream(keys)
        self.processor = Processor()
        self.budget = Budget(100, 10_000)
        self.commits_wanted = 0
        self.consumption = Consumption(
            self.processor,
            self.budget,
            on_outcome=lambda message, outcome: None,
            on_failure=pytest.fail,
            on_assigned=self._assigned,
            commit_soon=self._commit_soon,
        )
        self.assigned = 0
        self._agent = asyncio.create_task(self.consumption.run(self.stream))  # type: ignore[arg-type]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def close(self) -> None:
        self._agent.cancel()
        await asyncio.gather(self._agent, return_exceptions=True)

    async def _assigned(self) -> None:
        self.assigned += 1

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
