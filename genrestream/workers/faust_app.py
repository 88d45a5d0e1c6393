"""The Faust application: one agent a kind, the settings under which delivery was proven, start and stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import faust
from faust.transport.consumer import Consumer
from faust.types import TP

from genrestream.schemas import Kind
from genrestream.schemas.topics import INPUT_TOPICS, MAX_ITEM_BYTES

log = logging.getLogger(__name__)

AgentBody = Callable[[faust.StreamT[Any]], Awaitable[None]]


class DrainingApp(faust.App):
    """Faust's application, whose wait for what is in flight at a rebalance has an end."""

    rebalance_drain_s: float = 10.0

    async def _consumer_wait_empty(self, consumer: faust.types.transports.ConsumerT, logger: Any) -> None:
        try:
            async with asyncio.timeout(self.rebalance_drain_s):
                await super()._consumer_wait_empty(consumer, logger)
        except TimeoutError:
            # Waiting on would cost the membership. What is in flight is read again by the partitions' next
            # owner; its labels carry the same revision, and its acknowledgement is dropped by the ledger.
            log.warning("gave up %d messages in flight at a rebalance", len(consumer.unacked))
            consumer.unacked.clear()


def build_faust(
    *,
    group: str,
    name: str,
    kafka_bootstrap: str,
    kinds: Iterable[Kind],
    agent: AgentBody,
    on_revoked: Callable[[Iterable[TP]], None],
    max_buffered_messages: int,
    session_timeout_s: float,
    commit_interval_s: float,
    rebalance_drain_s: float,
    scratch: Path,
) -> faust.App:
    """The application, with `agent` reading the topic of each kind.

    `on_revoked` is told the partitions that were taken away, after the wait for what was in flight.
    """
    app = DrainingApp(
        group,
        broker=f"aiokafka://{kafka_bootstrap}",
        store="memory://",
        # Faust makes a folder for tables even where there are none.
        datadir=str(scratch),
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        # Static membership: a restarted worker gets its partitions back at once, not after the session.
        consumer_group_instance_id=name,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_ITEM_BYTES,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 10,
        broker_request_timeout=max(90.0, 2 * session_timeout_s),
        broker_commit_interval=commit_interval_s,
        producer_acks=-1,
        # Counts messages, not bytes: at worst this many of the largest ones wait, a topic.
        stream_buffer_maxsize=max_buffered_messages,
        # Waits at a rebalance and at the end for what is in flight; False would lose it.
        stream_wait_empty=True,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    app.rebalance_drain_s = rebalance_drain_s
    for kind in kinds:
        topic = app.topic(INPUT_TOPICS[kind].name, key_serializer="raw", value_serializer="raw")
        app.agent(topic, name=f"label-{kind}s", concurrency=1)(agent)

    async def forget(_app: Any, *arguments: Any, **_signal: Any) -> None:
        on_revoked(arguments[0])

    cast(Any, app.on_partitions_revoked).connect(forget)
    return app


class FaustService:
    """Starts and stops the application within this process's own event loop."""

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._crashed: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin to read."""
        self._app.finalize()
        await self._app.start()

    async def wait_for_crash(self) -> BaseException | None:
        """Return when the application has stopped by itself, with the reason where there is one."""
        await self._app.wait_until_stopped()
        reason: BaseException | None = self._app.crash_reason
        return reason

    async def stop(self, deadline_s: float) -> bool:
        """Drain what is in flight, commit, leave; False when the deadline passed first."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._app.stop()
        except TimeoutError:
            return False
        return True

    def assignment(self) -> set[TP]:
        """The partitions that this worker reads now; empty during a rebalance."""
        if self._app.rebalancing or not self._app.started:
            return set()
        assigned: set[TP] = self._app.consumer.assignment()
        return assigned

    def lag(self) -> dict[TP, int]:
        """Messages of each assigned partition that are not committed yet, as far as is known."""
        consumer = cast(Consumer, self._app.consumer)
        lags: dict[TP, int] = {}
        for partition in self.assignment():
            end = consumer.highwater(partition)
            done = consumer._committed_offset.get(partition)  # noqa: SLF001 - Faust shows it nowhere else
            if end is not None and done is not None:
                lags[partition] = max(0, end - done)
        return lags
