"""`c/{token}/` of a new address: its owner says that it is hers (security.md TK-07)."""

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
