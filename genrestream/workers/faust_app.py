"""The Faust application: one agent a kind, the settings under which delivery was proven, start and stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sized
from pathlib import Path
from typing import Any, NoReturn, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP, Message

from genrestream.schemas import Kind
from genrestream.schemas.topics import INPUT_TOPICS, MAX_ITEM_BYTES
from genrestream.workers.membership import Membership

log = logging.getLogger(__name__)

AgentBody = Callable[[faust.StreamT[Any]], Awaitable[None]]


NEVER_S = 365 * 24 * 3600.0
ASK_EVERY_S = 1.0
COMMIT_SPACING_S = 0.05
"""Between two commits that somebody waits for."""
CLOSING_S = 5.0
"""For leaving the group and closing connections, after what was in flight is done or given up."""


class DrainingApp(faust.App):
    """Faust's application, whose waits for what is in flight have an end.

    Cancelling such a wait does not end it: Faust takes the cancellation for an acknowledgement and waits on.
    It ends when nothing is left to wait for.
    """

    on_committed: Callable[[Mapping[TP, int]], None]
    """Told the offsets that were committed: of each partition, the next one to be read."""
    rebalance_drain_s: float = 10.0
    stop_drain_s: float = 20.0

    async def wait_for_in_flight(self, consumer: faust.types.transports.ConsumerT) -> None:
        """Return once what was in flight is committed, or given up."""
        await self._consumer_wait_empty(consumer, log)

    async def _consumer_wait_empty(self, consumer: faust.types.transports.ConsumerT, logger: Any) -> None:
        drain_s = self.stop_drain_s if self.should_stop else self.rebalance_drain_s
        end = asyncio.get_running_loop().call_later(drain_s, self._give_up, consumer, drain_s)
        try:
            await super()._consumer_wait_empty(consumer, logger)
        finally:
            end.cancel()

    def _give_up(self, consumer: faust.types.transports.ConsumerT, drain_s: float) -> None:
        # Waiting on at a rebalance would cost the membership. What is not committed is read again, by this
        # worker or another, and its labels carry the same revision.
        log.warning(
            "%d messages still in flight after %g s: they are read again", len(consumer.unacked), drain_s
        )
        consumer.unacked.clear()


class CommittingConsumer(Consumer):
    """Faust's consumer, which commits what is done before its partitions change hands.

    Faust itself forgets all that is acknowledged and not yet committed as soon as a rebalance begins: up to
    a commit interval of work would be done twice.
    """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Take in nothing more, finish and commit what is in flight, then let go."""
        app = cast(DrainingApp, self.app)
        if not app.should_stop and (assigned := self.assignment()):
            self.stop_flow()
            app.flow_control.suspend()
            self.pause_partitions(assigned)
            # What waits in the agents' buffers was not begun: the next owner reads it.
            app.flow_control.clear()
            await app.wait_for_in_flight(self)
        await super().on_partitions_revoked(revoked)

    def ack(self, message: Message) -> bool:
        """Note that the message is done; not if it is of an assignment that is over.

        Whatever its partition's owner reads now, Faust would commit behind it.
        """
        if message.generation_id != self.app.consumer_generation_id:
            return False
        acknowledged: bool = super().ack(message)
        return acknowledged

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if done:
            mine = self.assignment()
            cast(DrainingApp, self.app).on_committed(
                {tp: offset for tp, offset in offsets.items() if tp in mine}
            )
        return done


