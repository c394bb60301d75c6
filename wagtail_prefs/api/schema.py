"""OpenAPI 3.1 of our own routes, whatever the host project's settings for DRF are."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from .. import __version__
from .shapes import COMPONENTS


@cache
def openapi() -> bytes:
    """The description as JSON bytes; it depends on the code only."""
    settings = {
        "TITLE": "wagtail-prefs",
        "VERSION": __version__,
        "OAS_VERSION": "3.1.1",
        "APPEND_COMPONENTS": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "from POST sessions/"},
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "wpk_{id}_{secret}",
                    "description": "an API key; each call names the scope it needs in its description",
                },
            },
        },
    }
    generator: Any = SchemaGenerator  # untyped in drf-spectacular
    with patched_settings(settings):
        schema = generator(urlconf="wagtail_prefs.api.urls").get_schema(request=None, public=True)
    return json.dumps(schema, ensure_ascii=False, default=str).encode()


def openapi_view(_request: HttpRequest) -> HttpResponse:
    """`GET api/v1/openapi.json`."""
    response = HttpResponse(openapi(), content_type="application/vnd.oai.openapi+json; charset=utf-8")
    response["Access-Control-Allow-Origin"] = "*"
    return response
