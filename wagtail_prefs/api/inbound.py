"""`inbound/{alias}/{secret}/`: where a platform tells us what happened over there (crm-contracts.md s3.5, BK-04).

The address is the first password, the platform's own signature over the raw bytes the second. What is true is kept in
one statement and looked at later: the answer comes at once, and is the same whomever an event is about.
"""

from __future__ import annotations

import hmac
import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from ..access import guessing, limits, services as access
from ..backends.base import BadInbound, Unsupported
from ..backends.registry import backends
from ..sync import arrivals, tasks
from .problems import problem
from .shapes import NOBODY, describe, documented, problems

logger = logging.getLogger("wagtail_prefs.inbound")

#: Bytes of one request.
MAX_BYTES = 1024 * 1024
LIMIT = "inbound"
METHODS = "GET, HEAD, POST"
HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Allow": METHODS,
}
#: Held against a secret where there is none, so that a wrong name takes no less time than a wrong secret.
_NONE = ("nothing-is-as-long-as-22-letters",)


@describe(
    operation_id="receive_events",
    summary="What happened on a platform",
    request={"*/*": {"type": "string", "format": "binary"}},
    responses={204: None, 200: None, **problems(400, 404, 413, 429, 503)},
    auth=NOBODY,
)
def receive(request: HttpRequest, alias: str) -> HttpResponse:
    """A webhook of the backend `alias`, in whatever form that platform sends. The secret stands in its settings.

    204: kept, and looked at later; a repeat is known by its id. 200: the body was empty, as some platforms try an
    address. 400: not from the platform, or nothing that can be read.
    """
    verdict = limits.hit(LIMIT, alias)
    if not verdict.allowed:
        return _too_many(verdict.retry_after)
    try:
        raw = _read(request)
    except UnreadablePostError:  # it broke off: nobody knows what would have come
        return _not_read()
    if raw is None:
        return problem(
            413, "body-refused", _("The body is larger than %(limit)s bytes.") % {"limit": MAX_BYTES}
        )
    if not raw:
        return HttpResponse()
    try:
        backend = backends[alias]
    except Exception as error:  # noqa: BLE001 - settings are anybody's typing, a backend anybody's code
        logger.error("events of %s: the backend cannot be used (%s)", alias, type(error).__name__)  # noqa: TRY400
        return problem(503, "unusable", _("This cannot be read at the moment."))
    try:
        arrivals.keep(alias, backend.parse_inbound(request))
    except BadInbound as error:
        logger.warning("events of %s were refused (%s)", alias, error.code)
        return _not_read()
    except Unsupported:
        logger.warning("events of %s were refused (it takes none)", alias)
        return _unknown(request)
    except DatabaseError:
        raise  # the platform tries again
    except Exception as error:  # noqa: BLE001 - as above; its text may hold what must not be logged
        logger.error("events of %s could not be read (%s)", alias, type(error).__name__)  # noqa: TRY400
        return _not_read()
    tasks.nudge()
    return HttpResponse(status=204)


@describe(
    operation_id="try_events",
    summary="Whether events may be sent here",
    responses={200: None, **problems(404, 429)},
    auth=NOBODY,
)
def try_address(request: HttpRequest, alias: str) -> HttpResponse:
    """An empty answer: some platforms ask an address before they send anything there. Changes nothing."""
    return HttpResponse()


_HANDLERS = {"GET": try_address, "HEAD": try_address, "POST": receive}


# No cookie is looked at, so there is nothing for a forged request to ride on; what is counted for limits must not be
# rolled back; and no report of an error holds the secret, or what a platform says about people.
@csrf_exempt
@transaction.non_atomic_requests
@sensitive_post_parameters()
@sensitive_variables()
def inbound_view(request: HttpRequest, alias: str, secret: str) -> HttpResponse:
    """Whoever has the secret of a backend may tell what happened there. Wrong secret, wrong name: the same answer."""
    if request.method not in _HANDLERS:
        response: HttpResponse = problem(405, "method-not-allowed", _("This cannot be done here."))
    elif _announced(request) > MAX_BYTES:
        response = problem(
            413, "body-refused", _("The body is larger than %(limit)s bytes.") % {"limit": MAX_BYTES}
        )
    elif not _is_secret(alias, secret):
        response = _unknown(request)
    else:
        response = _HANDLERS[request.method](request, alias)
    for name, value in HEADERS.items():
        response[name] = value
    return response


documented(inbound_view, get=try_address, post=receive)


def _is_secret(alias: str, given: str) -> bool:
    """Whether it is one of the live secrets of a backend; all of them are held against it, each in the same time."""
    live = backends.inbound_secrets(alias)
    held = [hmac.compare_digest(one.encode(), given.encode(errors="replace")) for one in live or _NONE]
    return bool(live) and any(held)


def _unknown(request: HttpRequest) -> HttpResponse:
    """Nobody there. Whoever guesses is stopped for a while, by network."""
    verdict = limits.hit(guessing.LIMIT, access.network_of(request))
    if not verdict.allowed:
        return _too_many(verdict.retry_after)
    return problem(404, "unknown-address", _("Nothing is sent here."))


def _too_many(retry_after: int) -> HttpResponse:
    response = problem(429, "too-many", _("That is too often. Wait, and try again."))
    response["Retry-After"] = str(retry_after)
    return response


def _not_read() -> HttpResponse:
    return problem(400, "not-read", _("This is nothing that we can take."))


def _announced(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _read(request: HttpRequest) -> bytes | None:
    """The raw bytes, where they are not too many; they stand in `request.body` from now on, for the backend."""
    raw: bytes = request.read(MAX_BYTES + 1)  # never more than that, whatever the request announces
    if len(raw) > MAX_BYTES:
        return None
    plain: Any = request
    plain._body = raw  # what `request.body` would keep, had it read without a bound
    return raw
