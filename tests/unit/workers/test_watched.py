"""Probes never wait for the servers they tell of."""

import asyncio

import pytest

from genrestream.workers import app


async def test_a_server_that_hangs_counts_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim: the look ends in its own time, and what was seen before does not stay."""
    monkeypatch.setattr(app, "LOOK_S", 0.01)
    hangs = False

    async def ask() -> bool:
        if hangs:
            await asyncio.sleep(3600)
        return True

    watched = app._Watched(ask)
    await watched.look()
    assert watched.answers
    hangs = True
    async with asyncio.timeout(60):
        await watched.look()
    assert not watched.answers
