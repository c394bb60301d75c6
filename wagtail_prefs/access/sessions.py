"""From a link to a session: a one-time code for one origin, exchanged for a short bearer of the same origin.

The long-lived link stays on our own origin. A host page gets a code in its fragment: good for ten minutes, once,
from that origin. The session it opens names center and origin, lives half an hour, and is kept by the tab.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from ..conf import conf
from ..contacts import store
from ..errors import BadToken, ForeignOrigin
from ..ids import b64, random_id
from ..values import Assurance, Json
from . import tokens
from .links import Link
from .models import UsedCode
from .once import Once
from .revocations import NOTHING_REVOKED, Revoked

CODE_PREFIX = "c1"
SESSION_PREFIX = "s1"
#: How long a used code is known after its end: a request that began before it may be held up.
KEPT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Session:
    """Who may act on which center, from which origin, until when; `began` is when its code was used."""

    link_id: str
    audience_id: int
    center: UUID
    origin: str
    assurance: Assurance
    epoch: int
    expires_at: datetime
    began: datetime
    kid: str  # the key that signed it


def make_code(link: Link | Once, center: UUID, origin: str, *, assurance: Assurance = "link") -> str:
    """A code that opens one session of this link's contact, from `origin`. Makes no row.

    `fresh` is for whoever has just used up a link that was mailed to her stored address.
    """
    return tokens.sign(
        CODE_PREFIX,
        {
            "l": link.link_id,
            "a": link.audience_id,
            "c": b64(center.bytes),
            "o": origin,
            "i": int(timezone.now().timestamp()),
            "e": link.epoch,
            "n": random_id(),
            **({"g": "fresh"} if assurance == "fresh" else {}),
        },
        of=link.token,
    )


def redeem_code(
    code: str, *, center: UUID, origin: str, revoked: Revoked = NOTHING_REVOKED
) -> tuple[str, Session]:
    """Use a code up; returns (bearer, session). `revoked` is what was called back of the center.

    Raises ForeignOrigin for another origin than the code's, and BadToken for a code that is forged, of another
    center, older than ten minutes, or used before.
    """
    payload = tokens.verify(CODE_PREFIX, code)
    now = timezone.now()
    issued = _moment(payload, "i")
    if payload.get("c") != b64(center.bytes):
        raise BadToken
    if now - issued > conf.code_life:
        raise BadToken("expired")
    if revoked.stops(tokens.kid_of(code), issued):
        raise BadToken("revoked")
    if payload.get("o") != origin:
        raise ForeignOrigin
    forget_used_codes()  # here, because nothing else comes by as often as codes do
    try:
        with transaction.atomic():
            UsedCode.objects.bulk_create(
                [
                    UsedCode(
                        digest=hashlib.sha256(code.encode()).hexdigest(), expires_at=issued + conf.code_life
                    )
                ]
            )
    except IntegrityError as error:
        raise BadToken("used") from error
    moment = int(now.timestamp())
    bearer = tokens.sign(
        SESSION_PREFIX,
        {
            **{name: payload[name] for name in ("l", "a", "c", "o", "e")},
            "g": payload.get("g", "link"),
            "i": moment,
            "b": moment,
        },
        of=code,
    )
    return bearer, open_session(bearer, center=center, origin=origin)


def start_session(link: Link | Once, center: UUID, origin: str, *, assurance: Assurance) -> str:
    """A bearer without a code, for a page of our own that has just been opened by a link."""
    moment = int(timezone.now().timestamp())
    return tokens.sign(
        SESSION_PREFIX,
        {
            "l": link.link_id,
            "a": link.audience_id,
            "c": b64(center.bytes),
            "o": origin,
            "e": link.epoch,
            "g": assurance,
            "i": moment,
            "b": moment,
        },
        of=link.token,
    )


def renew_session(session: Session) -> tuple[str, Session]:
    """Carry a session on for another half hour; returns (bearer, session). Its absolute end stays, and so does how sure we
    are of her: what is touched goes on, what lies idle ends as before.

    Costs no query. Whether it was called back is asked of its contact (`contact_of`), and of its center, as on any other
    call.
    """
    bearer = tokens.sign(
        SESSION_PREFIX,
        {
            "l": session.link_id,
            "a": session.audience_id,
            "c": b64(session.center.bytes),
            "o": session.origin,
            "e": session.epoch,
            "g": session.assurance,
            "i": int(timezone.now().timestamp()),
            "b": int(session.began.timestamp()),
        },
        of=f"{SESSION_PREFIX}.{session.kid}",
    )
    return bearer, open_session(bearer, center=session.center, origin=session.origin)


def open_session(bearer: str, *, center: UUID, origin: str) -> Session:
    """Read a bearer; raises BadToken when it is forged, expired or of another center, ForeignOrigin when used
    from another origin than its own. Costs no query: the contact's epoch is checked with its state.
    """
    payload = tokens.verify(SESSION_PREFIX, bearer)
    began = _moment(payload, "b")
    expires_at = min(_moment(payload, "i") + conf.session_life, began + conf.session_max_life)
    if payload.get("c") != b64(center.bytes):
        raise BadToken
    if datetime.now(UTC) > expires_at:
        raise BadToken("expired")
    if payload.get("o") != origin:
        raise ForeignOrigin
    return Session(
        link_id=payload["l"],
        audience_id=payload["a"],
        center=center,
        origin=origin,
        assurance="fresh" if payload["g"] == "fresh" else "link",
        epoch=payload["e"],
        expires_at=expires_at,
        began=began,
        kid=tokens.kid_of(bearer),
    )


def contact_of(session: Session) -> store.Loaded:
    """The contact behind a session with its state, in one statement; raises BadToken when revoked or gone."""
    found = store.load_by_link(session.link_id, session.audience_id, session.assurance)
    if found is None or found.epoch != session.epoch or found.state.erased:
        raise BadToken("revoked")
    return found


def forget_used_codes() -> int:
    """Delete the rows of codes that time alone refuses by now; returns how many."""
    return UsedCode.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()[0]


def _moment(payload: Json, name: str) -> datetime:
    return datetime.fromtimestamp(int(payload[name]), UTC)
