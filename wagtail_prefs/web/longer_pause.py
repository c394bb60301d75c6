"""`p/{token}/`: a pause has ended, and she may pause once more. The mail that says so leads here; only POST acts.

It pauses what was paused: everything, or e-mail. Whoever wants to go on as before need not open it. The link is worth
what a manage link of that mail would be, so it degrades like one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format

from ..access.services import Link, Purpose, lead_on, open_link
from ..blocks.pause import LENGTHS, day_it_ends
from ..centers import services as centers
from ..centers.services import Center
from ..changes import PauseFor
from ..conf import conf
from ..contacts import rules
from ..contacts.services import load_state
from ..errors import NotPublished, StepUpRequired, UnknownReceipt
from ..ledger.models import Record
from ..ledger.services import effects_of, read_body
from ..submissions import services as submissions
from ..submissions.wishes import resolved
from ..values import Actor, ActorType, ContactState, Key, Source
from . import degraded, receipts
from .personal import HttpResponseSeeOther
from .responses import asked_locale, page
from .tokens import TokenView, read_form, refuse_foreign

#: What the buttons of the page are called, and the lengths that they offer.
FOR, UNDO = "for", "undo"
OFFERED = ("P7D", "P1M", "P3M")

#: Stands in the address in place of a receipt, where there is none to take back.
NOTHING, BACK, LATE = "nothing", "back", "late"


class LongerPauseView(TokenView):
    """GET shows; POST pauses, or takes that back, and answers 303."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        link = open_link(token, Purpose.PAUSE)
        center = _center(request, link)
        if link.expired:
            return degraded.show(request, link, center, status=200)
        return show(request, link, center, saved=request.GET.get("saved", ""))

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        refuse_foreign(request)
        link = open_link(token, Purpose.PAUSE)
        data = read_form(request, conf.max_body_bytes)
        if link.expired:
            return degraded.act(request, link, data)
        told = act(link, data)
        if not told:
            return show(request, link, _center(request, link))
        return HttpResponseSeeOther(f"{request.path}?saved={told}")


def act(link: Link, data: QueryDict) -> str:
    """Carry out a button; returns what the next page tells about, "" for a form that is none of ours."""
    if data.getlist(FOR) and data[FOR] in OFFERED and UNDO not in data:
        state, now = load_state(link.contact_id), timezone.now()
        changes = resolved([PauseFor(*_scope(link), length=str(data[FOR]))], state, now)
        saved = submissions.record(link.contact_id, changes, actor=_SHE, source=_source(link))
        return saved.receipt or NOTHING
    if UNDO in data and FOR not in data:
        return BACK if take_back(link, str(data[UNDO])) else LATE
    return ""


def take_back(link: Link, receipt: str) -> bool:
    """Restore what a press of this page has changed; whether anything came back."""
    record = receipts.find(receipt, link.contact_id)
    if record is None or not _is_pause(record, _scope(link)):
        return False
    try:
        saved = submissions.undo(
            link_id=link.link_id,
            epoch=link.epoch,
            snapshot=None,
            receipt=record.pk,
            actor=_SHE,
            source=_source(link),
            idempotency_key=f"pause.{record.pk}",
        )
    except (UnknownReceipt, StepUpRequired):
        return False
    return bool(saved.effects)


def show(request: HttpRequest, link: Link, center: Center | None, *, saved: str = "") -> HttpResponse:
    """The page as things stand; `saved` is what a button has just done."""
    state = rules.effective(load_state(link.contact_id), timezone.now())
    locale = center.locale if center else link.language or asked_locale(request)
    until = _until(state, link)
    record = receipts.find(saved, link.contact_id) if until and not state.opted_out else None
    context: dict[str, Any] = {
        "action": request.path,
        "told": _told(saved, record, link, until),
        "undo": str(record.pk) if record and _is_pause(record, _scope(link)) else "",
        "opted_out": state.opted_out,
        "of_email": bool(link.channel),
        "until": _day(until, state.timezone, locale) if until else "",
        "lengths": [(code, LENGTHS[code][1]) for code in OFFERED],
        "manage_url": _manage_path(link) if center else "",
    }
    return page("wagtail_prefs/longer_pause.html", context, locale=locale)


def _told(saved: str, record: Record | None, link: Link, until: datetime | None) -> str:
    """Which message the page begins with: `paused`, `back`, `late`, or none."""
    if saved in {BACK, LATE}:
        return saved
    if until is not None and (saved == NOTHING or (record and _is_pause(record, _scope(link)))):
        return "paused"
    return ""


_SHE = Actor(ActorType.SUBJECT_LINK)


def _source(link: Link) -> Source:
    return Source(method="page", form_id=str(link.center) if link.center else None)


def _scope(link: Link) -> Key:
    return "", link.channel


def _is_pause(record: Record, scope: Key) -> bool:
    """Whether a record did nothing but pause that."""
    if record.actor != ActorType.SUBJECT_LINK:
        return False
    path = PauseFor(*scope, length=OFFERED[0]).path
    return [effect.path for effect in effects_of(read_body(record))] == [path]


def _until(state: ContactState, link: Link) -> datetime | None:
    """Until when nothing comes by e-mail, as far as her pauses go; None where none holds."""
    held = [state.pauses[key].until for key in {("", ""), ("", "email"), _scope(link)} & state.pauses.keys()]
    return max(held, default=None)


def _day(until: datetime, zone: str, locale: str) -> str:
    with translation.override(locale):
        return date_format(day_it_ends(until, zone), "DATE_FORMAT")


def _manage_path(link: Link) -> str:
    return reverse("wagtail_prefs:manage", args=[lead_on(link, Purpose.MANAGE)])


def _center(request: HttpRequest, link: Link) -> Center | None:
    if link.center is None:
        return None
    try:
        center = centers.current(
            link.center, link.language or None, request.headers.get("Accept-Language", "")
        )
    except NotPublished:
        return None
    return center if center.audience_id == link.audience_id else None
