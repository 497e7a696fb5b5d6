"""Which addresses a customer's URL may lead to: a table of those that are refused, and why."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple


class _Range(NamedTuple):
    network: IPv4Network | IPv6Network
    reason: str  # completes the sentence "address 10.0.0.1 is …"
    is_own: bool  # one's own machine or network: let through by WAYPOST_ALLOW_PRIVATE_CALLBACKS


def _range(network: str, reason: str, *, own: bool = False) -> _Range:
    return _Range(ip_network(network), reason, own)


# The first match decides, so single addresses stand before the ranges that hold them. Ranges are those of IANA's
# special-purpose registries; metadata addresses are those that AWS, Azure, Google and Oracle publish. We keep the table
# ourselves because `ipaddress.is_private` changes its mind between releases of Python.
_RANGES = (
    _range("168.63.129.16/32", "a cloud's metadata service"),
    _range("169.254.169.254/32", "a cloud's metadata service"),
    _range("192.0.0.192/32", "a cloud's metadata service"),
    _range("0.0.0.0/8", "unspecified"),
    _range("10.0.0.0/8", "private", own=True),
    _range("100.64.0.0/10", "shared behind a carrier's NAT"),
    _range("127.0.0.0/8", "loopback", own=True),
    _range("169.254.0.0/16", "link-local"),
    _range("172.16.0.0/12", "private", own=True),
    _range("192.0.0.0/24", "reserved"),
    _range("192.0.2.0/24", "for documentation"),
    _range("192.88.99.0/24", "a 6to4 relay"),
    _range("192.168.0.0/16", "private", own=True),
    _range("198.18.0.0/15", "for benchmarks"),
    _range("198.51.100.0/24", "for documentation"),
    _range("203.0.113.0/24", "for documentation"),
    _range("224.0.0.0/4", "multicast"),
    _range("255.255.255.255/32", "broadcast"),
    _range("240.0.0.0/4", "reserved"),
    _range("fd00:ec2::/32", "a cloud's metadata service"),
    _range("fd20:ce::/32", "a cloud's metadata service"),
    _range("::/128", "unspecified"),
    _range("::1/128", "loopback", own=True),
    _range("64:ff9b:1::/48", "behind a local NAT64"),
    _range("fc00::/7", "private", own=True),
    _range("fe80::/10", "link-local"),
    _range("fec0::/10", "site-local"),
    _range("ff00::/8", "multicast"),
    _range("2001::/32", "a Teredo tunnel"),
    _range("2001:2::/48", "for benchmarks"),
    _range("2001::/23", "reserved"),
    _range("2001:db8::/32", "for documentation"),
    _range("2002::/16", "a 6to4 tunnel"),
    _range("3fff::/20", "for documentation"),
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")  # all that IANA gives out; what lies outside and isn't named above is reserved
_NAT64 = IPv6Network("64:ff9b::/96")  # the last 32 bits are the IPv4 address that is really reached


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Say why no connection may be made to an address, as what it is ("private"), or None if one may be made.

    Only plain spellings count as addresses: four decimal parts, or IPv6 without a zone; anything else is refused,
    because programs disagree on what 0177.0.0.1 means. `allow_private` lets through loopback, 10/8, 172.16/12,
    192.168/16 and fc00::/7, and nothing else. An IPv4 address inside an IPv6 one (mapped, or NAT64's well-known
    prefix, with which networks without IPv4 reach all of it) is judged in its place.
    """
    if "%" in address:
        return "bound to one network interface"
    try:
        judged = _really_reached(ip_address(address))
    except ValueError:
        return "not a plain IP address"
    for network, reason, is_own in _RANGES:
        if judged in network:
            return None if is_own and allow_private else reason
    if isinstance(judged, IPv6Address) and judged not in _GLOBAL_IPV6:
        return "reserved"
    return None


def _really_reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
