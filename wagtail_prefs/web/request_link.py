"""`request-link/{center}/`: "send me my link", one field and one button."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from ..access.services import network_of
from ..centers import services as centers
from ..centers.drawing import ways_in
from ..centers.form import one
from ..centers.screen import Problem
from ..centers.services import Center
from ..conf import conf
from ..submissions import asking
from .asking import ADDRESS, HONEYPOT, AskingView, address_problem, current, on_its_way, path_to
from .responses import page
from .tokens import read_form, refuse_foreign


class RequestLinkView(AskingView):
    """POST says the same for every address, known or not; only what is no address at all can be typed again."""

    def get(self, request: HttpRequest, center: UUID) -> HttpResponse:
        return draw_page(request, current(request, center))

    def post(self, request: HttpRequest, center: UUID) -> HttpResponse:
        refuse_foreign(request)
        found = current(request, center)
        data = read_form(request, conf.max_body_bytes)
        address = one(data, ADDRESS)
        if one(data, HONEYPOT):
            return told(request, found)
        problem = address_problem(address, found.locale)
        if problem:
            return draw_page(request, found, address=address, problem=problem)
        asking.ask_for_link(found, address, network=network_of(request))
        return told(request, found)


def draw_page(request: HttpRequest, center: Center, *, address: str = "", problem: str = "") -> HttpResponse:
    """The form; with a `problem` it holds what was typed."""
    with translation.override(center.locale):
        context = {
            "action": path_to("request-link", center, request),
            "address": address,
            "address_problem": problem,
            "problems": [Problem(ADDRESS, problem)] if problem else [],
            "honeypot": HONEYPOT,
            "sign_up": sign_up_path(center),
        }
    return page(
        "wagtail_prefs/request_link.html", context, locale=center.locale, status=422 if problem else 200
    )


def told(request: HttpRequest, center: Center) -> HttpResponse:
    """What everybody is told."""
    again = path_to("request-link", center, request)
    return on_its_way(center, again=again, sign_up=sign_up_path(center))


def sign_up_path(center: Center) -> str:
    """Where somebody who gets no mail yet can sign up; "" where there is nothing to choose."""
    document = centers.get_snapshot(center.digest).document
    return next((way.href for way in ways_in(document) if way.name == "sign-up"), "")
