"""`c/{token}/`: a sign-up or a new address is confirmed by whoever reads the mail. Only POST acts."""

from __future__ import annotations

from typing import Protocol

from django.http import HttpRequest, HttpResponse

from ..access.services import Once, Purpose, look
from ..errors import BadToken, UnknownContact
from . import new_address, signed_up
from .tokens import TokenView, refuse_foreign


class _Page(Protocol):
    def show(self, request: HttpRequest, link: Once) -> HttpResponse: ...
    def act(self, request: HttpRequest, link: Once) -> HttpResponse: ...


PAGES: dict[Purpose, _Page] = {Purpose.CONFIRM: signed_up, Purpose.CHANGE_ADDRESS: new_address}


class ConfirmView(TokenView):
    """GET shows a button, or says that it was pressed; POST is the button."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self.of(request, token, act=False)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        refuse_foreign(request)
        return self.of(request, token, act=True)

    def of(self, request: HttpRequest, token: str, *, act: bool) -> HttpResponse:
        try:
            link = look(token, *PAGES)
        except (BadToken, UnknownContact):
            told = signed_up.gone(request, token)
            if told is None:
                raise
            return told
        page = PAGES[link.purpose]
        return page.act(request, link) if act else page.show(request, link)
