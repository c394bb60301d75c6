"""manage.py prefs_check, the doctor: every thing that can be wrong is found, said with what to do, and names nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.delivery.crm import CRMS, Crm, CrmBackend
from tests.delivery.people import JOIN, OPS, OUT, person
from tests.faults.delivering import SECRET, Receiver
from tests.mail import smtp
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.hiding import secrets_of, without
from wagtail_prefs.delivery import lanes
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Outcome, Problem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _well(settings: Settings) -> None:
    """A site with nothing to complain of, but for the guard, which tests do without."""
    settings.ADMINS = OPS
    settings.SILENCED_SYSTEM_CHECKS = ["wagtail_prefs.W020"]
    settings.DEBUG = True  # the checks for deployment are no part of this


def run(*arguments: str) -> tuple[int, str]:
    """(exit code, output)"""
    out = StringIO()
    try:
        call_command("prefs_check", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def found(*arguments: str) -> dict[str, list[dict[str, str]]]:
    """What is not well, by area."""
    code, output = run("--json", *arguments)
    said = json.loads(output)
    assert said["healthy"] is (code == 0)
    by_area: dict[str, list[dict[str, str]]] = {}
    for finding in said["findings"]:
        if finding["level"] in {"warning", "error"}:
            by_area.setdefault(finding["area"], []).append(finding)
    return by_area


def configured(settings: Settings, **entries: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}


@pytest.mark.usefixtures("crm")
def test_all_is_well() -> None:
    run_once()
    code, output = run()
    assert code == 0, output
    assert output.splitlines()[-1] == "All is well."
    for area in ("settings", "keys", "tasks", "worker", "breaker", "queue", "backend", "mail"):
        assert f" {area}: " in output
    assert found() == {}


def test_it_runs_where_no_other_command_would(settings: Settings) -> None:
    configured(
        settings,
        typo={"BACKEND": "nowhere.Crm"},
        crm={"BACKEND": "tests.delivery.crm.CrmBackend", "OPTIONS": {"BATCH": "sesame-open"}},
    )
    code, output = run()
    assert code == 1
    assert "E003" in output
    assert "sesame" not in output
    settings.WAGTAIL_PREFS = ["BACKENDS"]
    assert "wagtail_prefs.E001" in run()[1]
    settings.WAGTAIL_PREFS = {"BACKENDS": None}
    assert run()[0] == 1


@pytest.mark.usefixtures("crm")
def test_nobody_delivers(clock: time_machine.Traveller) -> None:
    (finding,) = found()["worker"]
    assert "No worker has ever" in finding["text"]
    assert "prefs_deliver --loop" in finding["hint"]
    run_once()
    person("anna", JOIN)
    clock.shift(timedelta(minutes=11))
    said = found()
    assert "since 2026-11-22T12:00:00" in said["worker"][0]["text"]
    assert [finding["id"] for finding in said["delivery"]] == ["wagtail_prefs.W040"]
    assert "with an opt-out" not in said.get("queue", [{"text": ""}])[0]["text"]


def test_a_platform_that_is_away(crm: Crm, clock: time_machine.Traveller) -> None:
    person("anna", OUT)
    crm.always["state"] = Outcome.MISCONFIGURED
    run_once()
    said = found()
    assert "is away since 2026-11-22T12:00:00" in said["breaker"][0]["text"]
    assert "scripted-misconfigured" in said["breaker"][0]["text"]
    assert "prefs_deliver --now --backend crm" in said["breaker"][0]["hint"]
    clock.shift(timedelta(hours=25))
    run_once()
    said = found()
    assert [finding["id"] for finding in said["delivery"]] == ["wagtail_prefs.E041"]
    (queue,) = said["queue"]
    assert "1 contacts wait for crm, 1 of them with an opt-out; the oldest for 25 h" in queue["text"]
    clock.shift(timedelta(days=5))
    run_once()
    assert "was given up" in found()["breaker"][0]["text"]
    assert "mail.example.org" not in run()[1]


def test_a_refusal_waits_for_a_person(crm: Crm) -> None:
    person("anna", JOIN)
    crm.always["state"] = Outcome.REFUSED
    run_once()
    (queue,) = found()["queue"]
    assert "1 were refused for good" in queue["text"]
    assert "Preferences > Backends > crm" in queue["hint"]


@pytest.mark.usefixtures("crm")
def test_a_platform_that_asked_to_wait_is_well() -> None:
    run_once()
    lanes.pause("crm", timezone.now() + timedelta(minutes=9), "http-429")
    code, output = run()
    assert code == 0
    assert "asked to be left alone until" in output


class Doctored(CrmBackend):
    """Says what its check is told to."""

    def check(self) -> list[Problem]:
        answer: Any = self.crm.script.popleft() if self.crm.script else []
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_backend_that_raises_is_a_finding(settings: Settings) -> None:
    configured(settings, crm={"BACKEND": f"{__name__}.Doctored"})
    CRMS.clear()
    crm = CRMS.setdefault("crm", Crm())
    run_once()
    crm.script.append(ValueError("password sesame of anna@mail.example.org"))
    (finding,) = found("--backend", "crm")["backend"]
    assert finding["text"] == "The check of crm failed (ValueError)."
    crm.script.append(PlatformError(Outcome.MISCONFIGURED, "http-401"))
    (finding,) = found("--backend", "crm")["backend"]
    assert finding["text"] == "crm gives no usable answer (http-401)."
    said: list[Problem] = [
        Problem("warning", "No list of anna@mail.example.org."),
        Problem("error", "No group."),
    ]
    crm.script.append(said)  # type: ignore[arg-type]
    assert [(finding["level"], finding["text"]) for finding in found("--backend", "crm")["backend"]] == [
        ("warning", "No list of …."),
        ("error", "No group."),
    ]
    CRMS.clear()


def test_what_a_backend_says_of_its_secrets_is_left_out(httpserver: HTTPServer, settings: Settings) -> None:
    settings.WAGTAIL_PREFS = Receiver(httpserver).options()
    run_once()
    hook = run("--backend", "hook")
    assert hook[0] == 0, hook[1]
    options = settings.WAGTAIL_PREFS["BACKENDS"]["hook"]["OPTIONS"]
    hidden = secrets_of(
        {**options, "AUTH": {"token": "abcdef"}, "SECRETS": ["whsec_1"], "TOPICS": {"news": "list-1"}}
    )
    text = without(hidden, f"{options['URL']} {SECRET} abcdef whsec_1 list-1 anna@mail.example.org")
    assert text == "… … … … list-1 …"


def test_the_mail_server_is_asked(settings: Settings, mail_on_a_closed_port: None) -> None:
    del mail_on_a_closed_port
    configured(settings)
    (finding,) = found()["mail"]
    assert finding["text"] == "The mail server does not talk to us (ConnectionRefusedError)."


@pytest.fixture
def mail_on_a_closed_port(settings: Settings) -> None:
    backend = "django.core.mail.backends.smtp.EmailBackend"
    port = smtp.free_port()
    if hasattr(mail, "mailers"):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"host": smtp.HOST, "port": port}}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = backend, smtp.HOST, port


@pytest.mark.usefixtures("crm")
def test_nobody_gets_the_mails(settings: Settings) -> None:
    run_once()
    settings.ADMINS = []
    assert "ADMINS is empty" in found()["alarms"][0]["text"]
    assert run("--fail-level", "error")[0] == 0


@pytest.mark.usefixtures("crm")
def test_a_key_that_was_to_retire(settings: Settings) -> None:
    run_once()
    key = "a-fixed-key-for-tests-only-0123456789-abcdefghij"
    entries = [
        {"kid": "new", "key": key + "new"},
        {"kid": "old", "key": key, "retire_after": "2020-01-01"},
    ]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SIGNING_KEYS": entries}
    (finding,) = found()["keys"]
    assert '"old" was to retire after 2020-01-01' in finding["text"]
    assert key not in run()[1]


def test_one_backend_only(configure: Callable[..., None]) -> None:
    configure(crm={}, other={})
    run_once()
    lanes.misconfigured("other", timezone.now(), "http-401")
    assert run("--backend", "crm")[0] == 0
    assert found("--backend", "other").keys() == {"breaker"}
    with pytest.raises(CommandError, match="Configured: crm, other") as caught:
        run("--backend", "nobody")
    assert caught.value.returncode == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("crm")
def test_before_the_first_migration() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Delivery)
        editor.delete_model(Lane)
    try:
        code, output = run()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Lane)
            editor.create_model(Delivery)
    assert code == 1
    assert "worker: It could not be looked at" in output


@pytest.mark.usefixtures("crm")
def test_it_changes_nothing(django_assert_max_num_queries: Any) -> None:
    run_once()
    person("anna", OUT)
    before = list(Delivery.objects.values()), list(Lane.objects.values())
    with django_assert_max_num_queries(40) as queries:
        run()
    for query in queries.captured_queries:
        assert (
            query["sql"].lstrip().upper().startswith(("SELECT", "PRAGMA", "SAVEPOINT", "RELEASE", "WITH"))
        ), query
    assert (list(Delivery.objects.values()), list(Lane.objects.values())) == before
