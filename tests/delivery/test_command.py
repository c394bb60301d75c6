"""manage.py prefs_deliver."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, OUT, person, row, save
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery.models import Lane
from wagtail_prefs.delivery.worker import Worker
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Outcome


def run(*arguments: str) -> tuple[int, str]:
    """(exit code, output)"""
    out = StringIO()
    try:
        call_command("prefs_deliver", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
@pytest.mark.usefixtures("crm")
def test_once() -> None:
    person("anna", JOIN)
    code, output = run("--once")
    assert code == 0
    assert output.splitlines() == ["crm: 1 delivered, 0 failed", "1 delivered, 0 failed, 0 waiting"]
    assert run() == (0, "0 delivered, 0 failed, 0 waiting\n")


@pytest.mark.django_db
def test_what_has_ended_by_itself_is_written_down_and_delivered(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    until = timezone.now() + timedelta(days=1)
    contact = person("anna", SetChoice("news", "email", SUBSCRIBED, until))
    run()
    clock.shift(timedelta(days=1))
    assert run() == (0, "crm: 1 delivered, 0 failed\n1 delivered, 0 failed, 0 waiting\n")
    assert load_state(contact).choices["news", "email"] == UNSUBSCRIBED
    assert run() == (0, "0 delivered, 0 failed, 0 waiting\n")


@pytest.mark.django_db
def test_what_is_left_to_do_is_told_to_cron(crm: Crm) -> None:
    person("anna", JOIN)
    crm.always["state"] = Outcome.RETRY
    code, output = run("--once", "--json")
    assert code == 1
    assert [json.loads(line) for line in output.splitlines()] == [
        {"event": "round", "backend": "crm", "done": 0, "failed": 1},
        {"event": "ended", "done": 0, "failed": 1, "waiting": 1},
    ]


@pytest.mark.django_db
def test_after_an_outage_everything_can_be_tried_now(crm: Crm, clock: time_machine.Traveller) -> None:
    contact, other = person("anna", JOIN), person("ben", JOIN)
    crm.always["state"] = Outcome.MISCONFIGURED
    run("--once")
    crm.always["state"] = Outcome.REFUSED
    clock.shift(timedelta(minutes=6))
    run("--once")
    crm.always.clear()
    assert run("--once")[1].startswith("0 delivered")
    code, output = run("--once", "--now")
    assert (code, output.splitlines()[0]) == (0, "2 deliveries made due")
    assert (row(contact).delivered, row(other).delivered) == (1, 1)


@pytest.mark.django_db
def test_one_backend_only(configure: Callable[..., None]) -> None:
    configure(crm={}, other={})
    contact = person("anna", JOIN)
    run("--once", "--backend", "crm")
    assert (row(contact, "crm").delivered, row(contact, "other").delivered) == (1, 0)


@pytest.mark.parametrize(
    "arguments", [("--backend", "nobody"), ("--interval", "0"), ("--interval", "-1"), ("--interval", "nan")]
)
@pytest.mark.usefixtures("crm")
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert caught.value.returncode == 2


@pytest.mark.django_db
def test_without_a_backend_there_may_be_mails(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    assert run("--once") == (0, "0 delivered, 0 failed, 0 waiting\n")
    with pytest.raises(CommandError, match="Configured: none"):
        run("--backend", "crm")


@pytest.mark.django_db(transaction=True)
def test_a_backend_that_hangs_does_not_delay_another(configure: Callable[..., None]) -> None:
    configure(hanging={}, crm={})
    hanging, crm = CRMS.setdefault("hanging", Crm()), CRMS.setdefault("crm", Crm())
    contact = person("anna", JOIN)
    other_is_done = threading.Event()
    crm.during = lambda _: other_is_done.set()
    waited: list[bool] = []
    hanging.during = lambda _: waited.append(other_is_done.wait(20)) and None
    assert run("--once")[0] == 0
    assert waited == [True]
    assert (row(contact, "crm").delivered, row(contact, "hanging").delivered) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_after_the_call_under_way(
    configure: Callable[..., None], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    people = [person(name, JOIN) for name in ("anna", "ben", "carla")]
    # The main thread hears of a signal when it gets its turn; the call under way lasts at least until then.
    heard = threading.Event()
    stop = Worker.stop
    monkeypatch.setattr(Worker, "stop", lambda worker: (stop(worker), heard.set()))

    def during(_: object) -> None:
        os.kill(os.getpid(), number)
        assert heard.wait(20)

    crm.during = during
    before = signal.getsignal(number)
    code, output = run("--loop", "--json")
    assert code == 0
    assert json.loads(output.splitlines()[-1]) == {"event": "ended", "done": 1, "failed": 0, "waiting": 2}
    assert len(crm.calls) == 1
    assert {row(contact).lease for contact in people} == {None}
    assert signal.getsignal(number) == before


@pytest.mark.django_db(transaction=True)
def test_the_loop_finds_what_comes_later(crm: Crm) -> None:
    contact = person("anna", JOIN)

    def next_wish(operations: object) -> None:
        if len(crm.calls) == 1:
            save(contact, OUT)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    crm.during = next_wish
    run("--loop", "--interval", "0.05")
    assert crm.contacts[str(contact)]["opted_out"] is True


@pytest.mark.django_db
def test_a_chore_that_fails_stops_no_delivery(crm: Crm, caplog: pytest.LogCaptureFixture) -> None:
    contact = person("anna", JOIN)
    done: list[str] = []

    def broken() -> None:
        raise ValueError("anna@mail.example.org")

    worker = Worker(["crm"], report=lambda *_: None, chores=[broken, lambda: done.append("next")])
    worker.once()
    worker.once()
    assert row(contact).delivered == 1
    assert crm.calls
    assert done == ["next", "next"]
    told = [record.getMessage() for record in caplog.records if "keeping house" in record.getMessage()]
    assert told == ["keeping house: broken failed (ValueError)"]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_has_lost_a_thread_ends_as_a_whole(configure: Callable[..., None]) -> None:
    """It would look well, and one backend would never hear of anything again."""
    configure(crm={}, other={})
    person("anna", JOIN)

    def report(alias: str, _tally: object) -> None:
        if alias == "crm":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Worker(["crm", "other"], report=report).loop(0.05)


@pytest.mark.django_db
def test_now_reopens_what_was_given_up(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    crm.always["state"] = Outcome.MISCONFIGURED
    run()
    Lane.objects.update(disabled_at=timezone.now(), paused_until=timezone.now() + timedelta(days=1))
    crm.always.clear()
    assert run()[0] == 1
    assert row(contact).delivered == 0
    code, output = run("--now")
    assert (code, output.splitlines()[0]) == (0, "1 deliveries made due")
    assert row(contact).delivered == 1
    assert Lane.objects.get().disabled_at is None
    clock.shift(1)
    assert run() == (0, "0 delivered, 0 failed, 0 waiting\n")
