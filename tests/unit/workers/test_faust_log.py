"""What Faust logs stays readable."""

import asyncio
import logging

import pytest

from genrestream.schemas import Kind
from genrestream.workers.faust_app import FaustService, build_faust


async def _agent(stream: object) -> None: ...


def test_a_drain_counts_what_it_waits_for(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of messages in flight are a number and not a line of as many entries."""
    FaustService(
        build_faust(
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
        ),
        asyncio.Event(),
    )
    faust = logging.getLogger("faust.transport.drivers.aiokafka")
    faust.warning("[^-Consumer]: wait_empty: Waiting for tasks %r", [(1, "a message")] * 300)
    faust.warning("something else: %r", [1])
    assert caplog.messages == ["draining: 300 messages in flight", "something else: [1]"]
