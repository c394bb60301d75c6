"""The generic webhook, on a real HTTP server, with the `standardwebhooks` library as the receiver."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook

from wagtail_prefs.backends.base import Unsupported
from wagtail_prefs.backends.webhook import MAX_BODY, WebhookBackend
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
    assert result.retry_after == (None if outcome is Outcome.DONE else 7)


def test_a_receiver_that_is_away_is_tried_again() -> None:
    backend = hook("http://127.0.0.1:1/hook")
    (result,) = backend.execute(backend.plan(target(), []))
    assert (result.outcome, result.code) == (Outcome.RETRY, "connection")


def test_the_receiver_hears_of_the_address_she_had_before(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    former = (
        Identifiers(email="old@mail.example.org", remote={"crm": "17"}),
        Identifiers(email="older@mail.example.org", phone="+491701234567", external_id="c-0"),
    )
    (operation,) = backend.plan(replace(target(), retired=former), [])
    assert operation.restricts
    assert operation.payload["former"] == [
        {"email": "old@mail.example.org"},
        {"email": "older@mail.example.org", "phone": "+491701234567", "external_id": "c-0"},
    ]
    assert backend.execute([operation])[0].outcome is Outcome.DONE
    assert json.loads(httpserver.log[0][0].get_data())["former"] == operation.payload["former"]
    assert "former" not in backend.plan(target(), [])[0].payload


def test_a_phone_number_is_passed_on() -> None:
    person = target()
    person = replace(person, identifiers=replace(person.identifiers, phone="+491701234567"))
    assert hook().plan(person, [])[0].payload["contact"]["phone"] == "+491701234567"


@pytest.mark.parametrize(("size", "calls", "outcome"), [(200_000, 1, "done"), (MAX_BODY, 0, "refused")])
def test_a_body_without_measure_is_not_sent(
    httpserver: HTTPServer, size: int, calls: int, outcome: str
) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    (result,) = backend.execute(backend.plan(target(attributes={"text": "x" * size}), []))
    assert (result.outcome, result.code) == (outcome, "" if calls else "too-large")
    assert len(httpserver.log) == calls


def test_years_of_submissions_fit_into_one_body(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    since = [batch(version, LEFT) for version in range(1, 10_001)]
    (operation,) = backend.plan(target(version=10_000), since)
    assert len(operation.payload["records"]) == 1_000
    assert operation.payload["records"][-1] == str(since[-1].record_id)
    assert backend.execute([operation])[0].outcome is Outcome.DONE


def test_an_address_that_was_erased_once_is_not_to_be_mailed() -> None:
    assert hook().plan(target(suppressed=True), [])[0].payload["opted_out"] is True


def test_erasing_tells_whom_and_nothing_else(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    (told,) = backend.execute(backend.plan(target(), []))
    assert told.remote_id == str(ANNA)
    person = Identifiers(email="anna@mail.example.org", remote={"crm": told.remote_id, "other": "4"})
    first, second = backend.erase(person), backend.erase(person)
    assert first.outcome is Outcome.DONE
    assert first.key != second.key  # she may have come back in between
    body = json.loads(httpserver.log[1][0].get_data())
    assert body == {
        "type": "contact.erased",
        "id": first.key,
        "contact": {"id": str(ANNA), "email": "anna@mail.example.org"},
    }
    assert backend.erase(Identifiers(email="ben@mail.example.org")).key != first.key
    assert backend.erase(Identifiers(remote={"other": "4"})).outcome is Outcome.DONE
    assert len(httpserver.log) == 4  # of nobody nothing is told


def test_who_reads_the_key_of_an_erasure_cannot_find_the_address_by_trying(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    backend = hook(httpserver.url_for("/hook"))
    person = Identifiers(email="anna@mail.example.org")
    assert len({backend.erase(person).key for _ in range(3)}) == 3


@pytest.mark.parametrize(("status", "outcome"), [(410, Outcome.MISCONFIGURED), (429, Outcome.RATE_LIMITED)])
def test_an_erasure_that_failed_says_so(httpserver: HTTPServer, status: int, outcome: Outcome) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=status, headers={"Retry-After": "7"})
    result = hook(httpserver.url_for("/hook")).erase(Identifiers(email="anna@mail.example.org"))
    assert (result.outcome, result.retry_after) == (outcome, 7)


def test_a_receiver_in_the_sites_own_network_needs_no_switch_for_all(
    httpserver: HTTPServer, settings: Settings
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": False}
    httpserver.expect_request("/hook").respond_with_data("")
    for own_network, outcome in ((False, Outcome.MISCONFIGURED), (True, Outcome.DONE)):
        backend = hook(httpserver.url_for("/hook"), OWN_NETWORK=own_network)
        assert backend.execute(backend.plan(target(), []))[0].outcome is outcome


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
