"""The base of what a center answers in person: plain views, JSON in, JSON out, for the origins of the center alone.

DRF describes these routes and runs in none of them: what it does to a request costs as much as everything else here,
and so nothing of the host project's DRF settings can reach them (security.md EB-02).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework.utils.encoders import JSONEncoder

from ..centers import services as centers
from ..centers.services import Center
from ..errors import PrefsError
from ..values import Json
from . import cors, problems
from .shapes import documented

_HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Vary": cors.VARY,
}

_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a center: in the locale it asks for, from an origin that the center is shown on."""

    request: HttpRequest
    center: Center
    origin: str


Handler = Callable[[Call], Json]
View = Callable[[HttpRequest, UUID], HttpResponse]


def center_view(**handlers: Handler) -> View:
    """A view with a handler for each method, named in lower case: `center_view(get=..., patch=...)`.

    A handler returns the body of a 200 or raises a PrefsError, which becomes a problem. HEAD is answered like GET,
    OPTIONS as a preflight, everything else with 405.
    """
    methods = {name.upper(): handler for name, handler in handlers.items()}
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join([*methods, "OPTIONS"])

    @csrf_exempt  # no cookie is looked at, so there is nothing for a forged request to ride on
    def view(request: HttpRequest, center: UUID) -> HttpResponse:
        found: Center | None = None
        try:
            found = centers.current(
                center, asked_locale(request), request.META.get("HTTP_ACCEPT_LANGUAGE", "")
            )
            origin = cors.origin_of(request, found)
            if request.method == "OPTIONS":
                response = cors.preflight(request, allowed)
            elif request.method in methods:
                response = _answer(methods[request.method](Call(request, found, origin)))
            else:
                response = problems.problem(405, "method-not-allowed", _("This cannot be done here."))
        except PrefsError as error:
            response = problems.from_error(error)
        for name, value in _HEADERS.items():
            response[name] = value
        response["Allow"] = allowed
        if found is not None:
            cors.allow(response, request, found)
        return response

    documented(view, **handlers)
    return view


def _answer(body: Json) -> HttpResponse:
    text: str = _encode(body)
    if "\u2028" in text or "\u2029" in text:  # JSON may hold them, older JavaScript may not
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return HttpResponse(text, content_type="application/json")


def asked_locale(request: HttpRequest) -> str | None:
    """The locale that the address asks for, of a length that locales have."""
    return _locale(request.META.get("QUERY_STRING", ""))


@lru_cache(maxsize=256)  # few differ, and Django takes longer to parse one than a session to open
def _locale(query: str) -> str | None:
    locale = QueryDict(query.encode("iso-8859-1")).get("locale")
    return str(locale)[:35] if locale else None
