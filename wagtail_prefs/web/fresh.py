"""`l/{token}/` of a fresh link: it works once, and opens her page with all that is personal (security.md TK-06, TK-08).

Opening the address shows one button, because mail scanners open every address. Pressing it uses the link up.
"""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from ..access import services as access
from ..access.services import Once, Purpose
from ..centers import services as centers
from ..centers.origins import origin_of
from ..centers.services import Center
from ..conf import conf
from ..contacts.models import Contact
from ..errors import BadToken
from .personal import HttpResponseSeeOther, address, center_of, draw_page, host_page
from .responses import message, page
from .tokens import read_form

OPEN, AGAIN = "open", "again"


def show(request: HttpRequest, token: str) -> HttpResponse:
    """What the button does; or that the link is used or too old, with a button that mails another one."""
    link = access.look(token, Purpose.FRESH)
    center = center_of(link, request)
    return _page(request, link, center) if center else _closed(request)


def act(request: HttpRequest, token: str) -> HttpResponse:
    """The button, whichever of the two it is. Any other form is answered by the page."""
    data = read_form(request, conf.max_body_bytes)
    link = access.look(token, Purpose.FRESH)
    center = center_of(link, request)
    if center is None:
        return _closed(request)
    pressed = data.getlist("do")
    if link.over and pressed == [AGAIN]:
        return _again(link, center)
    if link.over or pressed != [OPEN]:
        return _page(request, link, center)
    try:
        with transaction.atomic():  # a page that cannot be drawn leaves the link as it was
            return _opened(request, link, center)
    except BadToken as refused:
        if refused.reason != "used":
            raise
        return _page(
            request, access.look(token, Purpose.FRESH), center
        )  # by somebody else, in just this moment


def _opened(request: HttpRequest, link: Once, center: Center) -> HttpResponse:
    access.consume(link)
    host = host_page(link, center)
    if host:
        code = access.make_code(link, center.center, origin_of(host), assurance="fresh")
        return HttpResponseSeeOther(f"{host}#pc={code}")
    session = access.start_session(link, center.center, origin_of(center.page_url), assurance="fresh")
    contact = Contact.objects.get(pk=link.contact_id)
    # The form goes to a link that works more than once.
    manage = access.make_token(Purpose.MANAGE, contact, center=center.center, of=link.token)
    return draw_page(
        request,
        link,
        centers.get_snapshot(center.digest),
        path=reverse("wagtail_prefs:manage", args=[manage]),
        session=session,
    )


def _again(link: Once, center: Center) -> HttpResponse:
    """Another one, to the same address and back to the same page: within the limits, and told alike beyond them."""
    access.mail_fresh_link(
        link.contact_id,
        center=center.center,
        title=centers.get_snapshot(center.digest).document["title"],
        locale=center.locale,
        host=link.host,
    )
    with translation.override(center.locale):
        context = {"title": _("Look into your mailbox"), "text": access.fresh_link_told(center.locale)}
    return page("wagtail_prefs/message.html", context, locale=center.locale)


def _page(request: HttpRequest, link: Once, center: Center) -> HttpResponse:
    context = {
        "used": link.used,
        "over": link.over,
        "action": address(request),
        "button": AGAIN if link.over else OPEN,
        "title": centers.get_snapshot(center.digest).document["title"],
    }
    host = host_page(link, center)
    return page(
        "wagtail_prefs/fresh.html", context, locale=center.locale, leads_to=origin_of(host) if host else ""
    )


def _closed(request: HttpRequest) -> HttpResponse:
    text = _("Your choices are kept and hold on. This page does not show them any more.")
    return message(request, 404, _("This page is closed"), text)
