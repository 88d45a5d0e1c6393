"""Faust as it is set up here: what it may acknowledge, and what is shown of it at any time."""

import asyncio
from typing import Any, cast

import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from genrestream.workers.faust_app import DrainingApp, FaustService

PARTITION = TP("catalog.tracks", 3)


def _message(offset: int, generation: int) -> ConsumerMessage:
    message = ConsumerMessage(
        PARTITION.topic, PARTITION.partition, offset, 0.0, 0, [], b"k", b"v", None, 1, 1, PARTITION,
        generation_id=generation,
    )  # fmt: skip
    message.refcount = 1
    return message


async def test_only_messages_of_the_running_assignment_are_acknowledged(app: DrainingApp) -> None:
    """Claim: a message of an earlier assignment, done late, cannot move the offset of a partition that came
    back: Faust commits behind whatever is acknowledged first.
    """
    app.finalize()
    consumer = cast(Any, app.consumer)
    app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
    app.consumer_generation_id = 2
    assert not _message(57, generation=1).ack(consumer)
    assert dict(consumer._acked) == {}
    assert _message(40, generation=2).ack(consumer)
    assert dict(consumer._acked) == {PARTITION: [40]}


class Assigned:
    """Faust's consumer with one partition of 10 messages, as far as it is asked; committing fails once."""

    def __init__(self, committed: int | None, read: int | None) -> None:
        self._committed_offset = {PARTITION: committed}
        self._read_offset = {PARTITION: read}
        self.commits = 0

    def assignment(self) -> set[TP]:
        return {PARTITION}

    def highwater(self, partition: TP) -> int:
        return 10

    async def commit(self) -> None:
        self.commits += 1
        if self.commits == 1:
            raise RuntimeError("a fault")


class Started:
    """Faust's application, as far as the service asks it."""

    rebalancing = False
    stop_drain_s = 0.0

    def __init__(self, consumer: Assigned) -> None:
        self.consumer = consumer

    def finalize(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def test_while_faust_starts_nothing_is_assigned(app: DrainingApp) -> None:
    """Claim: readiness and metrics can be asked before there is a consumer."""
    app.finalize()
    service = FaustService(app, asyncio.Event())
    # As at the beginning of Faust's own start.
    app._started.set()
    assert service.assignment() == set()
    assert service.lag() == {}


@pytest.mark.parametrize(
    ("committed", "read", "lag"),
    [(4, 6, {PARTITION: 6}), (None, 6, {PARTITION: 3}), (None, 0, {PARTITION: 9}), (None, None, {})],
)
async def test_the_lag_of_a_partition_without_a_commit_is_what_is_not_read(
    committed: int | None, read: int | None, lag: dict[TP, int]
) -> None:
    """Claim: a partition of which nothing was ever committed shows its lag too."""
    service = FaustService(cast(DrainingApp, Started(Assigned(committed, read))), asyncio.Event())
    await service.start()
    assert service.lag() == lag
    await service.stop(0.1)
    assert service.lag() == {}


async def test_a_commit_that_fails_is_not_the_last_one() -> None:
    """Claim: who waits for a commit gets one after a fault too."""
    consumer = Assigned(committed=0, read=0)
    wanted = asyncio.Event()
    service = FaustService(cast(DrainingApp, Started(consumer)), wanted)
    await service.start()
    async with asyncio.timeout(20):
        while consumer.commits < 2:
            wanted.set()
            await asyncio.sleep(0.01)
    await service.stop(0.1)
