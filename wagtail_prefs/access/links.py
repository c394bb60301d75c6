"""Links that stand in mails: made without a row, opened only with a MAC that holds.

A link names its contact by a random alias and holds no address. A manage link degrades after
`MANAGE_LINK_DAYS` (`expired`: unsubscribe or ask for a new one); an unsubscribe link works for ever, also after a
rotation of keys, a revocation, or a change of mind (security.md TK-05, EM-13). A link to why a mail came works as long;
what it tells of her shrinks like a manage link (`expired`, `called_back`). One to a longer pause is as short-lived.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from wagtail.models import Site

from ..concealed import readable
from ..conf import conf
from ..contacts.models import Contact
from ..errors import BadToken, UnknownContact
from ..ids import b64, unb64
from ..topics.models import Audience
from ..values import Json
from . import revocations, tokens
from .headers import ListUnsubscribe

PREFIX = "v1"


class Purpose(enum.StrEnum):
    """What a link is for; one made for one purpose is no link at all for another."""

    MANAGE = "manage"
    UNSUBSCRIBE = "unsubscribe"
    WHY = "why"
    PAUSE = "pause"
    # It names a record and nobody (`receipt_links`).
    RECEIPT = "receipt"
    # These have a row (`once`), and work once.
    FRESH = "fresh"
    CONFIRM = "confirm"
    CHANGE_ADDRESS = "address"


#: The purposes of links that have no row.
LASTING = (Purpose.MANAGE, Purpose.UNSUBSCRIBE, Purpose.WHY, Purpose.PAUSE)
#: Those that open as little as nothing once they were called back, and degrade with age.
_SHORT_LIVED = (Purpose.MANAGE, Purpose.PAUSE)
#: What the page behind a link may lead on to: never to more than a link of the same mail could do.
_LEADS_ON_TO = {
    Purpose.WHY: (Purpose.UNSUBSCRIBE, Purpose.MANAGE),
    Purpose.PAUSE: (Purpose.UNSUBSCRIBE, Purpose.MANAGE),
}


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
    called_back: bool = False  # of a link to why a mail came; others of that age do not open
    message: str = ""  # of such a link: `message_digest`


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
    message: str = "",
) -> str:
    """Sign a link for a contact. No query, no row: a million of them cost a million HMACs.

    `of` is the link whose page leads on to this one, if there is one: it goes with its key (`tokens.sign`). `message` is
    a `message_digest`.
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
    if message:
        payload["m"] = message
    return tokens.sign(PREFIX, payload, of=of)


def message_digest(link_id: str, message_id: str) -> str:
    """What a link says of a message: 12 characters that lead back to its id only for who has both (72 bits)."""
    return b64(hashlib.sha256(f"{link_id}\n{message_id}".encode()).digest()[:9])


def lead_on(link: Link, purpose: Purpose) -> str:
    """The token of another link of the same contact, center, topic and channel, for the page behind `link`.

    As old as that one, of its key and epoch: what ends the one ends the other. Raises ValueError for a purpose that its
    page has no business with.
    """
    if purpose not in _LEADS_ON_TO.get(link.purpose, ()):
        raise ValueError(f"{link.purpose} does not lead on to {purpose}")
    payload: Json = {
        "p": purpose.value,
        "l": link.link_id,
        "a": link.audience_id,
        "e": link.epoch,
        "i": int(link.issued.timestamp()),
    }
    if link.center is not None:
        payload["c"] = b64(link.center.bytes)
    if purpose is Purpose.UNSUBSCRIBE and link.topic:
        payload |= {"t": link.topic, "n": link.channel}
    return tokens.sign(PREFIX, payload, of=link.token)


def open_link(token: str, *purposes: Purpose) -> Link:
    """Open a link made for one of `purposes`.

    Raises BadToken for what is forged, malformed, for another purpose or (but for links to the way out, and to why a
    mail came) revoked, and UnknownContact for a good link whose contact is gone.
    """
    payload = tokens.verify(PREFIX, token)
    said = _read(payload)
    if said["purpose"] not in purposes or said["purpose"] not in LASTING:
        raise BadToken
    tells = said["purpose"] is not Purpose.UNSUBSCRIBE
    found = Contact.objects.filter(link_id=said["link_id"], audience_id=said["audience_id"])
    if tells:
        found = found.annotate(
            revoked=revocations.stops_link(tokens.kid_of(token), said["center"], said["issued"])
        )
    contact = found.select_related("merged_into").first()
    if contact is None:
        raise UnknownContact
    epoch = contact.epoch
    revoked = tells and (said["epoch"] != epoch or getattr(contact, "revoked", False))
    contact = contact.merged_into or contact  # her links lead on to whom she was merged into
    if contact.erased_at:
        raise UnknownContact
    if revoked and said["purpose"] in _SHORT_LIVED:
        raise BadToken("revoked")
    return Link(
        token=token,
        **said,
        expired=tells and timezone.now() - said["issued"] > conf.manage_link_life,
        contact_id=contact.id,
        email=readable(contact, "email"),  # who may come in does not hang on it
        language=contact.language,
        version=contact.version,
        called_back=revoked,
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
            "message": str(optional("m") or ""),
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


def why_url(contact: Contact, topic: str, channel: str, message_id: str, center: UUID | None = None) -> str:
    """The address of the page that says why one mail came. It holds a short digest of `message_id`, and not the id."""
    digest = message_digest(contact.link_id, message_id)
    token = make_token(Purpose.WHY, contact, center=center, topic=topic, channel=channel, message=digest)
    return site_root(contact.audience_id) + reverse("wagtail_prefs:why", args=[token])


def pause_url(contact: Contact, channel: str = "", center: UUID | None = None, *, root: str = "") -> str:
    """The address of the page that pauses once more: everything, or one channel. It lives as long as a manage link.

    `root` is the `site_root` of the contact's audience, for who has asked for it already.
    """
    token = make_token(Purpose.PAUSE, contact, center=center, channel=channel)
    return (root or site_root(contact.audience_id)) + reverse("wagtail_prefs:longer-pause", args=[token])


def one_click_headers(
    contact: Contact, topic: str, channel: str = "email", center: UUID | None = None
) -> dict[str, str]:
    """The headers of a mail about a topic that let a mail client offer one-click unsubscribe (RFC 8058 s3.1).

    Give them to `EmailMessage(headers=...)`; the DKIM signature must cover both.
    """
    return {
        "List-Unsubscribe": ListUnsubscribe(f"<{one_click_url(contact, topic, channel, center)}>"),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
