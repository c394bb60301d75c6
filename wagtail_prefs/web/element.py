"""`embed.js` and `embed/{version}.js`: the element, for every website (security.md EB-05, EB-12)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from ..centers.embed import NotBuilt, build, element


@require_safe
def newest_element(_request: HttpRequest) -> HttpResponse:
    """The way to the newest script, for hosts that want updates; asked again after five minutes."""
    try:
        script = element()
    except NotBuilt as missing:
        return _not_found(missing)
    response = HttpResponseRedirect(reverse("wagtail_prefs:embed-version", args=[script.version]))
    response["Cache-Control"] = "public, max-age=300"
    return _public(response)


@require_safe
def versioned_element(_request: HttpRequest, version: str) -> HttpResponse:
    """One version for ever, also after an update: embed codes name it, and other people's pages hold those.

    An unknown one is not found, in a way that a host page may read: its own children stay where the center would be.
    """
    try:
        script = build(version)
    except NotBuilt as missing:
        return _not_found(missing)
    response = HttpResponse(script.body, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return _public(response)


def _not_found(missing: NotBuilt) -> HttpResponse:
    response = HttpResponse(f"{missing}\n", status=404, content_type="text/plain; charset=utf-8")
    # While an update goes from process to process, the next one may know it.
    response["Cache-Control"] = "no-store"
    return _public(response)


def _public(response: HttpResponse) -> HttpResponse:
    # A module script of another origin, and `integrity`, need CORS.
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["X-Content-Type-Options"] = "nosniff"
    return response
