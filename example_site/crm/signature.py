"""Checking a webhook's signature and making our own, as anybody of Standard Webhooks does (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from email.message import Message

TOLERANCE_SECONDS = 300


class BadSignature(Exception):
    """The request was not signed with our secret, or not just now."""


def verify(secret: str, headers: Message, body: bytes, *, now: float) -> str:
    """Return the id of the delivery, which stays the same over every retry. Raises BadSignature."""
    delivery = headers.get("webhook-id") or ""
    stamp = headers.get("webhook-timestamp") or ""
    if not delivery or not stamp.isdecimal() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise BadSignature
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.digest(key, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256)
    # Several signatures stand side by side while a secret is being replaced.
    for part in (headers.get("webhook-signature") or "").split():
        version, _, signature = part.partition(",")
        if version == "v1" and hmac.compare_digest(_decoded(signature), expected):
            return delivery
    raise BadSignature


def signed(secret: str, delivery: str, body: bytes, *, now: float) -> dict[str, str]:
    """The headers of a webhook of our own, which the other side checks in the same way."""
    stamp = str(int(now))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""
