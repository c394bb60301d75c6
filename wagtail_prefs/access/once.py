"""Links that work once: to personal fields, to confirm a sign-up, to confirm a new address (security.md TK-06).

The mail holds a token that names a row; the row says for whom and for what. Looking uses nothing up: only `consume`
does, by one UPDATE that takes the row of a link nobody has used. It stands in the transaction of what the link does, so
that a link whose act failed can be tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from ..concealed import readable
from ..conf import conf
from ..contacts.models import Contact
from ..errors import BadToken, UnknownContact
from ..ids import b64, unb64
from ..values import Json
from . import revocations, tokens
from .links import PREFIX, Purpose, index_of, site_root
from .models import OneTimeLink

#: Where each kind of link leads.
ROUTES = {Purpose.FRESH: "manage", Purpose.CONFIRM: "confirm", Purpose.CHANGE_ADDRESS: "confirm"}


@dataclass(frozen=True, slots=True)
class Once:
    """An opened link that works once; `over` says that it was used, or is too old."""

    token: str
    purpose: Purpose
    row: str
    audience_id: int
    center: UUID | None
    host: int | None
    contact_id: UUID
    link_id: str
    epoch: int
    email: str
    language: str
    address: str
    answers: Json
    issued: datetime
    expires_at: datetime
    used: bool
    over: bool


def life_of(purpose: Purpose) -> timedelta:
    """How long a link of this purpose works."""
    return {
        Purpose.FRESH: conf.fresh_link_life,
        Purpose.CONFIRM: conf.confirm_link_life,
        Purpose.CHANGE_ADDRESS: conf.change_address_life,
    }[purpose]


def issue(
    purpose: Purpose,
    contact: Contact,
    *,
    center: UUID | None,
    host: int | None = None,
    address: str = "",
    answers: Json | None = None,
) -> str:
    """Make a link that works once, and its row; returns the address to write into a mail to the contact."""
    now = timezone.now()
    row = OneTimeLink.objects.create(
        purpose=purpose.value,
        contact=contact,
        epoch=contact.epoch,
        center=center,
        address=address,
        answers=answers or {},
        issued_at=now,
        expires_at=now + life_of(purpose),
    )
    payload: Json = {
        "p": purpose.value,
        "r": row.pk,
        "a": contact.audience_id,
        "i": int(now.timestamp()),
    }
    if center is not None:
        payload["c"] = b64(center.bytes)
    if host is not None:
        payload["h"] = host
    token = tokens.sign(PREFIX, payload)
    return site_root(contact.audience_id) + reverse(f"wagtail_prefs:{ROUTES[purpose]}", args=[token])


def look(token: str, *purposes: Purpose) -> Once:
    """Open a link for one of `purposes` without using it up.

    Raises BadToken for what is forged, for another purpose, revoked or long forgotten, and UnknownContact for one whose
    contact is gone.
    """
    payload = tokens.verify(PREFIX, token)
    try:
        purpose, row_id, audience = Purpose(payload["p"]), str(payload["r"]), int(payload["a"])
        center = UUID(bytes=unb64(payload["c"])) if "c" in payload else None
        host = index_of(payload)
    except (KeyError, ValueError, TypeError) as error:
        raise BadToken from error
    if purpose not in purposes or purpose not in ROUTES:
        raise BadToken
    issued = datetime.fromtimestamp(int(payload["i"]), UTC)
    row = (
        OneTimeLink.objects.filter(pk=row_id, purpose=purpose.value)
        .annotate(revoked=revocations.stops_link(tokens.kid_of(token), center, issued))
        .select_related("contact__merged_into")
        .first()
    )
    if row is None or row.contact.audience_id != audience or row.center != center:
        raise BadToken
    if row.revoked or row.epoch != row.contact.epoch:
        raise BadToken("revoked")
    contact = row.contact.merged_into or row.contact
    if contact.erased_at:
        raise UnknownContact
    return Once(
        token=token,
        purpose=purpose,
        row=row.pk,
        audience_id=audience,
        center=center,
        host=host,
        contact_id=contact.pk,
        # With her own link_id: it leads on to whom she was merged into, as long as her epoch holds.
        link_id=row.contact.link_id,
        epoch=row.epoch,
        email=readable(contact, "email"),
        language=contact.language,
        address=row.address,
        answers=row.answers,
        issued=row.issued_at,
        expires_at=row.expires_at,
        used=row.used_at is not None,
        over=row.used_at is not None or row.expires_at <= timezone.now(),
    )


def consume(link: Once) -> None:
    """Use a link up, in the transaction of what it does. Raises BadToken where somebody has used it, or it is too old."""
    now = timezone.now()
    # Beside the row's own columns, which are held against what it is once its lock is had, and not in a join.
    still_hers = Exists(Contact.objects.filter(pk=OuterRef("contact"), epoch=link.epoch))
    open_rows = OneTimeLink.objects.filter(still_hers, pk=link.row, used_at=None, expires_at__gt=now)
    taken = open_rows.update(used_at=now, address="", answers={})
    if taken != 1:
        raise BadToken("used")
