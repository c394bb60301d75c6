"""The base of what a center answers in person: plain views, JSON in, JSON out, for the origins of the center alone.

DRF describes these routes and runs in none of them: what it adds to an empty request is half of what a read costs here.
So nothing of the host project's DRF settings can reach them, either (security.md EB-02).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework.utils.encoders import JSONEncoder

from ..access import guessing, limits, services as access
from ..access.services import Session
from ..centers import services as centers
from ..centers.origins import origin_of
from ..centers.services import Center, Snapshot
from ..errors import BadToken, BodyRefused, PrefsError, TooMany
from ..submissions.gpc import Shared, shared_topics
from ..submissions.services import Saved, honour_signal, records_of
from ..values import ContactState, Json, Source
from . import cors, problems
from .shapes import documented

_HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Vary": cors.VARY,
}

READS = frozenset({"GET", "HEAD"})

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}\Z")

_encode = JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a center: in the locale it asks for, from an origin that the center is shown on."""

    request: HttpRequest
    center: Center
    origin: str

    def session(self) -> Session:
        """Who asks. Raises BadToken without a bearer of this center, ForeignOrigin for one of another origin, and TooMany
        for who asks too often.
        """
        scheme, _space, bearer = self.request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            raise BadToken("missing")
        session = access.open_session(bearer.strip(), center=self.center.center, origin=self.origin)
        self.admit(session)
        # By link and not by bearer: a session that is renewed, or opened anew, has no more room than before.
        verdict = limits.hit_lightly(
            "api_read" if self.request.method in READS else "api_write", session.link_id
        )
        if not verdict.allowed:
            raise TooMany(verdict.retry_after)
        return session

    def admit(self, session: Session) -> Session:
        """The session, where it is of the center's audience and was not called back; raises BadToken."""
        if session.audience_id != self.center.audience_id:
            raise BadToken
        if self.center.revoked.stops(session.kid, session.began):
            raise BadToken("revoked")
        return session

    def idempotency_key(self) -> str:
        """Raises BodyRefused where there is none that can be one."""
        return idempotency_key(self.request)

    def host(self) -> int | None:
        """The host page it comes from, so that a link in a mail leads back there; None for our own page."""
        if self.origin == cors.own_origin(self.center):
            return None
        origins = [origin_of(url) for url in self.center.host_pages]
        return origins.index(self.origin) if self.origin in origins else None

    def newest(self) -> Snapshot:
        """The center as it is published now."""
        return centers.get_snapshot(self.center.digest)

    def source(self, revision: str) -> Source:
        """Where a submission came from: the element, on this origin, showing this revision."""
        return Source(
            method="element",
            form_id=str(self.center.center),
            form_version=revision,
            language=self.center.locale,
            source_url=self.origin,
        )

    def shared(self) -> Shared:
        """What the browser's privacy signal is about: nothing without one, and then no statement."""
        return shared_topics(self.request.META.get("HTTP_SEC_GPC"), self.center.audience_id)

    def honoured(self, session: Session) -> Shared:
        """The same, and recorded: for calls that change something. Raises BadToken for who is revoked or gone."""
        shared = self.shared()
        if shared:
            self.honour(access.contact_of(session).state, shared)
        return shared

    def honour(self, state: ContactState, shared: Shared) -> ContactState:
        """The state after the privacy signal was recorded; as it was, where all of it is a no already."""
        source = Source(method="element", form_id=str(self.center.center), source_url=self.origin)
        return honour_signal(state, shared, source)

    def preferences(self, state: ContactState, email: str, session: Session) -> Json:
        """The contact's preferences, beside the newest snapshot."""
        newest = self.newest()
        found: Json = centers.preferences(
            newest,
            state,
            email,
            assurance=session.assurance,
            records=records_of(state, newest, session.assurance),
            shared=self.shared(),
        )
        return found

    def saved(self, saved: Saved, session: Session, *, yielded: str) -> Json:
        """The answer to a submission; `yielded` is how it calls what stands instead of what was wanted."""
        return {
            "version": saved.version,
            "receipt": saved.receipt,
            "applied": [line.to_json() for line in saved.applied],
            yielded: [line.to_json() for line in saved.merged],
            "preferences": self.preferences(saved.state, saved.email, session),
        }


def idempotency_key(request: HttpRequest) -> str:
    """The key that a repeat of this request bears as well; raises BodyRefused where there is none that can be one."""
    key: str = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if not _PRINTABLE.match(key):
        raise BodyRefused(_("Send an Idempotency-Key of 1 to 255 printable characters."))
    return key


Handler = Callable[[Call], Json]
View = Callable[[HttpRequest, UUID], HttpResponse]


def center_view(*, status: int = 200, **handlers: Handler) -> View:
    """A view with a handler for each method, named in lower case: `center_view(get=..., patch=...)`.

    A handler returns the body of an answer with `status` or raises a PrefsError, which becomes a problem. HEAD is
    answered like GET, OPTIONS as a preflight, everything else with 405.
    """
    methods = {name.upper(): handler for name, handler in handlers.items()}
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join([*methods, "OPTIONS"])

    # What belongs together is saved in one transaction, and what is counted for limits must not be rolled back with it.
    @transaction.non_atomic_requests
    @csrf_exempt  # no cookie is looked at, so there is nothing for a forged request to ride on
    def view(request: HttpRequest, center: UUID) -> HttpResponse:
        found: Center | None = None
        try:
            found = centers.current(
                center, asked_locale(request), request.META.get("HTTP_ACCEPT_LANGUAGE", "")
            )
            origin = cors.origin_of(request, found)
            if request.method == "OPTIONS":
                response = cors.preflight(request, allowed)
            elif request.method in methods:
                response = answer(methods[request.method](Call(request, found, origin)), status)
            else:
                response = problems.problem(405, "method-not-allowed", _("This cannot be done here."))
        except PrefsError as error:
            response = problems.from_error(guessing.refusal(request, error))
        for name, value in _HEADERS.items():
            response[name] = value
        response["Allow"] = allowed
        if found is not None:
            cors.allow(response, request, found)
        return response

    documented(view, **handlers)
    return view


def answer(body: Json, status: int = 200) -> HttpResponse:
    """A body as JSON that is JavaScript as well."""
    text: str = _encode(body)
    if "\u2028" in text or "\u2029" in text:  # JSON may hold them, older JavaScript may not
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return HttpResponse(text, content_type="application/json", status=status)


def asked_locale(request: HttpRequest) -> str | None:
    """The locale that the address asks for, of a length that locales have."""
    query = request.META.get("QUERY_STRING", "")
    if not query.isascii():  # WSGI and ASGI spell it differently then
        return _cut(request.GET.get("locale"))
    return _locale(query)


@lru_cache(maxsize=256)  # few differ, and Django takes longer to parse one than a session to open
def _locale(query: str) -> str | None:
    return _cut(QueryDict(query).get("locale"))


def _cut(locale: object) -> str | None:
    return str(locale)[:35] if locale else None
