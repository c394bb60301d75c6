"""`sign-up/{center}/`: a center's blocks for somebody new, and the address that her confirmation goes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ..access import tokens
from ..access.services import network_of
from ..centers import services as centers
from ..centers.drawing import draw
from ..centers.form import Submitted, form_bytes, form_to_answers, one
from ..centers.screen import Problem
from ..centers.services import Center, Snapshot, remembered
from ..conf import conf
from ..errors import AnswerErrors, BadToken, InvalidAnswers
from ..ids import b64, random_id
from ..submissions import asking
from ..values import Json, controls_of
from .asking import ADDRESS, HONEYPOT, AskingView, address_problem, current, on_its_way, path_to
from .personal import shown
from .responses import media_origins, message, page
from .tokens import read_form, refuse_foreign

#: The field that says when a form was drawn. Its token opens nothing.
OPENED, OPENED_PREFIX = "opened", "f1"
#: Nobody reads and fills in a form in less, or leaves it open for longer (security.md AB-06).
QUICKEST, LONGEST = timedelta(seconds=1), timedelta(days=1)
#: What a site's own check (SIGN_UP_CHECK) may add to the form begins with this.
OF_CHECK = "check"


class SignUpView(AskingView):
    """POST says the same for every address, known or not; answers that the page does not offer can be given again."""

    def get(self, request: HttpRequest, center: UUID) -> HttpResponse:
        found = current(request, center)
        return draw_page(request, found, centers.get_snapshot(found.digest))

    def post(self, request: HttpRequest, center: UUID) -> HttpResponse:
        refuse_foreign(request)
        found = current(request, center)
        newest = centers.get_snapshot(found.digest)
        data = read_form(request, max(conf.max_body_bytes, form_bytes(newest)))
        if one(data, HONEYPOT):
            return told(request, found)
        snapshot = shown(data, newest)
        read = _read(request, found, snapshot, data)
        if read.submitted is None:
            return draw_page(request, found, snapshot, posted=data, read=read)
        asking.sign_up(
            found,
            one(data, ADDRESS),
            snapshot=snapshot,
            answers=read.submitted.answers,
            network=network_of(request),
            idempotency_key=read.submitted.idempotency_key,
            source_url=found.page_url,
        )
        return told(request, found)


@dataclass(frozen=True, slots=True)
class _Read:
    """A form as it was judged: what it says, or what is wrong with it - all of it at once."""

    submitted: Submitted | None = None
    address: str = ""
    errors: AnswerErrors | None = None


def _read(request: HttpRequest, center: Center, snapshot: Snapshot, data: QueryDict) -> _Read:
    problem = address_problem(one(data, ADDRESS), center.locale)
    try:
        submitted = form_to_answers(asking.public(snapshot), _answers_in(data))
        asking.check_answers(snapshot, submitted.answers)
        if not problem:
            with translation.override(snapshot.locale):
                refusal = _drawn_wrong(center, data) or asking.refusal(request)
            if refusal:
                raise InvalidAnswers({"": {centers.WHOLE: [refusal]}})
    except InvalidAnswers as refused:
        return _Read(address=problem, errors=refused.errors)
    return _Read(address=problem) if problem else _Read(submitted)


def _answers_in(data: QueryDict) -> QueryDict:
    """The form without what is no answer."""
    found = data.copy()
    for name in data:
        if name in {ADDRESS, HONEYPOT, OPENED} or name.startswith(OF_CHECK):
            del found[name]
    return found


def opened(center: Center) -> str:
    """When a form was drawn, signed, so that a program cannot make its own."""
    return tokens.sign(OPENED_PREFIX, {"c": b64(center.center.bytes), "i": _milliseconds()})


def _drawn_wrong(center: Center, data: QueryDict) -> str:
    try:
        said = tokens.verify(OPENED_PREFIX, one(data, OPENED))
        age = timedelta(milliseconds=_milliseconds() - said["i"])
    except BadToken:
        age = timedelta(0)
    else:
        if said["c"] != b64(center.center.bytes):
            age = timedelta(0)
    if QUICKEST <= age <= LONGEST:
        return ""
    return _("Please look at your choices again, and press the button once more.")


def _milliseconds() -> int:
    return int(timezone.now().timestamp() * 1000)


# --- drawing ---------------------------------------------------------------------------------------------------------


def draw_page(
    request: HttpRequest,
    center: Center,
    snapshot: Snapshot,
    *,
    posted: QueryDict | None = None,
    read: _Read | None = None,
) -> HttpResponse:
    """The form of somebody new, or what a refused one held. Where nothing can be chosen there is no page."""
    read = read or _Read()
    form = draw(_offered(snapshot), _of_nobody(snapshot), posted=posted, errors=read.errors)
    if not (form.can_save and asking.can_sign_up(snapshot)):
        with translation.override(snapshot.locale):
            return message(request, 404, _("There is nothing here"), _("Nobody can sign up on this page."))
    if read.address:
        form = replace(form, problems=(Problem(ADDRESS, read.address), *form.problems))
    with translation.override(snapshot.locale):
        save = _("Sign up")
        told = _("We send a mail to this address. Nothing counts before you have opened the link in it.")
    context = {
        "form": form,
        "save": save,
        "asks_address": True,
        "address": one(posted, ADDRESS) if posted is not None else "",
        "address_help": told,
        "address_problem": read.address,
        "honeypot": HONEYPOT,
        "opened": opened(center),
        "action": path_to("sign-up", center, request),
        "idempotency_key": random_id(),
    }
    return page(
        "wagtail_prefs/sign_up.html",
        context,
        locale=snapshot.locale,
        status=422 if read.address or read.errors else 200,
        media=media_origins(snapshot.document),
    )


def told(request: HttpRequest, center: Center) -> HttpResponse:
    """What everybody is told."""
    again = path_to("sign-up", center, request)
    return on_its_way(center, signed_up=True, days=conf.confirm_link_life.days, again=again)


def _of_nobody(snapshot: Snapshot) -> Json:
    """The preferences of somebody new: nothing is hers yet, and there is nothing to mask."""
    found = centers.preferences(snapshot, asking.nobody(snapshot), "", assurance="fresh")
    return {**found, "contact": {"email": ""}, "outlook": []}


@remembered
def _offered(snapshot: Snapshot) -> Json:
    """The document without what is for somebody who is known: leaving, pausing, buttons that act at once."""
    blocks = []
    for block in snapshot.document["blocks"]:
        controls = [one for one in controls_of(block) if _is_offered(one)]
        if not block.get("of_contact") and (controls or not controls_of(block)):
            blocks.append({**block, "controls": controls})
    return {**snapshot.document, "blocks": blocks}


def _is_offered(control: Json) -> bool:
    return not control.get("of_contact") and control["type"] not in {"action", "records"}
