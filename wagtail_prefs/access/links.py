"""Links that stand in mails: made without a row, opened only with a MAC that holds.

A link names its contact by a random alias and holds no address. A manage link degrades after
`MANAGE_LINK_DAYS` (`expired`: unsubscribe or ask for a new one); an unsubscribe link works for ever, also after a
rotation of keys, a revocation, or a change of mind (security.md TK-05, EM-13).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from wagtail.models import Site

from ..conf import conf
from ..contacts.models import Contact
from ..errors import BadToken, UnknownContact
from ..ids import b64, unb64
from ..topics.models import Audience
from ..values import Json
from . import revocations, tokens

PREFIX = "v1"


class Purpose(enum.StrEnum):
    """What a link is for; one made for one purpose is no link at all for another."""

    MANAGE = "manage"
    UNSUBSCRIBE = "unsubscribe"
    # These have a row (`once`), and work once.
    FRESH = "fresh"
    CONFIRM = "confirm"
    CHANGE_ADDRESS = "address"


#: The purposes of links that have no row.
LASTING = (Purpose.MANAGE, Purpose.UNSUBSCRIBE)


@dataclass(frozen=True, slots=True)
class Link:
    """An opened link: what its token says, and whom it leads to today."""

    token: str
    purpose: Purpose
    link_id: str
    audience_id: int
    center: UUID | None
    topic: str
    channel: str
    host: int | None  # index into the center's host pages; None = the own page
    issued: datetime
    epoch: int
    expired: bool
    contact_id: UUID
    email: str
    language: str
    version: int


def make_token(
    purpose: Purpose,
    contact: Contact,
    *,
    center: UUID | None = None,
    topic: str = "",
    channel: str = "",
    host: int | None = None,
    issued: datetime | None = None,
    of: str = "",
) -> str:
    """Sign a link for a contact. No query, no row: a million of them cost a million HMACs.

    `of` is the link whose page leads on to this one, if there is one: it goes with its key (`tokens.sign`).
    """
    payload: Json = {
        "p": purpose.value,
        "l": contact.link_id,
        "a": contact.audience_id,
        "e": contact.epoch,
        "i": int((issued or timezone.now()).timestamp()),
    }
    if center is not None:
        payload["c"] = b64(center.bytes)
    if topic:
        payload["t"] = topic
    if channel:
        payload["n"] = channel
    if host is not None:
        payload["h"] = host
    return tokens.sign(PREFIX, payload, of=of)


def open_link(token: str, *purposes: Purpose) -> Link:
    """Open a link made for one of `purposes`.

    Raises BadToken for what is forged, malformed, for another purpose or (but for unsubscribe links) revoked, and
    UnknownContact for a good link whose contact is gone.
    """
    payload = tokens.verify(PREFIX, token)
    said = _read(payload)
    if said["purpose"] not in purposes or said["purpose"] not in LASTING:
        raise BadToken
    manages = said["purpose"] is Purpose.MANAGE
    found = Contact.objects.filter(link_id=said["link_id"], audience_id=said["audience_id"])
    if manages:
        found = found.annotate(
            revoked=revocations.stops_link(tokens.kid_of(token), said["center"], said["issued"])
        )
    contact = found.select_related("merged_into").first()
    if contact is None:
        raise UnknownContact
    epoch = contact.epoch
    revoked = manages and (said["epoch"] != epoch or getattr(contact, "revoked", False))
    contact = contact.merged_into or contact  # her links lead on to whom she was merged into
    if contact.erased_at:
        raise UnknownContact
    if revoked:
        raise BadToken("revoked")
    return Link(
        token=token,
        **said,
        expired=manages and timezone.now() - said["issued"] > conf.manage_link_life,
        contact_id=contact.id,
        email=contact.email,
        language=contact.language,
        version=contact.version,
    )


def _read(payload: Json) -> dict[str, Any]:
    optional: Callable[[str], Any] = payload.get
    try:
        return {
            "purpose": Purpose(payload["p"]),
            "link_id": str(payload["l"]),
            "audience_id": int(payload["a"]),
            "center": UUID(bytes=unb64(payload["c"])) if "c" in payload else None,
            "topic": str(optional("t") or ""),
            "channel": str(optional("n") or ""),
            "host": index_of(payload),
            "issued": datetime.fromtimestamp(payload["i"], UTC),
            "epoch": int(payload["e"]),
        }
    except (KeyError, ValueError, TypeError) as error:
        raise BadToken from error


def index_of(payload: Json) -> int | None:
    """Which of its center's host pages a link leads to; raises ValueError for what is no index."""
    host = payload.get("h")
    if host is not None and (type(host) is not int or host < 0):
        raise ValueError("no index")
    return host


def purpose_of(token: str) -> Purpose:
    """What a link with a MAC that holds is for; raises BadToken. No query."""
    try:
        return Purpose(tokens.verify(PREFIX, token)["p"])
    except (KeyError, ValueError) as error:
        raise BadToken from error


def site_root(audience_id: int) -> str:
    """Scheme, host and port of an audience's site, as configured: never what a request claims (security.md TK-12)."""
    audience = Audience.objects.select_related("site").get(pk=audience_id)
    site = audience.site or Site.objects.get(is_default_site=True)
    root: str = site.root_url
    return root


def manage_url(contact: Contact, center: UUID, *, host: int | None = None) -> str:
    """The address of a contact's manage page; with `host`, of the center's host page of that index."""
    token = make_token(Purpose.MANAGE, contact, center=center, host=host)
    return site_root(contact.audience_id) + reverse("wagtail_prefs:manage", args=[token])


def one_click_url(contact: Contact, topic: str, channel: str, center: UUID | None = None) -> str:
    """The address that unsubscribes a contact from one topic on one channel by a POST (RFC 8058)."""
    token = make_token(Purpose.UNSUBSCRIBE, contact, center=center, topic=topic, channel=channel)
    return site_root(contact.audience_id) + reverse("wagtail_prefs:one-click", args=[token])


def one_click_headers(
    contact: Contact, topic: str, channel: str = "email", center: UUID | None = None
) -> dict[str, str]:
    """The headers of a mail about a topic that let a mail client offer one-click unsubscribe (RFC 8058 s3.1).

    Give them to `EmailMessage(headers=...)`; the DKIM signature must cover both.
    """
    return {
        "List-Unsubscribe": f"<{one_click_url(contact, topic, channel, center)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
