"""The generic webhook, on a real HTTP server, with the `standardwebhooks` library as the receiver."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook

from wagtail_prefs.backends.base import Unsupported
from wagtail_prefs.backends.webhook import WebhookBackend
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Effect, Identifiers, Outcome, Support

from .states import ANNA, AT, JOINED, LEFT, batch, target

SECRET = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="
NEWER = "whsec_" + base64.b64encode(b"another key of thirty-two bytes!").decode()


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


def hook(url: str = "https://crm.example/hook", **options: Any) -> WebhookBackend:
    return WebhookBackend("crm", {"URL": url, "SECRET": SECRET, **options})


def test_the_body_holds_the_whole_state_and_what_changed() -> None:
    (operation,) = hook().plan(
        target(attributes={"birthday": "1990-01-01"}), [batch(2, JOINED), batch(3, LEFT)]
    )
    key = f"crm-{ANNA.hex}-3-contact.preferences"
    assert operation.payload == {
        "type": "contact.preferences",
        "id": key,
        "contact": {
            "id": str(ANNA),
            "audience": "brand",
            "email": "anna@mail.example.org",
            "external_id": "c-1",
            "language": "de",
        },
        "version": 3,
        "opted_out": False,
        "choices": {"news": {"email": "subscribed", "sms": "unsubscribed"}},
        "channels": {},
        "frequencies": {"all": "weekly", "topic:news": "monthly"},
        "pauses": {"channel:email": "2027-01-01T00:00:00.000000Z"},
        "attributes": {"birthday": "1990-01-01"},
        "changed": ["choice:news:email", "choice:news:sms"],
        "records": ["00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000003"],
        "at": "2026-11-22T09:30:00.000000Z",
    }
    assert operation.key == key
    assert operation.restricts
    assert AT.isoformat() == "2026-11-22T09:30:00+00:00"


def test_channels_as_a_whole_stand_apart_from_topics() -> None:
    choices = {("", "sms"): UNSUBSCRIBED, ("", "email"): SUBSCRIBED, ("news", "sms"): SUBSCRIBED}
    state = target(choices=choices, pending=frozenset({("", "push")}))
    no = Effect("choice::sms", None, UNSUBSCRIBED, "refused", "", "sms")
    (operation,) = hook().plan(state, [batch(3, no)])
    assert operation.payload["channels"] == {"email": "subscribed", "sms": "unsubscribed"}
    assert operation.payload["choices"] == {"news": {"sms": "subscribed"}}
    assert operation.payload["changed"] == ["choice::sms"]
    assert operation.restricts


def test_only_a_no_restricts() -> None:
    assert not hook().plan(target(), [batch(3, JOINED)])[0].restricts
    assert hook().plan(target(), [batch(3, LEFT)])[0].restricts


def test_planning_is_pure() -> None:
    since = [batch(3, LEFT)]
    assert hook().plan(target(), since) == hook().plan(target(), since)


def test_what_waits_for_a_confirmation_is_not_passed_on() -> None:
    state = target(pending=frozenset({("news", "email"), ("news", "sms")}))
    (operation,) = hook().plan(state, [])
    assert operation.payload["choices"] == {"news": {"sms": "unsubscribed"}}
    assert operation.payload["at"] is None


def test_the_receiver_can_verify_what_it_gets(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("", status=204)
    backend = hook(httpserver.url_for("/hook"), SECRET="", SECRETS=[NEWER, SECRET])
    (operation,) = backend.plan(target(), [batch(3, LEFT)])
    (result,) = backend.execute([operation])
    assert (result.key, result.outcome, result.code) == (operation.key, Outcome.DONE, "")
    request, _ = httpserver.log[0]
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("wagtail-prefs/")
    assert request.headers["webhook-id"] == operation.key
    for secret in (SECRET, NEWER):
        assert Webhook(secret).verify(request.get_data(), dict(request.headers)) == operation.payload


def test_a_retry_has_the_same_id_and_body(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=500)
    backend = hook(httpserver.url_for("/hook"))
    for _ in range(2):
        backend.execute(backend.plan(target(), [batch(3, LEFT)]))
    (first, _), (second, _) = httpserver.log
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.get_data() == second.get_data()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DONE),
        (202, Outcome.DONE),
        (301, Outcome.MISCONFIGURED),
        (400, Outcome.RETRY),
        (401, Outcome.MISCONFIGURED),
        (404, Outcome.MISCONFIGURED),
        (409, Outcome.RETRY),
        (410, Outcome.MISCONFIGURED),
        (413, Outcome.REFUSED),
        (422, Outcome.REFUSED),
        (429, Outcome.RATE_LIMITED),
        (500, Outcome.RETRY),
        (503, Outcome.RETRY),
    ],
)
def test_what_an_answer_means(httpserver: HTTPServer, status: int, outcome: Outcome) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=status, headers={"Retry-After": "7"})
    backend = hook(httpserver.url_for("/hook"))
    (result,) = backend.execute(backend.plan(target(), []))
    assert result.outcome is outcome
    assert result.retry_after == 7


def test_a_receiver_that_is_away_is_tried_again() -> None:
    backend = hook("http://127.0.0.1:1/hook")
    (result,) = backend.execute(backend.plan(target(), []))
    assert (result.outcome, result.code) == (Outcome.RETRY, "connection")


def test_erasing_tells_whom_and_nothing_else(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    person = Identifiers(email="anna@mail.example.org", remote={"crm": "17", "other": "4"})
    first, second = backend.erase(person), backend.erase(person)
    assert first.outcome is Outcome.DONE
    assert first.key == second.key
    body = json.loads(httpserver.log[0][0].get_data())
    assert body == {
        "type": "contact.erased",
        "id": first.key,
        "contact": {"id": "17", "email": "anna@mail.example.org"},
    }
    assert "anna" not in first.key


def test_neither_address_nor_secret_is_logged(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/hook/path-that-is-a-password").respond_with_data(
        "anna@mail.example.org", status=500
    )
    for url in (
        httpserver.url_for("/hook/path-that-is-a-password"),
        "http://127.0.0.1:1/path-that-is-a-password",
    ):
        backend = hook(url)
        (result,) = backend.execute(backend.plan(target(), []))
        for secret in ("anna@", "path-that-is-a-password", SECRET[6:]):
            assert secret not in repr(result)
            assert not [
                record
                for record in caplog.records
                if secret in record.getMessage() and "werkzeug" not in record.name
            ]


def test_options_are_checked_without_repeating_secrets() -> None:
    for options in (
        {"SECRET": ""},
        {"SECRET": "whsec_not-base64-at-all"},
        {"SECRET": "open-sesame"},
        {"SECRETS": [SECRET, NEWER]},  # with SECRET that makes three
    ):
        with pytest.raises(ImproperlyConfigured, match="crm") as caught:
            hook(**options)
        assert "sesame" not in str(caught.value)
        assert "base64-at-all" not in str(caught.value)


def test_check_names_an_address_that_will_not_do(settings: Settings) -> None:
    assert hook().check() == []
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": False}
    for url in (
        "http://crm.example/",
        "https://crm.example:8443/",
        "https://me:pw@crm.example/",
        "crm.example",
    ):
        (problem,) = hook(url).check()
        assert problem.level == "error"
        assert "pw" not in problem.text


def test_a_site_can_say_that_the_receiver_obeys() -> None:
    assert hook().capabilities.choice is Support.STORES
    obeying = hook(ENFORCES=["choice", "opt_out"]).capabilities
    assert (obeying.choice, obeying.opt_out, obeying.frequency) == (
        Support.ENFORCES,
        Support.ENFORCES,
        Support.STORES,
    )


def test_what_it_cannot_do_it_says() -> None:
    with pytest.raises(Unsupported):
        hook().read(target())
