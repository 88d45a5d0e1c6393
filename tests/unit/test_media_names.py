"""Look-ups of media's hosts: a name service that hangs is bounded in threads and in what waits."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from genrestream.workers.media_names import MediaNames

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


async def test_too_many_look_ups_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are under way, two wait, the fifth is told to come again, and afterwards there is room for it."""
    go = threading.Event()
    under_way = threading.Semaphore(0)

    def hang(*_: Any, **__: Any) -> list[Any]:
        under_way.release()
        go.wait(60)
        return ANSWER

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    names = MediaNames(2)
    try:
        look_ups = [asyncio.create_task(names.resolve(f"{number}.test")) for number in range(4)]
        await asyncio.to_thread(under_way.acquire)
        await asyncio.to_thread(under_way.acquire)
        # Who asked no longer waits; the look-up under way goes on all the same.
        look_ups[0].cancel()
        await asyncio.wait(look_ups[:1])
        with pytest.raises(socket.gaierror) as raised:
            await names.resolve("fifth.test")
        assert raised.value.errno == socket.EAI_AGAIN
        assert not under_way.acquire(blocking=False)
    finally:
        go.set()
    found = await asyncio.gather(*look_ups[1:])
    assert [[address["host"] for address in one] for one in found] == [["192.0.2.1"]] * 3
    assert (await names.resolve("fifth.test"))[0]["hostname"] == "fifth.test"
    await names.close()
