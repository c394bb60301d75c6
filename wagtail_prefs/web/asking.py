"""The base of the two pages for people whom nobody knows yet: send me my link, and sign me up."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from ..centers import services as centers
from ..centers.services import Center
from ..errors import NotPublished
from .responses import message, page
from .tokens import TokenView

MAX_LOCALE = 35
#: The field that people do not see and programs fill in (security.md AB-06).
HONEYPOT = "website"
ADDRESS = "email"


class AskingView(TokenView):
    """GET draws a form and changes nothing; POST notes what is asked for. Every answer is sealed; there is no cookie."""

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The answer in the language that was asked for; a center that is closed has none."""
        try:
            return super().answer(request, *args, **kwargs)
        except NotPublished:
            return message(
                request, 404, _("There is nothing here"), _("This page is not published any more.")
            )


def current(request: HttpRequest, center: UUID) -> Center:
    """The center in the language of `?locale=`, or of the browser; raises NotPublished."""
    return centers.current(center, asked(request) or None, request.headers.get("Accept-Language", ""))


def asked(request: HttpRequest) -> str:
    """The language that the address asks for, "" where it does not say."""
    return request.GET.get("locale", "")[:MAX_LOCALE]


def path_to(name: str, center: Center, request: HttpRequest) -> str:
    """The address of one of these pages, in the language that was asked for. It never holds anything else."""
    locale = asked(request)
    path = reverse(f"wagtail_prefs:{name}", args=[center.center])
    return f"{path}?{urlencode({'locale': locale})}" if locale else path


def address_problem(address: str, locale: str) -> str:
    """What is wrong with what was typed, whoever might have it: nothing there, or no @. "" where it may be one."""
    if "@" in address:
        return ""
    with translation.override(locale):
        return _("Type your whole e-mail address, with the @ in it.")


def on_its_way(center: Center, **context: Any) -> HttpResponse:
    """The page that everybody sees who asked, and what to do where no mail comes."""
    return page("wagtail_prefs/on_its_way.html", context, locale=center.locale)
