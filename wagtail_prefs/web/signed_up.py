"""`c/{token}/` of a sign-up: its owner says that she asked for it herself."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from ..access.services import Once
from ..errors import BadToken


def show(request: HttpRequest, link: Once) -> HttpResponse:
    """The page with the button."""
    raise BadToken


def act(request: HttpRequest, link: Once) -> HttpResponse:
    """The button."""
    raise BadToken
