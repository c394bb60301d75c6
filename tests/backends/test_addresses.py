"""Which addresses outgoing HTTP may reach (security.md BK-03)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.backends.addresses import is_own, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",  # IPv4-compatible
        "::ffff:127.0.0.1",  # IPv4-mapped
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",  # NAT64 of the local network
        "100::1",  # discard
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",  # 6to4
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "fec0::1",
        "ff02::1",
        "not an address",
        "",
    ],
)
def test_no_way_into_a_private_network(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.216.34",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)
def test_the_public_internet_is_open(address: str) -> None:
    assert is_public(address)


OWN = ["10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fc00::1", "fd12::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", OWN)
def test_a_sites_own_servers_stand_in_private_networks(address: str) -> None:
    assert is_own(address)
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "100.100.100.200",  # a cloud's metadata service
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:169.254.169.254",
        "2002:a00:1::1",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",  # a cloud's metadata service
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1%eth0",
        "fec0::1",
        "ff02::1",
        "1.1.1.1",
        "2606:4700::1111",
        "localhost",
        "",
    ],
)
def test_credentials_of_a_cloud_stand_nowhere_in_it(address: str) -> None:
    assert not is_own(address)


@given(st.ip_addresses(v=4))
@pytest.mark.property
@examples(300)
def test_no_way_of_writing_an_address_changes_what_it_is(address: ipaddress.IPv4Address) -> None:
    public = is_public(str(address))
    assert is_public(f"::ffff:{address}") is public
    assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | int(address)))) is public
    assert is_public(str(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1))) is public
    assert not (public and is_own(str(address)))
    if not address.is_global:  # we are at least as strict as the standard library
        assert not public


@given(st.ip_addresses(v=6))
@pytest.mark.property
@examples(300)
def test_nothing_is_public_that_the_standard_library_calls_private(address: ipaddress.IPv6Address) -> None:
    carries = address.ipv4_mapped or address.sixtofour or address in ipaddress.IPv6Network("64:ff9b::/96")
    if carries:
        return  # judged by the IPv4 address inside, see above
    if address.is_private or address.is_multicast or address.is_link_local or address.is_reserved:
        assert not is_public(str(address))
