"""Ports on the loopback interface."""

import random
import socket

from genrestream.ops.errors import StackError

HOST = "127.0.0.1"

FIRST, LAST = 20_000, 32_700
"""Below Linux's ephemeral range (from 32,768), so that no outgoing connection takes a port between choosing
and listening; wide enough that two stacks started at once hardly choose the same."""

ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too: a port whose last connections linger in TIME_WAIT can be listened on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class Ports:
    """Hands out free ports, none of them twice."""

    def __init__(self, *, usual: bool) -> None:
        """`usual` prefers the port a server usually has, where that is free."""
        self._usual = usual
        self._given: set[int] = set()

    def choose(self, usual: int | None = None) -> int:
        """A free port: `usual` where preferred and free, else one at random.

        Raises `StackError` when none is found.
        """
        if self._usual and usual is not None and usual not in self._given and is_free(usual):
            self._given.add(usual)
            return usual
        for _ in range(ATTEMPTS):
            port = random.randint(FIRST, LAST)  # noqa: S311 - no secret
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise StackError(f"no free port between {FIRST} and {LAST} on {HOST}")


def accepts_connections(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
