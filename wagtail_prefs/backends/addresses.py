"""Which addresses outgoing HTTP may reach: the public internet only (security.md BK-03).

Our own list and not `ipaddress.is_global`, whose meaning differs between Python releases. It follows the IANA
special-purpose registries. Addresses that carry an IPv4 address inside are judged by that one.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_DENIED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata service stands in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, behind a public address
        "169.254.0.0/16",  # link-local: most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # all that is assigned for global unicast
_DENIED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo (a tunnel to the IPv4 address inside) among them
        "2001:db8::/32",  # documentation
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the only way to IPv4 on a host without it
#: Where a site's own servers stand. Link-local addresses are none of them, nor a cloud's metadata service.
_OWN_V4 = tuple(
    IPv4Network(network) for network in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
_OWN_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_METADATA_V6 = IPv6Network("fd00:ec2::/32")


def is_public(address: str) -> bool:
    """Whether a numeric address, as the resolver gave it, lies in the public internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        inner = _inner(ip)
        if inner is None:
            # A scope id means that it is good on one link only.
            return not ip.scope_id and ip in _GLOBAL_V6 and not any(ip in network for network in _DENIED_V6)
        ip = inner
    return not any(ip in network for network in _DENIED_V4)


def is_own(address: str) -> bool:
    """Whether a numeric address lies on this machine or in a private network."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return not ip.scope_id and ip not in _METADATA_V6 and any(ip in network for network in _OWN_V6)
        ip = ip.ipv4_mapped
    return any(ip in network for network in _OWN_V4)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside: v4-mapped (RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
