"""What a person may ask for of her own data: all of it, and that it is forgotten. Both take a fresh link."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..access import services as access
from ..access.services import Session
from ..errors import StepUpRequired
from ..rights import services as rights
from ..values import Actor, ActorType, Json
from . import body
from .base import Call, center_view
from .shapes import KEY, LOCALE, SESSION, describe, problems, ref


@describe(
    operation_id="export",
    summary="Everything that is held of the contact",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Nothing")},
    responses={200: ref("Export"), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=SESSION,
)
def export(call: Call) -> Json:
    """For a session that a fresh link has opened. It is made anew each time, so a repeat is another look. Logged."""
    found = access.contact_of(_fresh(call))
    text = _("This is everything that we hold of you.")
    return {"text": text, **rights.export_for_herself(found.state.id)}


@describe(
    operation_id="erase",
    summary="Forget the contact",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Nothing")},
    responses={200: ref("Accepted"), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=SESSION,
)
def erase(call: Call) -> Json:
    """For a session that a fresh link has opened. At once, and for good; afterwards the session opens nothing any more.

    Ask the person before you call this: nothing takes it back.
    """
    found = access.contact_of(_fresh(call))
    source = call.source(call.newest().digest)
    rights.erase_person(found.state.id, actor=Actor(ActorType.SUBJECT_SESSION), source=source)
    return {"text": rights.erased_told(call.center.locale)}


def _fresh(call: Call) -> Session:
    """The session of a well-formed call. Raises StepUpRequired for one that an old mail has opened."""
    session = call.session()
    call.idempotency_key()
    body.only(body.read_json(call.request))
    if session.assurance != "fresh":
        raise StepUpRequired
    return session


export_view = center_view(post=export)
erasure_view = center_view(post=erase)
