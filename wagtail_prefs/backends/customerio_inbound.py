"""What Customer.io tells us: reporting webhooks, each with a signature over its moment and its raw body.

It waits four seconds for an answer and tells nothing else until it has a good one, so nothing is looked up here. It also tells
of what we wrote ourselves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from ..changes import Change, OptOut, SetChoice
from ..values import UNSUBSCRIBED, Identifiers, InboundEvent, Json, Key
from .base import BadInbound

#: Seconds that a moment may lie off, both ways.
TOLERANCE = 300


def events(
    request: HttpRequest, secrets: Sequence[str], topics: Mapping[str, Key], *, by_id: bool
) -> list[InboundEvent]:
    """Verify a webhook on its raw bytes, then read it. Raises BadInbound."""
    verify(request, secrets)
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadInbound("no-json") from None
    data = said.get("data") if isinstance(said, dict) else None
    if not isinstance(data, dict):
        raise BadInbound("data")
    changes, dead = _meaning(said, data, topics)
    if not changes and not dead:
        return []
    return [
        InboundEvent(
            event_id=_text(said.get("event_id")),
            identifiers=_who(data, by_id=by_id),
            changes=tuple(changes),
            at=_moment(said.get("timestamp")),
            dead=dead,
        )
    ]


def verify(request: HttpRequest, secrets: Sequence[str]) -> None:
    """`X-CIO-Signature`: the HMAC of `v0:{X-CIO-Timestamp}:{body}` with one of our keys, made within five minutes."""
    stamp = request.headers.get("X-CIO-Timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadInbound("headers")
    if abs(time.time() - int(stamp)) > TOLERANCE:
        raise BadInbound("timestamp")
    message = f"v0:{stamp}:".encode() + request.body
    given = request.headers.get("X-CIO-Signature", "").encode()
    held = [
        hmac.compare_digest(given, hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode())
        for secret in secrets
    ]
    if not any(held):
        raise BadInbound("signature")


def _meaning(said: Json, data: Json, topics: Mapping[str, Key]) -> tuple[list[Change], bool]:
    """What makes things stricter, and whether mail to her cannot arrive. What people joined is evidence of nothing."""
    match said.get("metric"):
        case "unsubscribed":
            return [OptOut()], False
        case "spammed":
            return [OptOut()], True
        case "bounced":
            # An SMS or a push message that did not arrive says nothing of her address.
            return [], said.get("object_type") == "email"
        case "cio_subscription_preferences_changed":
            content = _content(data.get("content"))
            chosen, channels = content.get("topics"), content.get("channels")
            left: list[Change] = []
            if isinstance(channels, dict) and channels.get("email") is False:
                left.append(SetChoice("", "email", UNSUBSCRIBED))
            if isinstance(chosen, dict):
                left += [
                    SetChoice(*key, UNSUBSCRIBED)
                    for name, key in sorted(topics.items())
                    if chosen.get(name) is False
                ]
            return left, False
    return [], False


def _content(content: Any) -> Json:
    """Topics and channels of a preference event, which come as a text, and only where "body content" is switched on."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return {}
    return content if isinstance(content, dict) else {}


def _who(data: Json, *, by_id: bool) -> Identifiers:
    named = data.get("identifiers")
    named = named if isinstance(named, dict) else {}
    email = _text(named.get("email")) or _text(data.get("email_address")) or _text(data.get("recipient"))
    external_id = (_text(named.get("id")) or _text(data.get("customer_id"))) if by_id else ""
    if not email and not external_id:
        raise BadInbound("identifiers")
    return Identifiers(email=email, external_id=external_id)


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 320 else ""


def _moment(stamp: object) -> datetime | None:
    if isinstance(stamp, bool) or not isinstance(stamp, int):
        return None
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
