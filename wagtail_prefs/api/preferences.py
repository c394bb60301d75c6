"""Sessions and preferences: the two personal routes of a center."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter

from ..access import services as access
from ..access.services import Session
from ..centers import services as centers
from ..centers.services import Snapshot
from ..errors import BadToken, BodyRefused, InvalidAnswers, NotPublished
from ..submissions import services as submissions
from ..values import Actor, ActorType, ContactState, Json, Source
from . import body
from .base import Call, center_view
from .shapes import describe, problems, ref

LOCALE = OpenApiParameter("locale", str, description="BCP 47; the words of the answer come in it")
KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, pattern="^[!-~]{1,255}$"
)
SESSION: Any = [{"session": []}]  # the stubs know names only
NOBODY: Any = []
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}\Z")


def session_of(call: Call) -> Session:
    """Who asks. Raises BadToken without a bearer of this center, and ForeignOrigin for one of another origin."""
    scheme, _, bearer = call.request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BadToken
    session = access.open_session(bearer.strip(), center=call.center.center, origin=call.origin)
    if session.audience_id != call.center.audience_id:
        raise BadToken
    return session


def key_of(call: Call) -> str:
    """The Idempotency-Key. Raises BodyRefused where there is none that can be one."""
    key: str = call.request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if not _PRINTABLE.match(key):
        raise BodyRefused(_("Send an Idempotency-Key of 1 to 255 printable characters."))
    return key


def drawn(call: Call, state: ContactState, email: str, session: Session) -> Json:
    """The preferences, beside the newest snapshot."""
    snapshot = centers.get_snapshot(call.center.digest)
    found: Json = centers.preferences(snapshot, state, email, assurance=session.assurance)
    return found


@describe(
    operation_id="open_session",
    summary="Exchange the code of a link for a session",
    parameters=[LOCALE],
    request={"application/json": ref("Code")},
    responses={200: ref("Session"), **problems(400, 401, 403, 404, 413, 415)},
    auth=NOBODY,
)
def open_session(call: Call) -> Json:
    """Uses the code up. A code opens one session, from the origin it was made for, within ten minutes."""
    data = body.read_json(call.request)
    body.only(data, code=str)
    bearer, session = access.redeem_code(data["code"], center=call.center.center, origin=call.origin)
    if session.audience_id != call.center.audience_id:
        raise BadToken
    found = access.contact_of(session)
    return {
        "session": bearer,
        "expires_at": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "preferences": drawn(call, found.state, found.email, session),
    }


@describe(
    operation_id="preferences",
    summary="The contact's preferences",
    parameters=[LOCALE],
    responses={200: ref("Preferences"), **problems(401, 403, 404)},
    auth=SESSION,
)
def preferences(call: Call) -> Json:
    """Private, never cached."""
    session = session_of(call)
    found = access.contact_of(session)
    return drawn(call, found.state, found.email, session)


@describe(
    operation_id="save",
    summary="Save answers",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Save")},
    responses={200: ref("Saved"), **problems(400, 401, 403, 404, 413, 415, 422)},
    auth=SESSION,
)
def save(call: Call) -> Json:
    """Only what the named revision showed is accepted; an absent answer means "not touched"."""
    session = session_of(call)
    key = key_of(call)
    data = body.read_json(call.request)
    body.only(data, base_version=int, revision=str, answers=dict)
    if data["base_version"] < 0 or not all(isinstance(fields, dict) for fields in data["answers"].values()):
        raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "answers"})
    saved = submissions.submit(
        link_id=session.link_id,
        epoch=session.epoch,
        snapshot=_shown(call, data["revision"]),
        base_version=data["base_version"],
        answers=data["answers"],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(
            method="element",
            form_id=str(call.center.center),
            form_version=data["revision"],
            language=call.center.locale,
            source_url=call.origin,
        ),
        idempotency_key=key,
    )
    return {
        "version": saved.version,
        "receipt": saved.receipt,
        "applied": [line.to_json() for line in saved.applied],
        "merged": [line.to_json() for line in saved.merged],
        "preferences": drawn(call, saved.state, saved.email, session),
    }


def _shown(call: Call, revision: str) -> Snapshot:
    """The snapshot that answers were given on: of this center, newest or not."""
    try:
        snapshot = centers.get_snapshot(revision)
    except NotPublished:
        snapshot = None
    if snapshot is None or snapshot.center != call.center.center:
        raise InvalidAnswers(
            {"": {"revision": [_("This version of the page is not known. Load the page again.")]}}
        )
    return snapshot


sessions_view = center_view(post=open_session)
preferences_view = center_view(get=preferences, patch=save)
