"""What a bare machine may lack and only some tests need."""

import socket

import pytest


def _has_address(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except socket.gaierror:
        return False


needs_localhost = pytest.mark.skipif(
    not _has_address("localhost"), reason="localhost has no address here: there is no /etc/hosts"
)
