"""Faust as it is set up here: what it may acknowledge, and what is shown of it at any time."""

from pathlib import Path
from typing import Any, cast

import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from genrestream.schemas import Kind
from genrestream.workers.faust_app import DrainingApp, build_faust

PARTITION = TP("catalog.tracks", 3)


async def _agent(stream: object) -> None: ...


@pytest.fixture
async def app(tmp_path: Path) -> DrainingApp:
    """Faust, not started; it connects nowhere."""
    return build_faust(
        group="g",
        name="n",
        kafka_bootstrap="127.0.0.1:9",
        kinds=[Kind.TRACK],
        agent=_agent,
        on_revoked=lambda partitions: None,
        on_committed=lambda offsets: None,
        max_buffered_messages=1,
        session_timeout_s=30,
        commit_interval_s=1,
        rebalance_drain_s=1,
        scratch=tmp_path,
    )


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
