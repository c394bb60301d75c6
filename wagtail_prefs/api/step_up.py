"""A fresh link for whoever holds a session: personal fields need to know that she reads her mailbox now."""

from __future__ import annotations

from ..access import services as access
from ..values import Json
from . import body
from .base import Call, center_view
from .shapes import KEY, LOCALE, SESSION, describe, problems, ref


@describe(
    operation_id="step_up",
    summary="Mail a fresh link",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("Nothing")},
    responses={202: ref("Accepted"), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=SESSION,
)
def step_up(call: Call) -> Json:
    """To the stored address, and leading back to the page it was asked from. An address gets one a minute at most, so
    a repeat sends no second one; the answer is the same.
    """
    session = call.session()
    call.idempotency_key()
    body.only(body.read_json(call.request))
    found = access.contact_of(session)
    locale = call.center.locale
    access.mail_fresh_link(
        found.state.id,
        center=call.center.center,
        title=call.newest().document["title"],
        locale=locale,
        host=call.host(),
    )
    return {"text": access.fresh_link_told(locale)}


step_up_view = center_view(status=202, post=step_up)
