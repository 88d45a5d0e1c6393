"""Connections for media: to permitted addresses only, and kept only while they are in step."""

import ssl

import aiohttp
from aiohttp import ClientRequest, ClientTimeout
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from genrestream.workers.media_address import AddressPolicy

NAMES_KEPT_S = 60
MAX_OUT_OF_STEP = 4
"""Connections in a row on which something has come unasked; a server that does so on each is none of HTTP."""


class MediaConnections(aiohttp.TCPConnector):
    """aiohttp's connections with the policy on addresses where each socket is made."""

    def __init__(self, addresses: AddressPolicy, names: AbstractResolver, tls: ssl.SSLContext | bool) -> None:
        super().__init__(
            # `Places` bounds their number; a queue here would use up the time of what waits in it.
            limit=0,
            ttl_dns_cache=NAMES_KEPT_S,
            resolver=names,
            socket_factory=addresses.open_socket,
            ssl=tls,
        )

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - the library's own signature
    ) -> Connection:
        """A connection on which nothing has come unasked.

        What a server sends on an idle connection would be taken for the answer to the next request, and so
        one item's picture for another's.

        Raises ServerDisconnectedError, besides the library's own errors, when each is such a one.
        """
        for _ in range(MAX_OUT_OF_STEP):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        raise aiohttp.ServerDisconnectedError
