"""What Mailchimp tells us: forms, by webhook, signed where the webhook has a signing secret.

`data[email]` left the audience, or mail to it does not arrive. What else it tells (who joined, who changed a field) is
no evidence of anything and is left aside.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.request import QueryDict

from ..changes import OptOut, SetChoice
from ..values import UNSUBSCRIBED, Identifiers, InboundEvent
from .base import BadInbound

#: Seconds that a moment may lie off, both ways.
TOLERANCE = 300
FORM = "application/x-www-form-urlencoded"


def events(request: HttpRequest, secrets: Sequence[str], audience: str) -> list[InboundEvent]:
    """Verify a webhook on its raw bytes where there is a secret, then read it. Raises BadInbound."""
    if secrets:
        verify(request, secrets)
    if request.content_type != FORM:
        raise BadInbound("no-form")
    try:
        form = QueryDict(request.body, encoding="utf-8")
    except (UnicodeDecodeError, ValueError):
        raise BadInbound("no-form") from None
    kind, email = form.get("type", ""), form.get("data[email]", "")
    if not kind or not form.get("fired_at"):
        raise BadInbound("form")
    if kind not in {"unsubscribe", "cleaned"}:
        return []
    if form.get("data[list_id]") != audience:
        return []  # a webhook of another audience leads here by mistake
    if not email or len(email) > 320:
        raise BadInbound("email")
    reason = form.get("data[reason]", "")
    complained = reason == "abuse"
    # To leave an audience is a no to e-mail, whatever else she wants; a complaint is a no to everything.
    left = OptOut() if complained else SetChoice("", "email", UNSUBSCRIBED)
    gone = kind == "cleaned" and not complained
    return [
        InboundEvent(
            event_id="",  # it has none: the same words at the same moment are the same event
            identifiers=Identifiers(email=email),
            changes=() if gone else (left,),
            at=_moment(form.get("fired_at", "")),
            dead=kind == "cleaned" or complained,
        )
    ]


def verify(request: HttpRequest, secrets: Sequence[str]) -> None:
    """`X-Mailchimp-Signature: t=…,v1=…`, the HMAC of `{t}.{body}` with one of our secrets, made within five minutes."""
    given: dict[str, list[str]] = {}
    for part in request.headers.get("X-Mailchimp-Signature", "").split(",")[:10]:
        name, _, value = part.strip().partition("=")
        given.setdefault(name, []).append(value)
    stamp = (given.get("t") or [""])[0]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadInbound("headers")
    if abs(time.time() - int(stamp)) > TOLERANCE:
        raise BadInbound("timestamp")
    message = f"{stamp}.".encode() + request.body
    wanted = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets]
    held = [
        hmac.compare_digest(one.encode(), other.encode()) for one in given.get("v1", ()) for other in wanted
    ]
    if not any(held):
        raise BadInbound("signature")


def _moment(text: str) -> datetime | None:
    """`2026-09-21 14:13:20`, in UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
