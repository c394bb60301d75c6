"""The base of our DRF views: nothing of the host project's DRF settings may reach them (security.md EB-02)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.cache import patch_vary_headers
from drf_spectacular.openapi import AutoSchema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from . import problems


class JsonOnly(BaseContentNegotiation):
    """There is one representation; whatever the client accepts, it gets it."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class PrefsView(APIView):
    """JSON in, JSON out, nobody logged in, nothing cached."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    renderer_classes = (JSONRenderer,)
    throttle_classes = ()
    versioning_class = None
    content_negotiation_class = JsonOnly
    schema = AutoSchema()

    def get_exception_handler(self) -> Callable[..., Any]:
        return problems.handle

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store, private"
        response["X-Content-Type-Options"] = "nosniff"
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex"
        patch_vary_headers(response, ["Origin", "Authorization"])
        return response
