"""The base of what other programs ask and tell: plain views, JSON in, JSON out, for whoever holds an API key.

No cookie is looked at, and no header lets a page of another origin read an answer: a key does not belong in a browser.
As with `base`, DRF describes these routes and runs in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from ..access import api_keys, services as access
from ..access.api_keys import Scope
from ..access.models import ApiKey
from ..errors import (
    BadToken,
    BodyRefused,
    KeyReused,
    NotAllowed,
    NotPublished,
    PrefsError,
    TooMany,
    UnknownContact,
)
from ..values import Json
from . import body, problems
from .base import answer, idempotency_key
from .shapes import documented

HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Vary": "Authorization",
}


#: Characters of a name in a row of what was sent.
MAX_SENDER = 64


class Refused(PrefsError):
    """Values that cannot be taken (HTTP 422): `errors` is {field: reasons}, in words that repeat nothing of them."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("values were refused")
        self.errors = errors


class _LacksScope(PrefsError):
    def __init__(self, scope: Scope) -> None:
        super().__init__("lacks a scope")
        self.scope = scope


@dataclass(frozen=True, slots=True)
class ClientCall:
    """One request of a program, with the key that it came with."""

    request: HttpRequest
    key: ApiKey

    @property
    def audience_id(self) -> int:
        """Whose people this is about: of others there is nobody."""
        return self.key.audience_id

    @property
    def sender(self) -> str:
        """How the program is called where it is noted who sent something: its key's name, cut to what a row holds."""
        return "".join(filter(str.isprintable, self.key.name))[:MAX_SENDER]

    def require(self, scope: Scope) -> None:
        """For a call that does more than its method's scope says; raises a PrefsError where the key lacks this one too."""
        if scope not in self.key.scopes:
            raise _LacksScope(scope)

    def read(
        self,
        required: Mapping[str, type],
        optional: Mapping[str, type] | None = None,
        *,
        limit: int | None = None,
        most_keys: int = body.MAX_KEYS,
    ) -> Json:
        """The body; raises BodyRefused for other keys or types than these."""
        data = body.read_json(self.request, limit, most_keys=most_keys)
        body.some(data, required, optional or {})
        return data

    def idempotency_key(self) -> str:
        """Of this program's own: another's, or that of somebody's page, is never the same."""
        return f"api:{self.key.pk}:{idempotency_key(self.request)}"


#: Returns the body of a 200, or the status and the body, or an answer that is not made here: a file.
Handler = Callable[..., Json | tuple[int, Json] | HttpResponseBase]


def client_view(**handlers: tuple[Scope, Handler]) -> Callable[..., HttpResponseBase]:
    """A view with the scope and the handler of each method: `client_view(get=(Scope.CONTACTS_READ, read))`.

    A handler takes the call and what the address names; it may raise any PrefsError, which becomes a problem. HEAD is
    answered like GET; other methods, OPTIONS among them, with 405.
    """
    methods = {name.upper(): handler for name, handler in handlers.items()}
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join(methods)

    @transaction.non_atomic_requests  # as in `base`
    @csrf_exempt  # no cookie is looked at, so there is nothing for a forged request to ride on
    def view(request: HttpRequest, **named: Any) -> HttpResponseBase:
        if request.method not in methods:
            response: HttpResponseBase = problems.problem(
                405, "method-not-allowed", _("This cannot be done here.")
            )
        else:
            scope, handler = methods[request.method]
            try:
                found = handler(ClientCall(request, _opened(request, scope)), **named)
                if isinstance(found, HttpResponseBase):
                    response = found
                else:
                    status, content = found if isinstance(found, tuple) else (200, found)
                    response = answer(content, status)
            except PrefsError as error:
                response = _problem(error)
        for name, value in HEADERS.items():
            response[name] = value
        response["Allow"] = allowed
        return response

    documented(view, **{name: handler for name, (_scope, handler) in handlers.items()})
    return view


def _opened(request: HttpRequest, scope: Scope) -> ApiKey:
    """The key of a request that may do this, its use noted.

    What is no key is counted by network, and a key that holds by itself; neither stands in the way of the other.
    """
    scheme, _space, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BadToken
    key = given.strip()
    try:
        row = api_keys.open_key(key, scope)
    except BadToken:
        _within("bad_token_network", access.network_of(request))
        raise
    except NotAllowed as error:
        raise _LacksScope(scope) from error
    _within("key_calls", row.pk)
    api_keys.note_use(row, key)
    return row


def _within(limit: str, by: str) -> None:
    verdict = access.limits.hit(limit, by)
    if not verdict.allowed:
        raise TooMany(verdict.retry_after)


def _problem(error: PrefsError) -> HttpResponse:
    """The problem for an error; what `problems` says to people in a browser is said to programs here."""
    problem = problems.problem
    match error:
        case BadToken():
            # One answer for forged, expired and revoked: nothing to learn from the difference.
            found = problem(401, "key-refused", _("Send an API key that holds, as a bearer token."))
            found["WWW-Authenticate"] = "Bearer"
        case _LacksScope():
            title = _("This key does not allow that. It lacks the scope %(scope)s.")
            found = problem(403, "scope-missing", title % {"scope": error.scope.value})
        case UnknownContact():
            found = problem(404, "unknown-contact", _("There is no such person."))
        case NotPublished() | KeyReused() | BodyRefused():
            found = problems.from_error(error)
        case Refused():
            found = problem(422, "refused", _("Some values cannot be taken."), errors=dict(error.errors))
        case NotAllowed():
            title = _(
                "Only a person's own act turns a no, or silence, into a yes: name the evidence of it, younger than "
                "what she said since. Nothing was changed."
            )
            found = problem(422, "evidence-needed", title)
        case TooMany():
            found = problem(429, "too-many-requests", _("That is too often. Wait, and try again."))
            found["Retry-After"] = str(error.retry_after)
        case _:
            raise error
    return found
