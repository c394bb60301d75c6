"""`GET api/v1/centers/{center}/`: the document, as bytes compiled at publish."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import OpenApiParameter

from ..centers import services as centers
from ..errors import NotPublished
from . import problems
from .base import asked_locale
from .shapes import describe, documented, problems as problem_responses, ref


@csrf_exempt  # only so that other methods get their 405
def center_document(request: HttpRequest, center: UUID) -> HttpResponse:
    """A plain function on purpose: this is the one request that every visitor makes, and it needs nothing of DRF."""
    if request.method == "OPTIONS":
        response = HttpResponse(status=204)
        response["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
        response["Access-Control-Max-Age"] = "7200"
    elif request.method in {"GET", "HEAD"}:
        response = _document(request, center)
    else:
        response = HttpResponseNotAllowed(["GET", "HEAD", "OPTIONS"])
    response["Access-Control-Allow-Origin"] = "*"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _document(request: HttpRequest, center: UUID) -> HttpResponse:
    locale = asked_locale(request)
    try:
        found = centers.current(center, locale, request.META.get("HTTP_ACCEPT_LANGUAGE", ""))
    except NotPublished as error:
        return problems.from_error(error)
    if _matches(request.META.get("HTTP_IF_NONE_MATCH"), found.etag):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(found.body, content_type="application/json")
    response["ETag"] = found.etag
    # A published change is seen at once: caches keep the bytes, but ask whether they still hold.
    response["Cache-Control"] = "public, no-cache"
    response["Content-Language"] = found.locale
    if not locale:
        response["Vary"] = "Accept-Language"
    return response


def _matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names this entity; weakly, since a proxy that compresses weakens tags (RFC 9110 s13.1.2)."""
    if not header:
        return False
    return header.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in header.split(",")]


@describe(
    operation_id="center",
    summary="The center document",
    parameters=[
        OpenApiParameter("locale", str, description="BCP 47; falls back and says so in Content-Language")
    ],
    responses={200: ref("Document"), 304: None, **problem_responses(404)},
    auth=[],
)
def _get(request: HttpRequest, center: UUID) -> HttpResponse:
    """Public, the same for everyone, with an ETag."""
    return center_document(request, center)


documented(center_document, get=_get)
