"""What Faust logs stays readable."""

import asyncio
import logging

import pytest

from genrestream.workers.faust_app import DrainingApp, FaustService


async def test_a_drain_counts_what_it_waits_for(app: DrainingApp, caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of messages in flight are a number and not a line of as many entries."""
    FaustService(app, asyncio.Event())
    faust = logging.getLogger("faust.transport.drivers.aiokafka")
    faust.warning("[^-Consumer]: wait_empty: Waiting for tasks %r", [(1, "a message")] * 300)
    faust.warning("something else: %r", [1])
    assert caplog.messages == ["draining: 300 messages in flight", "something else: [1]"]
