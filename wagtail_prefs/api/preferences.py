"""Sessions and preferences: the two personal routes of a center."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..access import services as access
from ..centers import services as centers
from ..centers.services import Snapshot
from ..errors import BodyRefused, InvalidAnswers, NotPublished
from ..submissions import services as submissions
from ..values import Actor, ActorType, Json
from . import body
from .base import Call, center_view
from .shapes import KEY, LOCALE, SESSION, describe, problems, ref


@describe(
    operation_id="open_session",
    summary="Exchange the code of a link, or a session, for a session",
    parameters=[LOCALE],
    request={"application/json": {"oneOf": [ref("Code"), ref("Nothing")]}},
    responses={200: ref("Session"), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=[{}, *SESSION],  # one or the other
)
def open_session(call: Call) -> Json:
    """`{"code"}` uses the code up: it opens one session, from the origin it was made for, within ten minutes.

    `{}` with the session that is held carries it on: another half hour, until it is two hours old.
    """
    data = body.read_json(call.request)
    if data:
        body.only(data, code=str)
        bearer, session = access.redeem_code(
            data["code"], center=call.center.center, origin=call.origin, revoked=call.center.revoked
        )
        call.admit(session)
    else:
        bearer, session = access.renew_session(call.session())
    found = access.contact_of(session)
    state = call.honour(found.state, call.shared())
    return {
        "session": bearer,
        "expires_at": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "preferences": call.preferences(state, found.email, session),
    }


@describe(
    operation_id="preferences",
    summary="The contact's preferences",
    parameters=[LOCALE],
    responses={200: ref("Preferences"), **problems(401, 403, 404, 429)},
    auth=SESSION,
)
def preferences(call: Call) -> Json:
    """Private, never cached."""
    session = call.session()
    found = access.contact_of(session)
    return call.preferences(found.state, found.email, session)


@describe(
    operation_id="save",
    summary="Save answers",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Save")},
    responses={200: ref("Saved"), **problems(400, 401, 403, 404, 413, 415, 422, 429)},
    auth=SESSION,
)
def save(call: Call) -> Json:
    """Only what the named revision showed is accepted; an absent answer means "not touched"."""
    session = call.session()
    key = call.idempotency_key()
    data = body.read_json(call.request)
    body.only(data, base_version=int, revision=str, answers=dict)
    if data["base_version"] < 0 or not all(isinstance(fields, dict) for fields in data["answers"].values()):
        raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "answers"})
    snapshot = shown(call, data["revision"])
    shared = call.honoured(session)
    saved = submissions.submit(
        link_id=session.link_id,
        epoch=session.epoch,
        snapshot=snapshot,
        base_version=data["base_version"],
        answers=data["answers"],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=call.source(data["revision"]),
        idempotency_key=key,
        assurance=session.assurance,
        network=access.network_of(call.request),
        shared=shared,
    )
    return call.saved(saved, session, yielded="merged")


def shown(call: Call, revision: str) -> Snapshot:
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
