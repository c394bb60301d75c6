"""Identifiers: time-ordered UUIDs for rows, random ones for what stands in a link."""

from __future__ import annotations

import base64
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


def b64(data: bytes) -> str:
    """base64url without padding (RFC 4648 s5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The inverse of `b64`; raises ValueError for anything `b64` would not have written."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if b64(data) != text:  # two spellings of one token would be two tokens
        raise ValueError("not canonical base64url")
    return data
