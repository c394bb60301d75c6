"""Cross-origin rules: the document is for everyone, what is personal only for the origins of the center.

Exact matches, one echoed origin, no credentials, no wildcard on anything personal (security.md EB-01..EB-04).
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from ..centers.services import Center
from ..errors import ForeignOrigin

ALLOWED_HEADERS = "authorization, content-type, idempotency-key"
EXPOSED_HEADERS = "etag, retry-after"
#: What a personal answer depends on, beside its address.
VARY = "Origin, Authorization"
#: Browsers cap this: Chromium at two hours.
PREFLIGHT_SECONDS = "7200"


def own_origin(center: Center) -> str:
    """The origin of the center's own page."""
    return _origin(center.page_url)


@lru_cache(maxsize=512)
def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def origin_of(request: HttpRequest, center: Center) -> str:
    """The origin a request comes from; a same-origin GET carries no header and counts as the own one.

    Raises ForeignOrigin for any origin that the center is not shown on, `null` among them.
    """
    own = own_origin(center)
    origin: str = request.META.get("HTTP_ORIGIN", own)
    if origin != own and origin not in center.origins:
        raise ForeignOrigin
    return origin


def allow(response: HttpResponse, request: HttpRequest, center: Center) -> None:
    """Let the requesting origin read this answer, if it is one of the center's."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None and (origin in center.origins or origin == own_origin(center)):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def preflight(request: HttpRequest, methods: str) -> HttpResponse:
    """The answer to OPTIONS from an origin that is allowed: all methods and headers at once, so that one preflight
    serves a visit.
    """
    response = HttpResponse(status=204)
    if "HTTP_ORIGIN" in request.META:
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
    return response
