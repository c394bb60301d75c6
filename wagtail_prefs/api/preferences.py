"""Sessions and preferences: the two personal routes of a center."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..access import services as access
from ..access.services import Session
from ..centers import services as centers
from ..centers.services import Center, Snapshot
from ..contacts.store import Loaded
from ..errors import BadToken, BodyRefused, InvalidAnswers, NotPublished
from ..submissions import services as submissions
from ..values import Actor, ActorType, ContactState, Json, Source
from . import body, cors
from .base import PrefsView
from .shapes import describe, problems, ref

LOCALE = OpenApiParameter("locale", str, description="BCP 47; the words of the answer come in it")
SESSION: Any = [{"session": []}]  # the stubs know names only
NOBODY: Any = []
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}\Z")


class CenterView(PrefsView):
    """What both views need: the center, the origin, and an answer that only that origin may read."""

    center: Center
    origin: str

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        locale = request.query_params.get("locale")
        accept = request.headers.get("Accept-Language", "")
        self.center = centers.current(kwargs["center"], locale[:35] if locale else None, accept)
        self.origin = cors.origin_of(request._request, self.center)
        super().initial(request, *args, **kwargs)

    def options(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        """A preflight: answered from what the process knows, for no origin but the center's."""
        return cors.preflight(request._request, self.center, ", ".join(self.allowed_methods))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if hasattr(self, "center"):
            cors.allow(response, request._request, self.center)
        return response

    def snapshot(self) -> Snapshot:
        return centers.get_snapshot(self.center.digest)

    def preferences(self, state: ContactState, email: str, session: Session) -> Json:
        found: Json = centers.preferences(self.snapshot(), state, email, assurance=session.assurance)
        return found

    def contact(self, session: Session) -> Loaded:
        if session.audience_id != self.center.audience_id:
            raise BadToken
        return access.contact_of(session)


class SessionsView(CenterView):
    """`POST sessions/`."""

    @describe(
        operation_id="open_session",
        summary="Exchange the code of a link for a session",
        parameters=[LOCALE],
        request={"application/json": ref("Code")},
        responses={200: ref("Session"), **problems(400, 401, 403, 404, 413, 415)},
        auth=NOBODY,
    )
    def post(self, request: Request, center: UUID) -> Response:
        """Uses the code up. A code opens one session, from the origin it was made for, within ten minutes."""
        data = body.read_json(request._request)
        body.only(data, code=str)
        bearer, session = access.redeem_code(data["code"], center=center, origin=self.origin)
        found = self.contact(session)
        return Response(
            {
                "session": bearer,
                "expires_at": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "preferences": self.preferences(found.state, found.email, session),
            }
        )


class PreferencesView(CenterView):
    """`GET` and `PATCH preferences/`."""

    def session(self, request: Request) -> Session:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise BadToken
        return access.open_session(bearer.strip(), center=self.center.center, origin=self.origin)

    @describe(
        operation_id="preferences",
        summary="The contact's preferences",
        parameters=[LOCALE],
        responses={200: ref("Preferences"), **problems(401, 403, 404)},
        auth=SESSION,
    )
    def get(self, request: Request, center: UUID) -> Response:
        """Private, never cached."""
        session = self.session(request)
        found = self.contact(session)
        return Response(self.preferences(found.state, found.email, session))

    @describe(
        operation_id="save",
        summary="Save answers",
        parameters=[
            LOCALE,
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, pattern="^[!-~]{1,255}$"
            ),
        ],
        request={"application/json": ref("Save")},
        responses={200: ref("Saved"), **problems(400, 401, 403, 404, 413, 415, 422)},
        auth=SESSION,
    )
    def patch(self, request: Request, center: UUID) -> Response:
        """Only what the named revision showed is accepted; an absent answer means "not touched"."""
        session = self.session(request)
        key = request.headers.get("Idempotency-Key", "")
        if not _PRINTABLE.match(key):
            raise BodyRefused(_("Send an Idempotency-Key of 1 to 255 printable characters."))
        data = body.read_json(request._request)
        body.only(data, base_version=int, revision=str, answers=dict)
        if data["base_version"] < 0 or not all(
            isinstance(fields, dict) for fields in data["answers"].values()
        ):
            raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "answers"})
        if session.audience_id != self.center.audience_id:
            raise BadToken
        saved = submissions.submit(
            link_id=session.link_id,
            epoch=session.epoch,
            snapshot=self.shown(data["revision"]),
            base_version=data["base_version"],
            answers=data["answers"],
            actor=Actor(ActorType.SUBJECT_SESSION),
            source=Source(
                method="element",
                form_id=str(center),
                form_version=data["revision"],
                language=self.center.locale,
                source_url=self.origin,
            ),
            idempotency_key=key,
        )
        return Response(
            {
                "version": saved.version,
                "receipt": saved.receipt,
                "applied": [line.to_json() for line in saved.applied],
                "merged": [line.to_json() for line in saved.merged],
                "preferences": self.preferences(saved.state, saved.email, session),
            }
        )

    def shown(self, revision: str) -> Snapshot:
        """The snapshot that answers were given on: of this center, newest or not."""
        try:
            snapshot = centers.get_snapshot(revision)
        except NotPublished:
            snapshot = None
        if snapshot is None or snapshot.center != self.center.center:
            raise InvalidAnswers(
                {"": {"revision": [_("This version of the page is not known. Load the page again.")]}}
            )
        return snapshot
