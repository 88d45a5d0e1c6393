"""Misbehaving servers for the tests of media over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.media.servers import BareServer, HttpServer, bare_server, http_server


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as running:
        yield running


@pytest.fixture
async def bare() -> AsyncIterator[BareServer]:
    async with bare_server() as running:
        yield running
