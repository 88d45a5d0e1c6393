"""The addresses that media are fetched from. Decisions only; real connections are tested over HTTP."""

import socket
from ipaddress import ip_network

import pytest

from genrestream.workers.media_address import AddressPolicy, AddressRefusedError

PUBLIC = [
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.31.197.1",
    "192.52.192.1",
    "193.0.0.1",
    "223.255.255.1",
]
PUBLIC_IPV6 = [
    "2600:1::5eff:a00:1",
    "2600:1::400:5efe:a00:1",
    "2620:4f:8001::1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
    "3ffe::1",
]
CARRYING_PUBLIC = ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
INSIDE = [
    *("127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.127.255.255"),
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1"),
    *("192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"),
    *("100::1", "2001:db8::1", "3fff::1", "2001:2::1", "5f00::1", "4000::1"),
]
CARRYING_INSIDE = [
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::10.0.0.1"),
    *("::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1"),
    *("2002:7f00:1::", "2002:808:808::1"),
    # ISATAP: 10.0.0.1, as a local and as a unique address.
    *("2600:1::5efe:a00:1", "2600:1::0:5efe:10.0.0.1", "2600:1::200:5efe:10.0.0.1", "2600:1::300:5efe:a00:1"),
    # Teredo to the client 192.168.0.1, whose bits are inverted.
    "2001:0:808:808:0:0:3f57:fffe",
]
NO_ADDRESSES = [
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1 ",
    "localhost",
    "",
    "１２７.0.0.1",
]


@pytest.mark.parametrize("host", [*PUBLIC, *PUBLIC_IPV6, *CARRYING_PUBLIC])
def test_public_addresses_are_permitted(host: str) -> None:
    """Claim: the internet is open at the usual ports and at no other."""
    policy = AddressPolicy()
    assert [port for port in (22, 25, 80, 443, 6379, 8080, 8443, 9000) if policy.permits(host, port)] == [
        *(80, 443, 8080, 8443)
    ]


@pytest.mark.parametrize("host", [*INSIDE, *CARRYING_INSIDE, *NO_ADDRESSES])
def test_nothing_inside_is_permitted(host: str) -> None:
    """Claim: neither special addresses, nor forms that carry one, nor what is no numeric address."""
    assert not AddressPolicy().permits(host, 80)


def test_a_network_of_the_operator_is_permitted_at_any_port() -> None:
    """Claim: that network and no other, also where its addresses are carried by IPv6 ones."""
    policy = AddressPolicy((ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00:1::1"):
        assert policy.permits(host, 9000)
    for host in ("10.2.0.1", "127.0.0.1", "fd00:2::1", "2002:a01:203::"):
        assert not policy.permits(host, 80)
    assert not policy.permits("8.8.8.8", 9000)


def test_ports_can_be_chosen() -> None:
    """Claim: the chosen ports replace the usual ones, and open nothing inside."""
    policy = AddressPolicy(ports=(8000,))
    assert policy.permits("8.8.8.8", 8000)
    assert not policy.permits("8.8.8.8", 80)
    assert not policy.permits("10.0.0.1", 8000)


def test_no_socket_is_opened_for_what_is_refused() -> None:
    """Claim: the refusal comes before any socket, and its text names no address."""
    policy = AddressPolicy()
    with pytest.raises(AddressRefusedError) as raised:
        policy.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.168.7.9", 80)))
    assert "192" not in str(raised.value)
    with policy.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80))) as made:
        assert made.family == socket.AF_INET
