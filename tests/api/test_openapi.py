"""The OpenAPI description, and real answers held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error

from tests import factories
from wagtail_prefs.api.schema import openapi

from .conftest import Visit

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def schema_of(description: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    content = description["paths"][path][method]["responses"][str(status)]["content"]
    (media,) = content
    assert media == ("application/problem+json" if status >= 400 else "application/json")
    return {**content[media]["schema"], "components": description["components"]}


def holds(answer: Any, description: dict[str, Any], path: str, method: str) -> None:
    schema = schema_of(description, path, method, answer.status_code)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(answer.json())


DOCUMENT = "/centers/{center}/"
ACCESS_LINKS = "/centers/{center}/access-links/"
SIGN_UPS = "/centers/{center}/signups/"
SESSIONS = "/centers/{center}/sessions/"
PREFERENCES = "/centers/{center}/preferences/"
UNDO = "/centers/{center}/preferences/undo/"
HISTORY = "/centers/{center}/preferences/history/"
STEP_UP = "/centers/{center}/preferences/step-up/"
EXPORT = "/centers/{center}/preferences/export/"
ERASURE = "/centers/{center}/preferences/erasure/"
#: Those take an API key, or the secret of a backend: test_contacts, test_links and test_inbound hold them.
OF_CLIENTS = {
    "/contacts/", "/contacts/find/", "/contacts/{contact}/", "/links/", "/decisions/", "/decisions/asking/", "/sends/",
    "/sends/{message_id}/", "/suppressions/", "/inbound/{alias}/{secret}/",
}  # fmt: skip


def test_it_is_openapi_31_and_names_our_routes_only(description: dict[str, Any], visit: Visit) -> None:
    assert description["openapi"].startswith("3.1")
    assert set(description["paths"]) == {
        DOCUMENT,
        ACCESS_LINKS,
        SIGN_UPS,
        SESSIONS,
        PREFERENCES,
        UNDO,
        HISTORY,
        STEP_UP,
        EXPORT,
        ERASURE,
        *OF_CLIENTS,
    }
    served = visit.client.get("/prefs/api/v1/openapi.json")
    assert served.json() == description


def test_real_answers_are_as_described(description: dict[str, Any], visit: Visit) -> None:
    holds(visit.client.get(visit.url()), description, DOCUMENT, "get")
    holds(visit.post("sessions/", {"code": visit.code()}), description, SESSIONS, "post")
    preferences = visit.enter()
    assert preferences
    holds(visit.post("sessions/", {}), description, SESSIONS, "post")
    holds(visit.post("preferences/step-up/", {}, **{"Idempotency-Key": "mail"}), description, STEP_UP, "post")
    holds(visit.get(), description, PREFERENCES, "get")
    holds(visit.patch(visit.choose(news=True)), description, PREFERENCES, "patch")
    leave = factories.block_id(visit.page, "unsubscribe_all")
    holds(visit.patch(visit.body({leave: {"opted_out": True}}, base=1)), description, PREFERENCES, "patch")
    merged = visit.patch(visit.choose(news=True, events=True))
    holds(merged, description, PREFERENCES, "patch")
    holds(visit.get(), description, PREFERENCES, "get")
    holds(visit.undo(merged.json()["receipt"]), description, UNDO, "post")
    holds(visit.undo(merged.json()["receipt"]), description, UNDO, "post")  # kept
    holds(visit.history(), description, HISTORY, "get")
    holds(visit.history("?before=1"), description, HISTORY, "get")
    holds(visit.post("preferences/export/", {}, **{"Idempotency-Key": "get"}), description, EXPORT, "post")
    holds(visit.post("preferences/erasure/", {}, **{"Idempotency-Key": "go"}), description, ERASURE, "post")


def test_what_anybody_may_ask_is_answered_as_described(description: dict[str, Any], visit: Visit) -> None:
    key = {"Idempotency-Key": "key"}
    link, wish = {"email": "anna@mail.example.org"}, visit.choose(news=True)
    del wish["base_version"]
    wish |= link
    answers = [
        (ACCESS_LINKS, visit.post("access-links/", link), 202),
        (ACCESS_LINKS, visit.post("access-links/", {"email": 1}), 400),
        (ACCESS_LINKS, visit.post("access-links/", link, Origin="https://evil.example"), 403),
        (ACCESS_LINKS, visit.post("access-links/", b"x" * 17 * 1024), 413),
        (ACCESS_LINKS, visit.client.post(visit.url("access-links/"), "{}", content_type="text/plain"), 415),
        (ACCESS_LINKS, visit.post("access-links/", {"email": ""}), 422),
        (SIGN_UPS, visit.post("signups/", wish, **key), 202),
        (SIGN_UPS, visit.post("signups/", wish), 400),
        (SIGN_UPS, visit.post("signups/", wish, Origin="https://evil.example", **key), 403),
        (SIGN_UPS, visit.post("signups/", b"x" * 17 * 1024, **key), 413),
        (SIGN_UPS, visit.post("signups/", {**wish, "answers": {}}, **key), 422),
    ]
    visit.page.unpublish()
    answers += [
        (ACCESS_LINKS, visit.post("access-links/", link), 404),
        (SIGN_UPS, visit.post("signups/", wish, **key), 404),
    ]
    for path, answer, status in answers:
        assert answer.status_code == status
        holds(answer, description, path, "post")


def test_real_refusals_are_as_described(description: dict[str, Any], visit: Visit) -> None:
    visit.enter()
    refusals = [
        (visit.patch(b"{"), 400),
        (visit.patch(visit.choose(news=True), Authorization="Bearer x"), 401),
        (visit.patch(visit.choose(news=True), Origin="https://evil.example"), 403),
        (visit.patch(b"x" * 17 * 1024), 413),
        (visit.patch("{}", content_type="text/plain"), 415),
        (visit.patch(visit.body({"unknown": {}})), 422),
    ]
    for answer, status in refusals:
        assert answer.status_code == status
        holds(answer, description, PREFERENCES, "patch")
    unknown = "00000000-0000-4000-8000-000000000000"
    for answer, status, path, method in (
        (visit.undo(""), 400, UNDO, "post"),
        (visit.undo(unknown, Authorization=""), 401, UNDO, "post"),
        (visit.undo(unknown), 404, UNDO, "post"),
        (visit.history("?before=x"), 400, HISTORY, "get"),
        (visit.history(Authorization=""), 401, HISTORY, "get"),
    ):
        assert answer.status_code == status
        holds(answer, description, path, method)
    visit.page.unpublish()
    gone = visit.get()
    assert gone.status_code == 404
    holds(gone, description, PREFERENCES, "get")
    holds(visit.client.get(visit.url()), description, DOCUMENT, "get")


def test_a_wrong_answer_would_be_found(description: dict[str, Any], visit: Visit) -> None:
    schema = schema_of(description, DOCUMENT, "get", 200)
    document = visit.client.get(visit.url()).json()
    for spoil in ({"revision": "x"}, {"secret": 1}, {"blocks": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate({**document, **spoil})


@contextmanager
def kept_connection() -> Iterator[None]:
    """A real WSGI request closes old connections, and with them the test's transaction.

    Begin after the last use of Django's test client, which connects these receivers again.
    """
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def test_no_generated_request_makes_the_server_fail(visit: Visit) -> None:
    """Schemathesis over the description: 0 server errors (security.md AP-07)."""
    visit.enter()
    application = get_wsgi_application()
    schema = schemathesis.openapi.from_dict(json.loads(openapi()))
    tried = 0

    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in OF_CLIENTS:
            continue

        def run(case: Case) -> None:
            nonlocal tried
            case.path_parameters["center"] = str(visit.page.translation_key)
            answer = case.call(
                app=application,
                base_url="http://localhost/prefs/api/v1",
                headers={"Origin": visit.origin or "", "Authorization": f"Bearer {visit.session}"},
            )
            case.validate_response(answer, checks=[not_a_server_error])
            tried += 1

        strategy = operation.as_strategy()
        check = settings(
            max_examples=100,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(given(case=strategy)(run))
        with kept_connection():
            check()
    assert tried >= 500
