"""Which addresses media are fetched from: the public internet, and what the operator allows besides.

The check is made where a connection is made, on the numeric address that it goes to. So it holds for every
redirect and every answer of a name service, however the URL spells its host.

Source: the IANA registries of special-purpose IPv4 and IPv6 addresses, which RFC 6890 set up.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import AddrInfoType

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

USUAL_PORTS = (80, 443, 8080, 8443)
"""Where media are served; strangers do not get us to send requests to the mail servers of others."""

_INSIDE_IPV4 = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the machine itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata on a public address
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112, which answers for private addresses
        "192.52.193.0/24",  # relays of AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

_PUBLIC_IPV6 = ip_network("2000::/3")
"""All unicast addresses that are handed out: what is unspecified, loopback, IPv4-compatible, unique local,
link-local, site-local or multicast lies outside."""
_INSIDE_IPV6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments, among them Teredo, which carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

_CARRIERS = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
"""IPv4-mapped addresses and those of a NAT64: the IPv4 address in their last 32 bits decides."""

_ISATAP = 0x5EFE
"""Its mark in front of an IPv4 address in an interface identifier, under any prefix (RFC 5214, 6.1)."""
_ISATAP_BITS = 0xFCFF_FFFF
"""Without the bits that say whether the IPv4 address is unique."""


class AddressRefusedError(OSError):
    """Media are not fetched from the address; no connection was tried. Its text does not name it."""

    def __init__(self) -> None:
        super().__init__("an address or port that media are not fetched from")


class AddressPolicy:
    """Public addresses at the usual ports, and whatever lies in the allowed networks, at any port."""

    def __init__(self, allowed: tuple[Network, ...] = (), ports: tuple[int, ...] = USUAL_PORTS) -> None:
        self._allowed = allowed
        self._ports = frozenset(ports)

    def permits(self, host: str, port: int) -> bool:
        """Whether to connect to the numeric address; False for what is none, such as `127.1`."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        carried = _carried(address)
        if any(one in network for network in self._allowed for one in (address, carried)):
            return True
        return port in self._ports and _is_public(carried)

    def open_socket(self, address_info: "AddrInfoType") -> socket.socket:
        """An unconnected socket for the address; aiohttp's `socket_factory`.

        Raises:
            AddressRefusedError: nobody is to connect there.
        """
        family, kind, protocol, _, address = address_info
        if not self.permits(address[0], address[1]):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)


def _carried(address: Address) -> Address:
    """The IPv4 address that the address leads to, else the address itself."""
    if any(address in carrier for carrier in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INSIDE_IPV4)
    if (int(address) >> 32) & _ISATAP_BITS == _ISATAP:
        return False
    return address in _PUBLIC_IPV6 and not any(address in network for network in _INSIDE_IPV6)
