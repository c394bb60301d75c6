"""`inbound/{alias}/{secret}/`: who may tell us of events, and that telling costs the same whatever is told."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter

from tests.delivery.people import JOIN, person
from tests.statements import said
from tests.sync import platform
from tests.sync.platform import PLATFORMS, SECRETS, SIGNATURE, Told
from wagtail_prefs.api import inbound
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.backends.base import Unsupported
from wagtail_prefs.sync.models import Arrival

pytestmark = pytest.mark.django_db

LEAVE = {"change": "SetChoice", "v": 1, "topic": "news", "channel": "email", "value": "unsubscribed"}
ADDRESS = "anna@mail.example.org"


@pytest.fixture(autouse=True)
def told(settings: Any) -> Iterator[Told]:
    """One platform with two live secrets, and backends that take nothing."""
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {
            "esp": {"BACKEND": platform.PATH, "INBOUND_SECRETS": SECRETS},
            "closed": {"BACKEND": platform.PATH},
            "broken": {"BACKEND": platform.PATH, "OPTIONS": {"BROKEN": True}, "INBOUND_SECRETS": SECRETS},
        },
    }
    PLATFORMS.clear()
    yield PLATFORMS.setdefault("esp", Told())
    PLATFORMS.clear()


def url(alias: str = "esp", secret: str = SECRETS[0]) -> str:
    return f"/prefs/api/v1/inbound/{alias}/{secret}/"


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": f"event-{number}", "email": ADDRESS, "changes": [LEAVE], **more}


def tell(
    *events: dict[str, Any], to: str = "", signature: str = SIGNATURE, client: Client | None = None
) -> Any:
    return (client or Client(enforce_csrf_checks=True)).post(
        to or url(), json.dumps(events), content_type="application/json", headers={"X-Signature": signature}
    )


def test_what_is_true_is_kept_and_nothing_else_happens() -> None:
    contact = person("anna", JOIN)
    answer = tell(event())
    assert (answer.status_code, answer.content) == (204, b"")
    row = Arrival.objects.get()
    assert (row.backend, row.state, row.contact, row.record) == ("esp", "waiting", None, None)
    assert "anna" not in row.payload
    assert "news" not in row.payload
    assert "event-1" not in row.event
    from wagtail_prefs.contacts.services import load_state

    assert load_state(contact).choices[("news", "email")] == "subscribed"


@pytest.mark.parametrize("secret", SECRETS)
def test_every_live_secret_opens(secret: str) -> None:
    assert tell(event(), to=url(secret=secret)).status_code == 204


STRANGERS = [
    url(secret="a-wrong-secret-of-the-length"),
    url(secret=SECRETS[0][:-1]),
    url(secret=f"{SECRETS[0]}x"),
    url(secret="%C3%BC"),
    url(alias="nobody"),
    url(alias="closed"),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_wrong_secret_and_wrong_name_are_one_answer(method: str) -> None:
    answers = []
    for stranger in STRANGERS:
        with CaptureQueriesContext(connection) as asked:
            answer = Client().generic(method, stranger, b"[]", content_type="application/json")
        # Wagtail's redirects look for the path of whatever is not found, and remember their site.
        costs = [statement for statement in said(asked) if "wagtail_prefs_" in statement]
        answers.append((answer.status_code, answer.content, sorted(answer.headers.items()), costs))
    assert answers[0][0] == 404
    for answer in answers:
        assert answer == answers[0]
    assert not Arrival.objects.exists()


def test_whoever_guesses_is_stopped_and_whoever_knows_is_not(settings: Any) -> None:
    limits = {"bad_token_network": [(3, 60)]}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": limits}
    found = [Client().get(url(secret="a-guess-of-22-letters-or-so")).status_code for _ in range(5)]
    assert found == [404, 404, 404, 429, 429]
    assert Client().get(url(alias="nobody"))["Retry-After"]
    assert tell(event()).status_code == 204


def test_a_platform_may_tell_much_and_not_without_end(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"inbound": [(2, 60)]}}
    answers = [tell(event(number)) for number in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert int(answers[2]["Retry-After"]) > 0
    assert Arrival.objects.count() == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_address_can_be_tried(method: str) -> None:
    answer = Client().generic(method, url())
    assert (answer.status_code, answer.content) == (200, b"")
    assert not Arrival.objects.exists()


def test_an_empty_post_tries_it_too() -> None:
    assert Client().post(url(), b"", content_type="application/x-www-form-urlencoded").status_code == 200
    assert Client().post(url(secret="a-wrong-secret-of-the-length"), b"", "text/plain").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_else_can_be_done(method: str) -> None:
    answer = Client().generic(method, url())
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, POST"


def test_no_page_of_another_site_reads_an_answer() -> None:
    for answer in (
        Client().get(url(), headers={"Origin": "https://evil.example"}),
        Client().options(url(), headers={"Origin": "https://evil.example"}),
        tell(event()),
    ):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert not answer.cookies
        assert answer["Cache-Control"] == "no-store, private"


@pytest.mark.parametrize(
    "body", [b"{", b"null", b"\xff\xfe", b"[1]", b'[{"id": "x", "changes": [{"change": "No"}]}]']
)
def test_what_cannot_be_read_is_refused_and_not_kept(body: bytes) -> None:
    answer = Client().post(url(), body, "application/json", headers={"X-Signature": SIGNATURE})
    assert answer.status_code == 400
    assert set(answer.json()) == {"type", "title", "status"}
    assert not Arrival.objects.exists()


def test_what_is_not_signed_is_refused_without_a_reason() -> None:
    answer = tell(event(), signature="forged")
    assert answer.status_code == 400
    assert "signature" not in answer.content.decode()


def test_one_event_that_is_none_keeps_all_from_being_kept() -> None:
    late = {"change": "PauseFor", "v": 1}
    assert tell(event(), event(2, changes=[late])).status_code == 400
    assert tell(event(), event(2, who={"remote": {"esp": 7}})).status_code == 400
    assert not Arrival.objects.exists()


def test_a_backend_that_breaks_is_told_of_by_its_kind_alone(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.crash = RuntimeError(f"secret of {ADDRESS}")
    assert tell(event()).status_code == 400
    assert "RuntimeError" in caplog.text
    assert ADDRESS not in caplog.text
    assert not Arrival.objects.exists()


def test_a_backend_that_takes_no_events_is_nobody(told: Told) -> None:
    told.crash = Unsupported("none")
    assert tell(event()).status_code == 404


def test_a_backend_that_cannot_be_used_asks_for_another_try(caplog: pytest.LogCaptureFixture) -> None:
    assert tell(event(), to=url(alias="broken")).status_code == 503
    assert "a secret of the settings" not in caplog.text


def test_a_body_is_bounded_whatever_it_announces() -> None:
    large = b"[" + b" " * inbound.MAX_BYTES + b"]"
    assert Client().post(url(), large, "application/json").status_code == 413
    assert Client().post(url(alias="nobody"), large, "application/json").status_code == 413
    request = RequestFactory().post(url(), large, "application/json")
    request._stream = io.BytesIO(large)  # type: ignore[attr-defined]  # as ASGI has it, without a length
    request.META["CONTENT_LENGTH"] = ""
    assert inbound.inbound_view(request, "esp", SECRETS[0]).status_code == 413
    fits = json.dumps([event()]).encode()
    fits += b" " * (inbound.MAX_BYTES - len(fits))
    answer = Client().post(url(), fits, "application/json", headers={"X-Signature": SIGNATURE})
    assert answer.status_code == 204


def test_what_breaks_off_is_not_taken() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError("gone")

    request = RequestFactory().post(url(), b"[]", "application/json")
    request._stream = Broken()
    assert inbound.inbound_view(request, "esp", SECRETS[0]).status_code == 400


def test_a_form_reaches_the_backend_as_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def parse(_self: Any, request: Any) -> list[Any]:
        seen.append((request.body, request.POST.dict()))
        return []

    monkeypatch.setattr(platform.Platform, "parse_inbound", parse)
    assert (
        Client()
        .post(url(), b"type=unsubscribe&data%5Bemail%5D=x", "application/x-www-form-urlencoded")
        .status_code
        == 204
    )
    assert seen == [(b"type=unsubscribe&data%5Bemail%5D=x", {"type": "unsubscribe", "data[email]": "x"})]


def test_one_statement_for_one_event_and_for_five_hundred() -> None:
    person("anna", JOIN)
    costs = []
    for count in (1, 500):
        events = [event(count * 1000 + number) for number in range(count)]
        with CaptureQueriesContext(connection) as asked:
            assert tell(*events).status_code == 204
        costs.append(said(asked))
    assert [len(cost) for cost in costs] == [1, 1]
    assert Arrival.objects.count() == 501


def test_known_and_unknown_people_cost_the_same() -> None:
    person("anna", JOIN)
    traces = []
    for email in (ADDRESS, "nobody@mail.example.org", "no address at all"):
        with CaptureQueriesContext(connection) as asked:
            answer = tell(event(email=email, id=email))
        traces.append((answer.status_code, answer.content, len(said(asked))))
    assert len(set(traces)) == 1


def test_a_repeat_is_kept_once_also_within_a_request_and_across_a_change_of_keys(settings: Any) -> None:
    tell(event(), event(), event(2))
    tell(event(2), event())
    assert Arrival.objects.count() == 2
    newest = {"kid": "t2", "key": "another-fixed-key-for-tests-0123456789-abcdefgh", "created": "2026-11-01"}
    ring = [newest, *settings.WAGTAIL_PREFS["SIGNING_KEYS"]]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SIGNING_KEYS": ring}
    tell(event(), event(3))
    tell(event(3))
    assert Arrival.objects.count() == 3


def test_the_same_id_on_two_platforms_is_two_events(settings: Any) -> None:
    entry = {"BACKEND": platform.PATH, "INBOUND_SECRETS": SECRETS}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"esp": entry, "crm": entry}}
    tell(event())
    tell(event(), to=url(alias="crm"))
    assert Arrival.objects.count() == 2


def test_where_the_database_is_away_the_platform_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        inbound.arrivals, "_insert", lambda: "SELECT 1 FROM nowhere WHERE %s = %s AND %s = ''"
    )
    client = Client(raise_request_exception=False)
    from django.db import transaction

    with transaction.atomic():
        assert tell(event(), client=client).status_code == 500
        transaction.set_rollback(True)


def test_no_log_line_and_no_report_holds_the_secret(
    caplog: pytest.LogCaptureFixture, told: Told, settings: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    tell(event(), signature="forged")
    Client().get(url(alias="nobody"))
    Client().get(url()[:-1])
    told.crash = OperationalError("away")
    tell(event(), client=Client(raise_request_exception=False))
    assert caplog.text.count("inbound/") >= 2
    assert SECRETS[0] not in caplog.text
    request = RequestFactory().post(url(), json.dumps([event()]), "application/json")
    settings.DEBUG = False
    with pytest.raises(OperationalError) as broke:
        inbound.inbound_view(request, "esp", SECRETS[0])
    report = ExceptionReporter(request, broke.type, broke.value, broke.tb).get_traceback_data()
    variables = [frame["vars"] for frame in report["frames"] if "wagtail_prefs/api" in frame["filename"]]
    assert variables
    assert SECRETS[0] not in repr(variables)
    assert ADDRESS not in repr(variables)


def test_answers_are_as_described(told: Told, settings: Any) -> None:
    description = json.loads(openapi())
    responses = description["paths"]["/inbound/{alias}/{secret}/"]
    assert set(responses) == {"get", "post"}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"inbound": [(3, 60)]}}
    answers = [
        ("post", tell(event()), 204),
        ("post", tell(event(), signature=""), 400),
        ("post", Client().post(url(), b"", "text/plain"), 200),
        ("post", tell(event()), 429),
        ("post", tell(event(), to=url("nobody")), 404),
        ("post", Client().post(url(), b" " * (inbound.MAX_BYTES + 1), "text/plain"), 413),
        ("post", tell(event(), to=url("broken")), 503),
        ("get", Client().get(url()), 200),
        ("get", Client().get(url("nobody")), 404),
    ]
    for method, answer, status in answers:
        assert answer.status_code == status
        described = responses[method]["responses"][str(status)]
        assert bool(answer.content) == ("content" in described)
        if answer.content:
            schema = described["content"]["application/problem+json"]["schema"]
            whole = {**schema, "components": description["components"]}
            jsonschema.Draft202012Validator(whole).validate(answer.json())
            assert answer["Content-Type"] == "application/problem+json"
