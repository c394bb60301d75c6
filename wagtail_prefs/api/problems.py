"""Errors as RFC 9457 problem documents: a type, a title, what to do next; never the input, never a trace."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _

from ..errors import (
    BadToken,
    BodyRefused,
    ForeignOrigin,
    InvalidAnswers,
    KeyReused,
    NotPublished,
    PrefsError,
    StepUpRequired,
    TooMany,
    UnknownContact,
    UnknownReceipt,
)
from ..values import Json

MEDIA_TYPE = "application/problem+json"


def problem(status: int, kind: str, title: str, **more: Any) -> JsonResponse:
    """A problem answer. `kind` is a stable name for programs; it stands in `type` as a URN."""
    content: Json = {"type": f"urn:wagtail-prefs:{kind}", "title": title, "status": status, **more}
    response = JsonResponse(content, status=status, content_type=MEDIA_TYPE)
    response["Cache-Control"] = "no-store, private"
    return response


def from_error(error: PrefsError) -> JsonResponse:
    """The problem answer for an error of ours."""
    match error:
        case BodyRefused():
            return problem(error.status, "body-refused", error.detail)
        case BadToken() | UnknownContact():
            # One answer for forged, expired, revoked and erased: nothing to learn from the difference.
            title = _("This session has ended. Open the link in one of our mails again.")
            response = problem(401, "session-ended", title)
            response["WWW-Authenticate"] = "Bearer"
            return response
        case ForeignOrigin():
            return problem(403, "foreign-origin", _("This center is not shown on this site."))
        case StepUpRequired():
            title = _("This is personal: changing it takes a fresh link.")
            return problem(403, "step-up-required", title)
        case TooMany():
            title = _("That was too often in a short time. Please wait a minute and try again.")
            response = problem(429, "too-many", title)
            response["Retry-After"] = str(error.retry_after)
            return response
        case NotPublished():
            return problem(404, "not-published", _("There is no published center of this id."))
        case UnknownReceipt():
            # Again one answer: whose it is, or was, is nobody else's business.
            return problem(404, "unknown-receipt", _("This cannot be taken back, or not any more."))
        case KeyReused():
            return problem(422, "key-reused", _("This Idempotency-Key came with another body before."))
        case InvalidAnswers():
            return problem(
                422,
                "invalid-answers",
                _("Some answers cannot be saved."),
                errors={
                    block: {name: list(texts) for name, texts in of.items()}
                    for block, of in error.errors.items()
                },
            )
    raise error
