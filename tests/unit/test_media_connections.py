"""Connections for media: what servers send unasked does not keep the worker connecting."""

from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_connections import MAX_OUT_OF_STEP, MediaConnections
from genrestream.workers.media_names import MediaNames


class Connection:
    """One on which something has come unasked, or nothing has."""

    def __init__(self, *, out_of_step: bool) -> None:
        self.protocol = SimpleNamespace(should_close=out_of_step)
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def connect(monkeypatch: pytest.MonkeyPatch, made: list[Connection]) -> tuple[object, list[Connection]]:
    """What the connector gives, where the library makes these; and those that are left."""
    left = list(made)

    async def library(*_: object) -> Connection:
        return left.pop(0)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", library)
    async with MediaConnections(AddressPolicy(), MediaNames(1), tls=True) as connections:
        return await connections.connect(cast(Any, None), [], aiohttp.ClientTimeout()), left


async def test_the_first_connection_in_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it are closed."""
    made = [Connection(out_of_step=True), Connection(out_of_step=False)]
    assert await connect(monkeypatch, made) == (made[1], [])
    assert [one.closed for one in made] == [True, False]


async def test_a_server_that_always_sends_unasked_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few connections, all of them closed, as one that disconnects: that may pass."""
    made = [Connection(out_of_step=True) for _ in range(MAX_OUT_OF_STEP + 1)]
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await connect(monkeypatch, made)
    assert [one.closed for one in made] == [*[True] * MAX_OUT_OF_STEP, False]
