"""What the receiver of our webhooks may tell us in return, signed the same way (docs/how-to/receive-events.md).

`{"type": "contact.unsubscribed", "timestamp": "...", "data": {"contact": {"email": "..."}, "topic": "news", "channel":
"email"}}`; other types are taken and ignored, so that a receiver can send us all that it sends to anybody.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from ..changes import Change, GiveReason, OptOut, SetChoice
from ..values import CHANNELS, UNSUBSCRIBED, Identifiers, InboundEvent, Json
from .base import BadInbound
from .signature import sign

#: Seconds that a moment may lie off, both ways.
TOLERANCE = 300
#: A reason of this form is a code that a page might offer; anything else is somebody's own words.
_CODE = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: Characters of such words that are kept; and what no database takes, or what is no text.
WORDS = 1000
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
UNSUBSCRIBED_TYPE, BOUNCED, COMPLAINED = "contact.unsubscribed", "contact.bounced", "contact.complained"


def events(request: HttpRequest, secrets: Sequence[bytes], alias: str) -> list[InboundEvent]:
    """Verify a webhook on its raw bytes, then read it. Raises BadInbound."""
    message = verified(request, secrets)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadInbound("no-json") from None
    kind = body.get("type") if isinstance(body, dict) else None
    if kind not in (UNSUBSCRIBED_TYPE, BOUNCED, COMPLAINED):
        return []
    data = _part(body, "data")
    changes: list[Change] = []
    dead = False
    if kind == UNSUBSCRIBED_TYPE:
        changes = _left(data)
    else:
        # A mailbox that was full today is there tomorrow.
        dead = kind == COMPLAINED or data.get("permanent", True) is not False
        changes = [OptOut()] if kind == COMPLAINED else []
    if not changes and not dead:
        return []
    return [
        InboundEvent(
            event_id=message,
            identifiers=_who(_part(data, "contact"), alias),
            changes=tuple(changes),
            at=_moment(body.get("timestamp")),
            dead=dead,
        )
    ]


def verified(request: HttpRequest, secrets: Sequence[bytes]) -> str:
    """The id of a message that was signed with one of our secrets within five minutes. Raises BadInbound."""
    message = request.headers.get("webhook-id", "")
    stamp = request.headers.get("webhook-timestamp", "")
    if not (message and len(message) <= 255 and stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadInbound("headers")
    if abs(time.time() - int(stamp)) > TOLERANCE:
        raise BadInbound("timestamp")
    given = [one.encode() for one in request.headers.get("webhook-signature", "").split(" ")[:10]]
    wanted = [one.encode() for one in sign(secrets, message, int(stamp), request.body).split(" ")]
    held = [hmac.compare_digest(one, other) for one in given for other in wanted]
    if not any(held):
        raise BadInbound("signature")
    return message


def _left(data: Json) -> list[Change]:
    """What she left: a topic on a channel, a channel, or everything."""
    topic, channel, reason = (data.get(name) or "" for name in ("topic", "channel", "reason"))
    if not all(isinstance(value, str) for value in (topic, channel, reason)):
        raise BadInbound("data")
    if (channel and channel not in CHANNELS) or (topic and (not channel or len(topic) > 64)):
        raise BadInbound("data")
    left: Change = SetChoice(topic, channel, UNSUBSCRIBED) if channel else OptOut()
    why = _reason(reason)
    return [left, why] if why else [left]


def _reason(given: str) -> GiveReason | None:
    """Why she left; whatever it is, it must not keep her in. Her own words are personal, and a code in a record is not."""
    if _CODE.fullmatch(given):
        return GiveReason(given)
    words = _NO_TEXT.sub("", given).strip()[:WORDS]
    return GiveReason("other", words) if words else None


def _who(contact: Json, alias: str) -> Identifiers:
    texts = {name: contact.get(name) or "" for name in ("id", "email", "external_id")}
    if not all(isinstance(text, str) and len(text) <= 320 for text in texts.values()) or not any(
        texts.values()
    ):
        raise BadInbound("contact")
    remote = {alias: texts["id"]} if texts["id"] else {}
    return Identifiers(email=texts["email"], external_id=texts["external_id"], remote=remote)


def _part(of: Json, name: str) -> Json:
    part: Any = of.get(name)
    if not isinstance(part, dict):
        raise BadInbound(name)
    return part


def _moment(value: object) -> datetime | None:
    """When it happened; None where it does not say, or not in a way that means one moment."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
