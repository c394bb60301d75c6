"""What anybody may ask a center for: a link by mail, or to be signed up. The answer is always the same."""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import gettext as _

from ..access import services as access
from ..centers import services as centers
from ..errors import BodyRefused, InvalidAnswers
from ..submissions import asking
from ..values import Json
from . import body
from .base import Call, center_view
from .preferences import shown
from .shapes import KEY, LOCALE, NOBODY, describe, problems, ref


@describe(
    operation_id="request_link",
    summary="Send me my link",
    parameters=[LOCALE],
    request={"application/json": ref("LinkRequest")},
    responses={202: ref("Accepted"), **problems(400, 403, 404, 413, 415, 422)},
    auth=NOBODY,
)
def request_link(call: Call) -> Json:
    """A link goes to the stored address, if there is one. The same answer for every address, known or not."""
    data = body.read_json(call.request)
    body.only(data, email=str)
    asking.ask_for_link(
        call.center,
        _typed(call, data["email"]),
        network=access.network_of(call.request),
        host=call.host(),
    )
    with translation.override(call.center.locale):
        return {"text": _("If that address is known to us, a mail with a link is on its way.")}


@describe(
    operation_id="sign_up",
    summary="Sign up",
    parameters=[LOCALE, KEY],
    request={"application/json": ref("SignUp")},
    responses={202: ref("Accepted"), **problems(400, 403, 404, 413, 415, 422)},
    auth=NOBODY,
)
def sign_up(call: Call) -> Json:
    """Nothing counts before the link in a mail is confirmed. The same answer for every address, known or not."""
    key = call.idempotency_key()
    data = body.read_json(call.request)
    body.only(data, email=str, revision=str, answers=dict)
    if not all(isinstance(fields, dict) for fields in data["answers"].values()):
        raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "answers"})
    address = _typed(call, data["email"])
    snapshot = shown(call, data["revision"])
    asking.check_answers(snapshot, data["answers"])
    refusal = asking.refusal(call.request)
    if refusal:
        raise InvalidAnswers({"": {centers.WHOLE: [refusal]}})
    asking.sign_up(
        call.center,
        address,
        snapshot=snapshot,
        answers=data["answers"],
        network=access.network_of(call.request),
        idempotency_key=key,
        source_url=call.origin,
        host=call.host(),
    )
    with translation.override(call.center.locale):
        return {"text": _("A mail is on its way. Your choices count once you open the link in it.")}


def _typed(call: Call, email: str) -> str:
    """What was typed. Only nothing at all is refused: everything else looks alike from outside."""
    if not email.strip():
        with translation.override(call.center.locale):
            raise InvalidAnswers({"": {"email": [_("Type your e-mail address.")]}})
    return email


access_links_view = center_view(status=202, post=request_link)
sign_ups_view = center_view(status=202, post=sign_up)
