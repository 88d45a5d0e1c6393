"""The Faust side: messages come off the stream in order, and are acknowledged by the ledger.

What was seen of Faust and is answered here: acknowledging out of order commits past work in flight, so acks
are manual and only for the contiguous finished prefix of a partition; not pulling from the stream is the
backpressure, since heartbeats go on without it.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

import faust
from faust.streams import Stream
from faust.types import TP

from genrestream.workers.budget import Budget
from genrestream.workers.errors import DeliveryImpossibleError
from genrestream.workers.intake import Incoming, place_of
from genrestream.workers.ledger import Entry, Ledger
from genrestream.workers.ordering import KeyOrder, Turn
from genrestream.workers.pipeline import Outcome

log = logging.getLogger(__name__)

MAX_LEDGER_ENTRIES = 4096
"""Finished messages of one partition that may wait for a slow one before them."""


class Processor(Protocol):
    """Takes a message to its end; the pipeline."""

    async def process(self, message: Incoming, turn: Turn) -> Outcome:
        """Take it to its end; DeliveryImpossibleError when its result can go nowhere."""
        ...


@dataclass(slots=True)
class _Partition:
    """What is in hand of a partition, until it is taken away; should it come back, it is another one."""

    uncommitted: deque[tuple[int, Turn]] = field(default_factory=deque)
    """Offsets in order, with their turns, which end when they are committed."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Consumption:
    """Feeds the pipeline from Faust's streams, within the budget, and acknowledges through the ledger."""

    def __init__(
        self,
        processor: Processor,
        budget: Budget,
        on_outcome: Callable[[Incoming, Outcome], None],
        on_failure: Callable[[str], None],
        on_assigned: Callable[[], Awaitable[None]],
        commit_soon: Callable[[], None],
    ) -> None:
        """`on_assigned` is awaited before the first message after every change of the assignment.

        `commit_soon` is called when something waits for a commit; `committed` is to be called after it.
        """
        self._processor = processor
        self._budget = budget
        self._on_outcome = on_outcome
        self._on_failure = on_failure
        self._on_assigned = on_assigned
        self._commit_soon = commit_soon
        self.ledger: Ledger[faust.EventT[Any]] = Ledger(MAX_LEDGER_ENTRIES)
        self._order = KeyOrder(on_wait=commit_soon)
        self._partitions: dict[TP, _Partition] = defaultdict(_Partition)
        self._acknowledged = asyncio.Event()
        self._broken = False
        self._held_since_s: dict[object, float] = {}

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """The body of an agent: take in messages for as long as the stream lasts.

        It never raises: Faust would start it anew, behind a message that nobody takes to its end.
        """
        agent = object()
        try:
            await self._take_in(stream, agent)
        except asyncio.CancelledError:
            if not stream.app.should_stop:
                # Not ours: aiokafka cancels what waits for a connection that it gives up.
                self._break("the taking in of messages was cancelled")
            raise
        except Exception as error:
            log.exception("cannot take in messages")
            self._break(f"cannot take in messages: {_line(error)}")
        finally:
            self._held_since_s.pop(agent, None)

    async def _take_in(self, stream: faust.StreamT[Any], agent: object) -> None:
        events: AsyncIterator[faust.EventT[Any]] = cast(Stream[Any], stream).noack().events()
        generation = None
        async for event in events:
            tp = event.message.tp
            partition = self._partitions[tp]
            self._held_since_s[agent] = time.monotonic()
            if event.message.generation_id != generation:
                generation = event.message.generation_id
                await self._on_assigned()
            message = _incoming(event)
            await self._wait_for_room(message)
            del self._held_since_s[agent]
            # Both: Faust learns its new generation only when partitions are assigned again.
            if _is_stale(event) or self._partitions.get(tp) is not partition:
                # Its partition was taken away meanwhile; whoever has it now reads the message again.
                self._budget.give_back(_size_bytes(message))
                continue
            entry = self.ledger.open(tp, event)
            turn = self._order.enter((message.topic, message.key))
            partition.uncommitted.append((message.offset, turn))
            task = asyncio.get_running_loop().create_task(self._finish(message, entry, turn, partition))
            partition.tasks.add(task)
            task.add_done_callback(partial(self._let_go, message, event, partition))

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """Everything below these offsets is not read again: later versions of the items may follow."""
        for tp, offset in offsets.items():
            uncommitted = self._partitions[tp].uncommitted
            while uncommitted and uncommitted[0][0] < offset:
                uncommitted.popleft()[1].leave()

    def forget(self, tps: Iterable[TP]) -> None:
        """Give up what is in hand of partitions that were taken away.

        Another worker reads it again. Published from here, it could follow what that one publishes.
        """
        tps = list(tps)
        self.ledger.forget(tps)
        for tp in tps:
            partition = self._partitions.pop(tp, _Partition())
            for task in partition.tasks:
                task.cancel()
            for _, turn in partition.uncommitted:
                turn.leave()
        # Who waits for room in one of them need not wait any longer.
        self._acknowledged.set()

    def forget_all(self) -> None:
        """Give up everything that is in hand."""
        self.forget(self._partitions)

    def oldest_age_s(self) -> float:
        """Seconds since the oldest unacknowledged message came off the stream; 0 when there is none."""
        held_s = min(self._held_since_s.values(), default=None)
        ages = [self.ledger.oldest_age_s(), 0.0 if held_s is None else time.monotonic() - held_s]
        return max(ages)

    async def _wait_for_room(self, message: Incoming) -> None:
        partition = TP(message.topic, message.partition)
        while not self.ledger.has_room(partition):
            self._acknowledged.clear()
            await self._acknowledged.wait()
        await self._budget.take(_size_bytes(message))

    async def _finish(
        self, message: Incoming, entry: Entry[faust.EventT[Any]], turn: Turn, partition: _Partition
    ) -> None:
        try:
            outcome = await self._processor.process(message, turn)
        except DeliveryImpossibleError as error:
            # Not acknowledged: it is read again after the restart, by this worker or another.
            self._on_failure(str(error))
            return
        except asyncio.CancelledError:
            if self._partitions.get(entry.message.message.tp) is partition:
                self._on_failure(f"{place_of(message)} was cancelled")
            raise
        except Exception as error:
            log.exception("%s cannot be taken to its end", place_of(message))
            self._on_failure(f"{place_of(message)} cannot be taken to its end: {_line(error)}")
            return
        if self._broken:
            return
        for event in self.ledger.finish(entry):
            event.ack()
        self._acknowledged.set()
        self._on_outcome(message, outcome)
        if self._order.waiting:
            self._commit_soon()

    def _let_go(
        self, message: Incoming, event: faust.EventT[Any], partition: _Partition, task: asyncio.Task[None]
    ) -> None:
        """Free what a message takes up, also where it was given up before its task had begun."""
        partition.tasks.discard(task)
        self._budget.give_back(_size_bytes(message))
        _drop_content(event)

    def _break(self, reason: str) -> None:
        """Stop for good, and acknowledge nothing more.

        A message that came off the stream is not in the ledger, so that what comes behind it would be
        committed past it.
        """
        self._broken = True
        self._on_failure(reason)


def _incoming(event: faust.EventT[Any]) -> Incoming:
    message = event.message
    # aiokafka's pairs, as they came; Faust's own type is wider.
    headers = cast(Iterable[tuple[str, bytes | None]], message.headers or ())
    return Incoming(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=-1 if message.timestamp is None else round(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple((name, value or b"") for name, value in headers),
    )


def _is_stale(event: faust.EventT[Any]) -> bool:
    generation: int = event.app.consumer_generation_id
    return bool(event.message.generation_id != generation)


def _size_bytes(message: Incoming) -> int:
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.value or b"") + len(message.key or b"") + headers


def _drop_content(event: faust.EventT[Any]) -> None:
    """Keep what the acknowledgement needs: thousands may wait for a slow one before them."""
    event.value = event.message.value = None
    event.key = event.message.key = None
    event.headers = event.message.headers = {}


def _line(error: Exception) -> str:
    """What the error says, in one line for people."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
