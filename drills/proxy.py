"""A TCP proxy between a worker and a server, which can stall and cut what goes through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 64 * 1024


class Proxy:
    """Forwards bytes between its own port and a server's."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """host:port to connect to."""
        if self._server is None:
            raise RuntimeError("the proxy does not listen")
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def listen(self, port: int = 0) -> None:
        """Take connections, on a free port where none is given."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", port)

    def stall(self) -> None:
        """Keep connections open and let no byte through, also on new ones."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let through what was held."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """Cut all and take no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(address: str, own_port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before the server at `address` (host:port), on a free port unless one is named."""
    host, port = address.rsplit(":", 1)
    between = Proxy(host, int(port))
    await between.listen(own_port)
    try:
        yield between
    finally:
        await between.close()
