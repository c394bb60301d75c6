"""What HubSpot tells us: webhooks of an app, signed, up to a hundred events in a call.

There is no event of a subscription; a contact's opt-outs are properties of the contact as well, and these have events. An
event names the contact by its id alone: whom it means is known from what HubSpot answered when the contact was written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.http import HttpRequest

from ..changes import Change, OptOut, SetChoice
from ..values import UNSUBSCRIBED, Identifiers, InboundEvent, Json, Key
from .base import BadInbound

#: Seconds that a moment may lie off, both ways.
TOLERANCE = 300
#: Events in a call.
MOST = 100
_OPT_OUT = "hs_email_optout"
#: The type of contacts, in the newer events of objects.
_CONTACT = "0-1"
#: Characters that HubSpot decodes in the address before it signs.
_DECODED = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def events(
    request: HttpRequest,
    secrets: Sequence[str],
    *,
    url: str,
    alias: str,
    portal: str,
    topic: Callable[[str], Key | None],
) -> list[InboundEvent]:
    """Verify a webhook on its raw bytes, then read it. Raises BadInbound."""
    verify(request, secrets, url)
    try:
        told = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadInbound("no-json") from None
    if not isinstance(told, list) or len(told) > MOST:
        raise BadInbound("form")
    found = []
    for event in told:
        if not isinstance(event, dict):
            raise BadInbound("event")
        if portal and str(event.get("portalId")) != portal:
            continue  # ids of contacts are of an account: another one's would name somebody else
        change = _change(event, topic)
        if change is not None:
            found.append(_event(event, change, alias))
    return found


def verify(request: HttpRequest, secrets: Sequence[str], url: str) -> None:
    """`X-HubSpot-Signature-v3`: the HMAC of method, address, body and timestamp with one of our secrets."""
    stamp = request.headers.get("X-HubSpot-Request-Timestamp", "")
    given = request.headers.get("X-HubSpot-Signature-v3", "")
    if not (given and stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
        raise BadInbound("headers")
    if abs(time.time() - int(stamp) / 1000) > TOLERANCE:
        raise BadInbound("timestamp")
    address = _address(request, url)
    addresses = dict.fromkeys((address, _DECODED.sub(lambda found: chr(int(found[1], 16)), address)))
    method = str(request.method)
    held = [
        hmac.compare_digest(given.encode(), _signature(secret, method, each, request.body, stamp))
        for secret in secrets
        for each in addresses
    ]
    if not any(held):
        raise BadInbound("signature")


def _signature(secret: str, method: str, address: str, body: bytes, stamp: str) -> bytes:
    message = f"{method}{address}".encode() + body + stamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256))


def _address(request: HttpRequest, url: str) -> str:
    """What HubSpot called. `url` is the whole of it, or only how the outer address begins: `https://www.example.org`."""
    if not url:
        return request.build_absolute_uri()
    if urlsplit(url).path in {"", "/"}:
        return f"{url.rstrip('/')}{request.get_full_path()}"
    return url


def _change(event: Json, topic: Callable[[str], Key | None]) -> Change | None:
    """What it makes stricter; None for everything else."""
    kind = event.get("subscriptionType")
    if kind == "contact.privacyDeletion":
        return OptOut()  # somebody over there had her forgotten
    about_contact = kind == "contact.propertyChange" or (
        kind == "object.propertyChange" and event.get("objectTypeId") == _CONTACT
    )
    name, value = event.get("propertyName"), event.get("propertyValue")
    if not about_contact or not isinstance(name, str) or str(value).lower() != "true":
        return None
    if name == _OPT_OUT:
        return SetChoice("", "email", UNSUBSCRIBED)
    key = topic(name.removeprefix(f"{_OPT_OUT}_")) if name.startswith(f"{_OPT_OUT}_") else None
    return SetChoice(*key, UNSUBSCRIBED) if key else None


def _event(event: Json, change: Change, alias: str) -> InboundEvent:
    contact, number, at = (event.get(name) for name in ("objectId", "eventId", "occurredAt"))
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in (contact, number)):
        raise BadInbound("event")
    # HubSpot does not promise that eventId is unique; a second attempt repeats all of this.
    parts = (event.get("portalId"), number, contact, at, event.get("propertyName") or "deletion")
    return InboundEvent(
        event_id="-".join(str(part)[:100] for part in parts),
        identifiers=Identifiers(remote={alias: str(contact)}),
        changes=(change,),
        at=_moment(at),
    )


def _moment(milliseconds: object) -> datetime | None:
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
