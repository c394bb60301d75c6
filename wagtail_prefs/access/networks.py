"""From which network a request comes, through the proxies that a site says it has."""

from __future__ import annotations

import ipaddress
import logging
import re
import threading

from django.http import HttpRequest

from ..conf import conf

logger = logging.getLogger("wagtail_prefs.networks")

#: `[2001:db8::1]:443` and `203.0.113.7:4711`: some proxies add the port.
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?|(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
#: Longer than any address with its zone and port.
_LONGEST = 100

_hinted = threading.Event()


def network_of(request: HttpRequest) -> str:
    """The client's network: its IPv4 address, or the /64 of its IPv6 address; "" where nobody can say.

    X-Forwarded-For is read from its end, over as many proxies as `TRUSTED_PROXIES` names: what stands before them the
    client wrote itself (security.md AB-03).
    """
    address: str = request.META.get("REMOTE_ADDR", "")
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    proxies = max(conf.trusted_proxies, 0)
    if proxies and forwarded:
        # Each proxy adds whom it was called by. Where there are fewer than that, the first of them was called directly.
        address = forwarded.rsplit(",", proxies)[-proxies:][0]
    network = _network(address)
    if not proxies and forwarded and not _hinted.is_set() and _is_ours(network):
        _hinted.set()
        logger.warning(
            "Requests come through a proxy, so that all people seem to have one address: set TRUSTED_PROXIES"
        )
    return network


def _network(address: str) -> str:
    address = address.strip()
    if len(address) > _LONGEST:
        return ""
    ported = _WITH_PORT.fullmatch(address)
    if ported:
        address = ported[1] or ported[2] or ""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _is_ours(network: str) -> bool:
    """Whether a caller is no visitor but a proxy on this machine or beside it."""
    return network in ("", "::/64") or ipaddress.ip_network(network).is_private
