"""From which network a request comes, through the proxies that a site says it has."""

from __future__ import annotations

import ipaddress

from django.http import HttpRequest

from ..conf import conf


def network_of(request: HttpRequest) -> str:
    """The client's network: its IPv4 address, or the /64 of its IPv6 address; "" where nobody can say.

    X-Forwarded-For is read from its end, over as many proxies as `TRUSTED_PROXIES` names: what stands before them the
    client wrote itself (security.md AB-03).
    """
    address: str = request.META.get("REMOTE_ADDR", "")
    if conf.trusted_proxies:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        chain = [*(part for part in forwarded if part), address]
        address = chain[-1 - min(conf.trusted_proxies, len(chain) - 1)]
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
