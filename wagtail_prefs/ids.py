"""Identifiers: time-ordered UUIDs for rows, random ones for what stands in a link."""

from __future__ import annotations

import binascii
import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562 s5.7): milliseconds first, so that rows of one time share index pages."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def random_id() -> str:
    """128 random bits as 22 URL-safe characters."""
    return secrets.token_urlsafe(16)


_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def b64(data: bytes) -> str:
    """base64url without padding (RFC 4648 s5)."""
    return _encoded(data).decode()


def unb64(text: str) -> bytes:
    """The inverse of `b64`; raises ValueError for anything `b64` would not have written."""
    given = text.encode()
    data = binascii.a2b_base64(given.translate(_FROM_URL_SAFE) + b"=" * (-len(given) % 4))
    if _encoded(data) != given:  # two spellings of one token would be two tokens
        raise ValueError("not canonical base64url")
    return data


def _encoded(data: bytes) -> bytes:
    # What `base64` does with five calls; every request of a session comes by here.
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=")
