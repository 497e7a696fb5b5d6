"""The table of addresses that a customer's URL must not lead to."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.net.addresses import refusal

PRIVATE = {  # what WAYPOST_ALLOW_PRIVATE_CALLBACKS lets through
    "10.0.0.0": "private",
    "10.255.255.255": "private",
    "127.0.0.1": "loopback",
    "127.255.255.255": "loopback",
    "172.16.0.0": "private",
    "172.31.255.255": "private",
    "192.168.0.0": "private",
    "192.168.255.255": "private",
    "::1": "loopback",
    "fc00::": "private",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "private",
    "::ffff:10.0.0.1": "private",
    "::ffff:7f00:1": "loopback",
    "64:ff9b::a00:1": "private",
    "64:ff9b::127.0.0.1": "loopback",
}
NEVER = {
    "0.0.0.0": "unspecified",
    "0.255.255.255": "unspecified",
    "100.64.0.0": "shared behind a carrier's NAT",
    "100.100.100.200": "shared behind a carrier's NAT",
    "100.127.255.255": "shared behind a carrier's NAT",
    "168.63.129.16": "a cloud's metadata service",
    "169.254.0.0": "link-local",
    "169.254.169.254": "a cloud's metadata service",
    "169.254.170.2": "link-local",
    "192.0.0.8": "reserved",
    "192.0.0.192": "a cloud's metadata service",
    "192.0.2.1": "for documentation",
    "192.88.99.1": "a 6to4 relay",
    "198.18.0.0": "for benchmarks",
    "198.19.255.255": "for benchmarks",
    "198.51.100.1": "for documentation",
    "203.0.113.255": "for documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.0": "reserved",
    "255.255.255.254": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::2": "reserved",
    "::7f00:1": "reserved",
    "::ffff:0:7f00:1": "reserved",
    "::ffff:169.254.169.254": "a cloud's metadata service",
    "::ffff:0.0.0.0": "unspecified",
    "64:ff9b::169.254.169.254": "a cloud's metadata service",
    "64:ff9b:0:1::7f00:1": "reserved",
    "64:ff9b:1::a00:1": "behind a local NAT64",
    "64:ff9b:1:ffff::8.8.8.8": "behind a local NAT64",
    "100::1": "reserved",
    "2001::1": "a Teredo tunnel",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "a Teredo tunnel",
    "2001:2::1": "for benchmarks",
    "2001:20::1": "reserved",
    "2001:db8::1": "for documentation",
    "2002:7f00:1::": "a 6to4 tunnel",
    "2002:808:808::1": "a 6to4 tunnel",
    "3fff::1": "for documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fd00:ec2::254": "a cloud's metadata service",
    "fd20:ce::254": "a cloud's metadata service",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "fe80::1%eth0": "bound to one network interface",
    "2606:4700::1%1": "bound to one network interface",
}
ALLOWED = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "3ffe:ffff::",
)
NOT_PLAIN = (
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    " 127.0.0.1",
    "127.0.0.01",
    "127.0.0.256",
    "8.8.8.8/32",
    "[::1]",
    "::ffff:0177.0.0.1",
    "①②⑦.⓪.⓪.①",
    "localhost",
    "",
)


@pytest.mark.parametrize(("address", "reason"), [*PRIVATE.items(), *NEVER.items()])
def test_an_address_that_is_not_public_is_refused_by_what_it_is(address: str, reason: str) -> None:
    assert refusal(address, allow_private=False) == reason


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_loopback_addresses_are_let_through_by_setting(address: str) -> None:
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize(("address", "reason"), NEVER.items())
def test_all_others_stay_refused_whatever_the_setting(address: str, reason: str) -> None:
    assert refusal(address, allow_private=True) == reason


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address: str) -> None:
    assert refusal(address, allow_private=False) is None
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("spelling", NOT_PLAIN)
def test_another_spelling_is_no_address(spelling: str) -> None:
    for allow_private in (False, True):
        assert refusal(spelling, allow_private=allow_private) == "not a plain IP address"


@given(st.ip_addresses())
def test_what_is_allowed_is_public_by_pythons_table_too(address: IPv4Address | IPv6Address) -> None:
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if address in IPv6Network("64:ff9b::/96"):
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    judged = inner or address
    if refusal(str(address), allow_private=False) is None:
        assert judged.is_global
        assert not judged.is_multicast


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_its_ipv6_forms(address: IPv4Address) -> None:
    for allow_private in (False, True):
        reason = refusal(str(address), allow_private=allow_private)
        for form in (f"::ffff:{address}", str(ip_address(f"64:ff9b::{address}"))):
            assert refusal(form, allow_private=allow_private) == reason


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    reason = refusal(text, allow_private=True)
    assert reason is None or reason != ""
