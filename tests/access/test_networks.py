"""Whose requests are counted together: nothing that a client writes decides (security.md AB-03)."""

from __future__ import annotations

import ipaddress

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import given, strategies as st
from pytest_django import Settings

from tests.properties import examples
from wagtail_prefs.access import networks
from wagtail_prefs.access.networks import network_of

PROXY = "10.0.0.1"


def request_of(address: str = "203.0.113.7", forwarded: str | None = None) -> HttpRequest:
    request = RequestFactory().get("/", REMOTE_ADDR=address)
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    return request


@pytest.fixture
def behind(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "TRUSTED_PROXIES": 1}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[fe80::1%25eth0]:80", "fe80::/64"),
        ("", ""),  # a unix socket
        ("unix:", ""),
        ("unknown", ""),
        ("_hidden", ""),
        ("203.0.113.7.1", ""),
        ("203.0.113.999", ""),
        ("203.0.113.07", ""),
        ("[203.0.113.7", ""),
        ("[]", ""),
        ("1" * 10_000, ""),
        ("\x00", ""),
        ("²⁰³.0.113.7", ""),
    ],
)
def test_addresses(address: str, network: str, behind: None) -> None:
    assert network_of(request_of(address)) == network
    assert network_of(request_of(PROXY, f"192.0.2.1,{address}" if address else None)) == (
        network if address else PROXY
    )


ADDRESSES = st.ip_addresses().map(str)
WRITTEN = st.lists(st.one_of(ADDRESSES, st.text(max_size=20), st.just("unknown"), st.just("")), max_size=6)


@pytest.mark.property
@examples(300)
@given(written=WRITTEN, client=ADDRESSES, behind=st.lists(ADDRESSES, max_size=3))
def test_only_what_our_proxies_wrote_counts(written: list[str], client: str, behind: list[str]) -> None:
    """The client writes what it likes; each of our proxies adds whom it was called by."""
    from django.test import override_settings

    expected = network_of(request_of(client))
    *between, last = [*behind, PROXY]  # the proxies, from the client's to ours
    forwarded = ", ".join([*written, client, *between])
    with override_settings(WAGTAIL_PREFS={"TRUSTED_PROXIES": len(between) + 1}):
        assert network_of(request_of(last, forwarded)) == expected
    with override_settings(WAGTAIL_PREFS={"TRUSTED_PROXIES": 0}):
        assert network_of(request_of(last, forwarded)) == PROXY


@pytest.mark.property
@examples(200)
@given(forwarded=st.text(), address=st.one_of(ADDRESSES, st.text()), proxies=st.integers(-1, 5))
def test_whatever_stands_there_it_is_a_network_or_nothing(forwarded: str, address: str, proxies: int) -> None:
    from django.test import override_settings

    with override_settings(WAGTAIL_PREFS={"TRUSTED_PROXIES": proxies}):
        found = network_of(request_of(address, forwarded))
    if found:
        network = ipaddress.ip_network(found)
        assert network.prefixlen == (64 if network.version == 6 else 32)


def test_who_calls_a_proxy_further_in_is_known_as_well(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "TRUSTED_PROXIES": 3}
    assert network_of(request_of(PROXY, "198.51.100.9")) == "198.51.100.9"
    assert network_of(request_of("198.51.100.9")) == "198.51.100.9"
    assert network_of(request_of("198.51.100.9", "")) == "198.51.100.9"


def test_behind_a_unix_socket(behind: None) -> None:
    assert network_of(request_of("", "192.0.2.1, 198.51.100.9")) == "198.51.100.9"
    assert network_of(request_of("")) == ""


@pytest.mark.parametrize(
    ("address", "forwarded", "hints"),
    [
        ("127.0.0.1", "198.51.100.9", 1),
        ("", "198.51.100.9", 1),
        ("10.1.2.3", "198.51.100.9", 1),
        ("fd00::1", "198.51.100.9", 1),
        ("::1", "198.51.100.9", 1),
        ("8.8.8.8", "198.51.100.9", 0),  # a visitor who writes headers
        ("127.0.0.1", None, 0),  # development
    ],
)
def test_a_proxy_that_nobody_named_is_told_of_once(
    caplog: pytest.LogCaptureFixture, address: str, forwarded: str | None, hints: int
) -> None:
    networks._hinted.clear()
    for _ in range(3):
        network_of(request_of(address, forwarded))
    assert len(caplog.records) == hints
    assert "198.51.100.9" not in caplog.text
