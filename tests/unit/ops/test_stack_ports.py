"""Ports: the usual one where it is free, another where it is not."""

import socket

from genrestream.ops.ports import FIRST, HOST, LAST, Ports, accepts_connections, is_free


def listening() -> socket.socket:
    server = socket.socket()
    server.bind((HOST, 0))
    server.listen()
    return server


def test_a_taken_usual_port_gives_way():
    """The port that something listens on is not chosen, its neighbour range is."""
    with listening() as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert accepts_connections(HOST, taken)
        assert FIRST <= Ports(usual=True).choose(taken) <= LAST


def test_a_free_usual_port_is_taken_where_wanted():
    """`up` takes the usual port, a test's stack does not."""
    usual = Ports(usual=False).choose()
    assert Ports(usual=True).choose(usual) == usual
    assert Ports(usual=False).choose(usual) != usual


def test_no_port_is_given_twice():
    """Also not while nothing listens on it yet."""
    ports = Ports(usual=True)
    usual = ports.choose()
    given = [ports.choose(usual) for _ in range(50)]
    assert len({usual, *given}) == 51
