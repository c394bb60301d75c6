"""The base of the views behind links: which requests they take, and what becomes of those they do not."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from ..access import guessing
from ..errors import BadToken, BodyRefused, ForeignOrigin, PrefsError, TooMany, UnknownContact
from .responses import asked_locale, message, not_found, seal

FORM = "application/x-www-form-urlencoded"


# The path is the capability and there is no cookie, so there is nothing for a forged request to ride on. What belongs
# together is saved in one transaction, and what is counted for limits must not be rolled back with it. No report of an
# error holds what people typed.
@method_decorator(
    [csrf_exempt, transaction.non_atomic_requests, sensitive_post_parameters()], name="dispatch"
)
class TokenView(View):
    """GET, HEAD and OPTIONS change nothing; POST acts; everything else is 405. Every answer is sealed."""

    http_method_names = ["get", "head", "post", "options"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override(asked_locale(request)):
            response = self.answer(request, *args, **kwargs)
        return seal(response)

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The answer, also where it is a refusal; in the browser's language unless the view knows better."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except (BadToken, UnknownContact) as error:
            response = no_link(request, guessing.refusal(request, error))
        except ForeignOrigin:
            response = message(
                request,
                403,
                _("Not from there"),
                _(
                    "This form was sent from another website. Open the link in our mail, and use the page itself."
                ),
            )
        except BodyRefused as refused:
            response = message(request, refused.status, _("Not saved"), refused.detail)
        assert isinstance(response, HttpResponse)  # noqa: S101 - none of ours streams
        return response


def no_link(request: HttpRequest, error: PrefsError) -> HttpResponse:
    """The answer to a link that is none; another one to a network that has sent many."""
    if not isinstance(error, TooMany):
        return not_found(request)
    response = message(
        request,
        429,
        _("Too many links that do not work"),
        _("Please wait a minute, and then open the link in our newest mail."),
    )
    response["Retry-After"] = str(error.retry_after)
    return response


def refuse_foreign(request: HttpRequest) -> None:
    """Refuse a form that another website sends.

    Our pages forbid the referrer, so browsers send `Origin: null` for the page's own form. Only host and port are
    compared: behind a proxy that ends TLS, the scheme is not what the browser saw. Raises ForeignOrigin.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise ForeignOrigin
    origin = request.headers.get("Origin", "null")
    try:
        is_own = origin == "null" or urlsplit(origin).netloc == request.get_host()
    except ValueError:  # no browser writes `http://[`
        is_own = False
    if not is_own:
        raise ForeignOrigin


def read_form(request: HttpRequest, limit: int) -> QueryDict:
    """The fields of an urlencoded form of at most `limit` bytes; raises BodyRefused (413, 415)."""
    if request.content_type != FORM or request.headers.get("Content-Encoding"):
        raise BodyRefused(_("Please use the form on the page."), 415)
    if content_length(request) > limit:
        raise BodyRefused(_("The form is too large. Please load the page again."), 413)
    try:
        return request.POST
    except (RequestDataTooBig, SuspiciousOperation) as error:  # the site's own, stricter bounds
        raise BodyRefused(_("The form is too large. Please load the page again."), 413) from error
    except BadRequest as error:  # another encoding than UTF-8
        raise BodyRefused(_("Please use the form on the page."), 415) from error


def read_anything(request: HttpRequest, limit: int) -> QueryDict:
    """The fields of whatever a mail client sends, none where it is not a form; never raises."""
    if content_length(request) > limit or request.headers.get("Content-Encoding"):
        return QueryDict()
    try:
        if request.content_type:
            return request.POST
        return QueryDict(request.body)
    except (RequestDataTooBig, SuspiciousOperation, BadRequest, MultiPartParserError, OSError):
        return QueryDict()


def content_length(request: HttpRequest) -> int:
    """The announced size; the server hands over no more than that."""
    try:
        return int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return 0
