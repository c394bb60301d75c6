"""`c/{token}/` of a sign-up: its owner says that she asked for it herself (security.md LW-11, TK-06)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from ..access import tokens
from ..access.links import PREFIX
from ..access.once import life_of
from ..access.services import Once, Purpose, make_token
from ..centers import services as centers
from ..centers.services import Center
from ..contacts.models import Contact
from ..errors import BadToken, NotPublished
from ..ids import unb64
from ..submissions.confirming import Confirmed, confirm, confirmed, expected
from ..submissions.gpc import shared_topics
from .responses import asked_locale, page

TEMPLATE = "wagtail_prefs/signed_up.html"


def show(request: HttpRequest, link: Once) -> HttpResponse:
    """What the button will save; or that it was pressed, or that it is too late."""
    if link.used:
        return _done(request, link, confirmed(link, _locale(request, link)))
    if link.over:
        return _too_late(request, link.center)
    told = expected(link)
    context = {"told": told, "action": request.path, "manage_url": "" if told.applied else _manage_path(link)}
    return page(TEMPLATE, {"stage": "ask", **context}, locale=told.locale)


def act(request: HttpRequest, link: Once) -> HttpResponse:
    """The button. Pressed again, it says the same and does nothing."""
    if link.used or link.over:
        return show(request, link)
    try:
        told = confirm(link, shared_topics(request.headers.get("Sec-GPC"), link.audience_id))
    except BadToken:  # somebody else pressed it in just this moment: a second tab, a double click
        told = confirmed(link, _locale(request, link))
    return _done(request, link, told)


def gone(request: HttpRequest, token: str) -> HttpResponse | None:
    """The answer to a link of ours behind which there is nothing any more; None for every other one.

    Who never confirmed is forgotten by then, so only the token tells that it was a link, and of when.
    """
    try:
        payload = tokens.verify(PREFIX, token)
    except BadToken:
        return None
    issued = datetime.fromtimestamp(payload.get("i", 0), UTC)
    if payload.get("p") != Purpose.CONFIRM.value or timezone.now() - issued < life_of(Purpose.CONFIRM):
        return None
    return _too_late(request, UUID(bytes=unb64(payload["c"])) if "c" in payload else None)


def _done(request: HttpRequest, link: Once, told: Confirmed) -> HttpResponse:
    context = {"stage": "done", "told": told, "manage_url": _manage_path(link)}
    return page(TEMPLATE, context, locale=told.locale)


def _too_late(request: HttpRequest, center_id: UUID | None) -> HttpResponse:
    center = _center(center_id, asked_locale(request))
    return page(
        TEMPLATE,
        {"stage": "late", "again_url": center.page_url if center else ""},
        locale=center.locale if center else asked_locale(request),
    )


def _locale(request: HttpRequest, link: Once) -> str:
    """For what has no page of its own to speak the language of."""
    center = _center(link.center, link.language or asked_locale(request))
    return center.locale if center else asked_locale(request)


def _manage_path(link: Once) -> str:
    """Where all of her choices are: as old as the mail, and only while that would still open something.

    A link that was used is good for no more than one that had come in the same mail.
    """
    center = _center(link.center, "")
    if center is None or center.audience_id != link.audience_id or link.expires_at <= timezone.now():
        return ""
    contact = Contact.objects.filter(link_id=link.link_id, epoch=link.epoch).first()
    if contact is None:
        return ""
    token = make_token(
        Purpose.MANAGE, contact, center=center.center, host=link.host, issued=link.issued, of=link.token
    )
    return reverse("wagtail_prefs:manage", args=[token])


def _center(center_id: UUID | None, locale: str) -> Center | None:
    if center_id is None:
        return None
    try:
        return centers.current(center_id, locale or None)
    except NotPublished:
        return None
