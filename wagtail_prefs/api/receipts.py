"""What a contact did before, and taking it back."""

from __future__ import annotations

import re
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter

from ..access import services as access
from ..errors import BodyRefused
from ..submissions import services as submissions
from ..submissions.services import PastSubmission
from ..values import Actor, ActorType, Json, iso
from . import body, cors
from .base import Call, center_view
from .shapes import KEY, LOCALE, SESSION, describe, problems, ref

#: How many submissions one answer tells of.
PAGE = 50
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_VERSION = re.compile(r"[1-9][0-9]{0,8}\Z")


@describe(
    operation_id="undo",
    summary="Take a submission back",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Undo")},
    responses={200: ref("Undone"), **problems(400, 401, 403, 404, 413, 415, 422, 429)},
    auth=SESSION,
)
def undo(call: Call) -> Json:
    """Restores path by path what still is as that submission left it; `kept` names the rest, and why it stays."""
    session = call.session()
    key = call.idempotency_key()
    data = body.read_json(call.request)
    body.only(data, receipt=str)
    if not _UUID.match(data["receipt"]):
        raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "receipt"})
    snapshot = call.newest()
    saved = submissions.undo(
        link_id=session.link_id,
        epoch=session.epoch,
        snapshot=snapshot,
        receipt=UUID(data["receipt"]),
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=call.source(snapshot.digest),
        idempotency_key=key,
        assurance=session.assurance,
        shared=call.honoured(session),
    )
    return call.saved(saved, session, yielded="kept")


@describe(
    operation_id="history",
    summary="The contact's own submissions",
    parameters=[
        LOCALE,
        OpenApiParameter("before", int, description="a version: what came before it, from `next`"),
    ],
    responses={200: ref("History"), **problems(400, 401, 403, 404, 429)},
    auth=SESSION,
)
def history(call: Call) -> Json:
    """The newest first, in words and without personal values: a forwarded mail opens this as well."""
    session = call.session()
    before = _before(call)
    contact = access.contact_of(session)
    # One more than is told says whether there are more.
    found = submissions.history(
        contact.state.id,
        call.newest(),
        limit=PAGE + 1,
        before=before,
        zone=contact.state.timezone,
        assurance=session.assurance,
    )
    told = found[:PAGE]
    return {
        "records": [_record(past, cors.own_origin(call.center)) for past in told],
        "next": told[-1].version if len(found) > PAGE else None,
    }


def _record(past: PastSubmission, origin: str) -> Json:
    return {
        "receipt": str(past.receipt),
        "version": past.version,
        "when": iso(past.at),
        "title": past.title,
        "lines": [line.to_json() for line in past.lines],
        "undo": past.undoable,
        "receipt_url": origin + access.receipt_path(past.receipt),
    }


def _before(call: Call) -> int | None:
    asked = call.request.GET.get("before")
    if asked is None:
        return None
    if not _VERSION.match(asked):
        raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "before"})
    return int(asked)


undo_view = center_view(post=undo)
history_view = center_view(get=history)
