"""`prefs_deliver` sends mail, beside the backends and before nobody."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail as django_mail
from pytest_django import Settings

from tests.delivery.conftest import PATH as CRM
from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, person, row
from tests.delivery.test_command import run
from tests.mail import smtp
from tests.mail.smtp import Sink
from wagtail_prefs.delivery.checks import check_deliveries
from wagtail_prefs.mail.checks import check_mail
from wagtail_prefs.mail.models import Mail

Leave = Callable[..., Mail]


@pytest.fixture
def crm(settings: Settings) -> Iterator[Crm]:
    """The only backend."""
    CRMS.clear()
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {"crm": {"BACKEND": CRM, "OPTIONS": {}}},
    }
    yield CRMS.setdefault("crm", Crm())
    CRMS.clear()


@pytest.mark.django_db
def test_once(crm: Crm, leave: Leave, sink: Sink) -> None:
    person("anna", JOIN)
    leave("anna@mail.example.org")
    sink.refuse("ben@mail.example.org", "550 No")
    leave("ben@mail.example.org")
    assert run("--once") == (
        0,
        "crm: 1 delivered, 0 failed\nmail: 1 sent, 0 failed, 1 given up\n1 delivered, 0 failed, 0 waiting\n",
    )
    assert sink.to == ["anna@mail.example.org"]


@pytest.mark.django_db
@pytest.mark.usefixtures("crm")
def test_what_waits_is_told_to_cron(leave: Leave, mailer: Callable[..., None], clock: Any) -> None:
    port = smtp.free_port()
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=port, timeout=10)
    leave("anna@mail.example.org")
    code, output = run("--json")
    assert code == 1
    assert [json.loads(line) for line in output.splitlines()] == [
        {"event": "mails", "sent": 0, "failed": 1, "given_up": 0},
        {"event": "ended", "done": 0, "failed": 0, "waiting": 0},
        {"event": "mails_left", "waiting": 1},
    ]
    sink = Sink(port)
    with smtp.running(sink):
        assert run()[0] == 1  # it is left alone for a while
        assert sink.connections == 0
        code, output = run("--now")
    assert (code, output.splitlines()[:3]) == (
        0,
        ["0 deliveries made due", "1 mails made due", "mail: 1 sent, 0 failed, 0 given up"],
    )


@pytest.mark.django_db
@pytest.mark.usefixtures("crm")
def test_one_backend_only_is_no_mail(leave: Leave) -> None:
    leave("anna@mail.example.org")
    assert run("--backend", "crm")[0] == 0
    assert django_mail.outbox == []
    assert Mail.objects.get().attempts == 0


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_hangs_delays_no_backend(
    crm: Crm, leave: Leave, hooks: list[Callable[[Any], None]]
) -> None:
    contact = person("anna", JOIN)
    leave("anna@mail.example.org")
    delivered = threading.Event()
    crm.during = lambda _: delivered.set()
    waited: list[bool] = []
    hooks.append(lambda _message: waited.append(delivered.wait(20)))
    assert run("--once")[0] == 0
    assert waited == [True]
    assert row(contact).delivered == 1


@pytest.mark.django_db(transaction=True)
def test_a_backend_that_hangs_delays_no_mail(
    crm: Crm, leave: Leave, hooks: list[Callable[[Any], None]]
) -> None:
    person("anna", JOIN)
    leave("anna@mail.example.org")
    sent = threading.Event()
    hooks.append(lambda _message: sent.set())
    waited: list[bool] = []
    crm.during = lambda _: waited.append(sent.wait(20)) and None
    assert run("--once")[0] == 0
    assert waited == [True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("crm")
def test_the_loop_finds_what_comes_later_and_ends_after_the_mail_under_way(
    leave: Leave, hooks: list[Callable[[Any], None]]
) -> None:
    heard = threading.Event()

    def during(message: Any) -> None:
        if message.to == ["anna@mail.example.org"]:
            leave("ben@mail.example.org")
            return
        before = signal.getsignal(signal.SIGTERM)
        assert callable(before)
        os.kill(os.getpid(), signal.SIGTERM)
        leave("carla@mail.example.org")
        heard.set()

    hooks.append(during)
    leave("anna@mail.example.org")
    code, output = run("--loop", "--interval", "0.05", "--json")
    assert heard.is_set()
    assert code == 0
    assert json.loads(output.splitlines()[0]) == {"event": "started", "backends": ["crm"]}
    assert [message.to[0].partition("@")[0] for message in django_mail.outbox][:2] == ["anna", "ben"]


@pytest.mark.django_db
def test_mails_that_nobody_sends_are_told(leave: Leave, clock: time_machine.Traveller) -> None:
    leave("anna@mail.example.org")
    assert check_deliveries(databases=["default"]) == []
    clock.shift(timedelta(minutes=11))
    (told,) = check_deliveries(databases=["default"])
    assert told.id == "wagtail_prefs.W042"
    assert "anna" not in str(told)
    run("--once")
    assert check_deliveries(databases=["default"]) == []


@pytest.mark.django_db
def test_a_server_that_stays_away_is_told(
    leave: Leave, clock: time_machine.Traveller, mailer: Callable[..., None]
) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=smtp.free_port(), timeout=10)
    leave("anna@mail.example.org")
    run("--once")
    assert check_deliveries(databases=["default"]) == []
    clock.shift(timedelta(minutes=31))
    run("--once")
    (told,) = check_deliveries(databases=["default"])
    assert told.id == "wagtail_prefs.W043"
    assert "ConnectionRefusedError" in told.msg


SENDER = {"MAIL_FROM": "Brand <post@brand.example>"}


@pytest.mark.parametrize("name", ["console", "dummy", "filebased"])
def test_mails_that_go_nowhere(settings: Settings, mailer: Callable[..., None], name: str) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **SENDER}
    mailer(f"django.core.mail.backends.{name}.EmailBackend")
    (told,) = check_mail()
    assert told.id == "wagtail_prefs.W045"
    assert told.hint is not None
    assert all(word in told.hint for word in ("SPF", "DKIM", "DMARC"))
    settings.DEBUG = True
    assert check_mail() == []


@pytest.mark.parametrize("path", ["nowhere.EmailBackend", "builtins.dict", "no path", ""])
def test_a_mail_backend_that_there_is_not(settings: Settings, mailer: Callable[..., None], path: str) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **SENDER}
    mailer(path)
    assert [told.id for told in check_mail()] == ["wagtail_prefs.W045"]


def test_a_sender_whom_nobody_believes(settings: Settings, mailer: Callable[..., None]) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend")
    (told,) = check_mail()  # Django's default is webmaster@localhost
    assert told.id == "wagtail_prefs.W046"
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **SENDER}
    assert check_mail() == []
