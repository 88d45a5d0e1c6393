"""Faust as it is set up here, for the tests that look at it from outside."""

from pathlib import Path

import pytest

from genrestream.schemas import Kind
from genrestream.workers.faust_app import DrainingApp, build_faust


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