class NoTables(TableManager):
    """Faust's tables, of which there are none: it waits a second at the start for them to be declared."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        """Go on at once."""
        await self._update_channels()
        await self.recovery.start()


def build_faust(
    *,
    group: str,
    name: str,
    kafka_bootstrap: str,
    kinds: Iterable[Kind],
    agent: AgentBody,
    on_revoked: Callable[[Iterable[TP]], None],
    on_committed: Callable[[Mapping[TP, int]], None],
    max_buffered_messages: int,
    session_timeout_s: float,
    commit_interval_s: float,
    rebalance_drain_s: float,
    scratch: Path,
    security: Mapping[str, Any] | None = None,
) -> DrainingApp:
    """The application, with `agent` reading the topic of each kind.

    `on_revoked` is told the partitions that were taken away, after the wait for what was in flight;
    `on_committed` the next offset to be read of each partition that was committed. `security` holds
    aiokafka's arguments of that kind.
    """
    app = DrainingApp(
        group,
        broker=";".join(f"aiokafka://{address.strip()}" for address in kafka_bootstrap.split(",")),
        broker_credentials=_credentials(security or {}),
        TableManager=NoTables,
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
        # Faust's watch for streams that stand still says so in pages of text a partition, every few seconds,
        # also of those that wait for Triton on purpose. Lag, oldest age and liveness say it here.
        stream_processing_timeout=NEVER_S,
        broker_commit_livelock_soft_timeout=NEVER_S,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    app.rebalance_drain_s = rebalance_drain_s
    app.on_committed = on_committed
    cast(Any, app.transport).Consumer = CommittingConsumer
    for kind in kinds:
        topic = app.topic(INPUT_TOPICS[kind].name, key_serializer="raw", value_serializer="raw")
        app.agent(topic, name=f"label-{kind}s", concurrency=1)(agent)

    async def forget(_app: Any, *arguments: Any, **_signal: Any) -> None:
        on_revoked(arguments[0])

    cast(Any, app.on_partitions_revoked).connect(forget)
    return app


def _credentials(security: Mapping[str, Any]) -> SASLCredentials | SSLCredentials | None:
    """The same connection in Faust's terms, which it turns back into aiokafka's arguments."""
    context = security.get("ssl_context")
    if "sasl_mechanism" in security:
        return SASLCredentials(
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            mechanism=security["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def _count_what_is_waited_for(record: logging.LogRecord) -> bool:
    """Say how many messages a drain waits for, where Faust lists them all, many pages long."""
    if str(record.msg).endswith("wait_empty: Waiting for tasks %r") and isinstance(record.args, tuple):
        record.msg, record.args = "draining: %d messages in flight", (len(cast(Sized, record.args[0])),)
    return True


class FaustService:
    """Starts and stops the application within this process's own event loop."""

    def __init__(self, app: DrainingApp, commit_wanted: asyncio.Event) -> None:
        """`commit_wanted` is set when something waits for a commit before the interval is over."""
        self._app = app
        self._commit_wanted = commit_wanted
        self._committing: asyncio.Task[NoReturn] | None = None
        self._reads = False
        self._membership: Membership | None = None
        logging.getLogger("faust.transport.drivers.aiokafka").addFilter(_count_what_is_waited_for)

    @property
    def name(self) -> str:
        """The worker's, and so the static member's."""
        return str(self._app.conf.consumer_group_instance_id)

    async def start(self) -> None:
        """Join the group and begin to read."""
        self._app.finalize()
        await self._app.start()
        # Its `started` is true from the beginning of the start, when there is no consumer to be asked yet.
        self._reads = True
        self._committing = asyncio.create_task(self._commit_when_wanted())

    async def _commit_when_wanted(self) -> NoReturn:
        while True:
            await self._commit_wanted.wait()
            self._commit_wanted.clear()
            if not self._app.rebalancing:
                try:
                    await self._app.consumer.commit()
                except Exception:
                    # It is committed again at the next wish, and every interval.
                    log.exception("cannot commit at once")
            await asyncio.sleep(COMMIT_SPACING_S)

    async def wait_for_crash(self) -> str:
        """Return when the application has stopped by itself, with the reason."""
        await self._app.wait_until_stopped()
        return f"Faust stopped: {self._app.crash_reason or 'no reason given'}"

    async def wait_for_refusal(self) -> str:
        """Return when this worker cannot be in its group, with the reason."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            if self._membership is None:
                session_s = self._app.conf.broker_session_timeout
                self._membership = Membership(self._app.consumer, self.name, session_s)
            reason = await self._membership.refusal()
            if reason is not None:
                return reason

    @property
    def displaced(self) -> bool:
        """Whether another worker runs under this one's name."""
        return self._membership is not None and self._membership.displaced

    async def stop(self, drain_s: float) -> None:
        """Drain what is in flight, commit, leave, as far as that can be done in time."""
        self._reads = False
        self._app.stop_drain_s = drain_s
        if self._committing is not None:
            self._committing.cancel()
        stopping = asyncio.create_task(self._app.stop())
        # Not `timeout`: Faust does not end because it is cancelled.
        await asyncio.wait({stopping}, timeout=drain_s + CLOSING_S)
        if stopping.done():
            stopping.result()

    def assignment(self) -> set[TP]:
        """The partitions that this worker reads now; empty during a rebalance."""
        if self._app.rebalancing or not self._reads:
            return set()
        assigned: set[TP] = self._app.consumer.assignment()
        return assigned

    def lag(self) -> dict[TP, int]:
        """Messages of each assigned partition that are not committed yet, as far as is known.

        Before the first commit ever of a partition: those that are not read yet.
        """
        consumer = cast(Consumer, self._app.consumer)
        lags: dict[TP, int] = {}
        for partition in self.assignment():
            end = consumer.highwater(partition)
            # Faust shows them nowhere else.
            done = consumer._committed_offset.get(partition)  # noqa: SLF001
            if done is None and (read := consumer._read_offset.get(partition)) is not None:  # noqa: SLF001
                done = read + 1
            if end is not None and done is not None:
                lags[partition] = max(0, end - done)
        return lags
