"""`prefs_waiting` tells what waits, and for whom a digest is due; and the worker sends it."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from tests.delivery.test_command import run
from tests.mail import smtp
from tests.sending.waiting import DAY, HOUR, START, give, paused, person, subjects, weekly
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.sending.models import Waiting

pytestmark = pytest.mark.django_db(transaction=True)


def told(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("prefs_waiting", *arguments, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("prefs_waiting", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def waiting(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", weekly())
    Contact.objects.update(external_id="crm-1")
    for name, topic in (("m0", "news"), ("m1", "news"), ("m2", "offers")):
        give(anna, topic, name)
        clock.shift(HOUR)
    give(person("ben", paused(START + 2 * DAY)), message_id="m1")


@pytest.mark.usefixtures("waiting")
def test_counts_and_digests(clock: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        counted = [(row["kind"], row["topic"], row["channel"], row["due"], row["count"]) for row in told()]
    assert counted == [
        ("defer", "news", "email", "within a week", 1),
        ("digest", "news", "email", "within a week", 1),
        ("digest", "offers", "email", "within a week", 1),
    ]
    with django_assert_num_queries(2):
        (digest,) = told("--digests")
    assert (digest["external_id"], digest["channel"], digest["due_at"]) == (
        "crm-1",
        "email",
        "2026-03-23T00:00:00+00:00",
    )
    assert [(item["topic"], item["message_id"], item["sender"]) for item in digest["items"]] == [
        ("news", "m1", "django"),
        ("offers", "m2", "django"),
    ]
    assert told("--digests", "--due") == []
    everything = said() + said("--digests") + json.dumps(told("--digests"))
    assert "crm-1 email, 2026-03-23T00:00:00+00:00: news m1, offers m2" in everything
    assert "1 defer news (email), within a week" in everything
    assert "@" not in everything


@pytest.mark.usefixtures("waiting")
def test_send_drains_once(clock: Any, sink: smtp.Sink) -> None:
    assert told("--send") == [
        {"event": "sent", "claimed": 0, "sent": 0, "dropped": 0, "put_off": 0, "failed": 0, "uncertain": 0}
    ]
    clock.move_to(START + 2 * DAY)
    assert said("--send") == "1 sent\n"
    clock.move_to(START.replace(hour=0) + 7 * DAY)
    assert len(told("--digests", "--due")) == 1
    assert said("--send") == "1 sent, 1 put off again\n"
    assert subjects(sink) == ["m0", "m1", "m1"]


@pytest.mark.usefixtures("waiting")
def test_the_worker_sends_it_beside_what_it_delivers(clock: Any, sink: smtp.Sink, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    clock.move_to(START + 2 * DAY)
    code, out = run("--once")
    assert (code, "waiting mail: 1 sent\n" in out) == (0, True)
    assert run("--once")[1] == "0 delivered, 0 failed, 0 waiting\n"


def test_the_worker_tells_what_it_could_not_send(clock: Any, mailer: Any, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    port = smtp.free_port()
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=port, timeout=10)
    give(person("anna", paused(START + DAY)), message_id="m1")
    clock.shift(DAY)
    run("--once")
    assert Waiting.objects.get().code == "server-ConnectionRefusedError"
    clock.shift(HOUR)
    code, out = run("--once")
    assert (code, "waiting mail: 0 sent" in out) == (0, True)  # it is left alone for half a minute
    Waiting.objects.update(due_at=START)
    sink = smtp.Sink(port)
    with smtp.running(sink):
        assert run("--once")[0] == 0
    assert subjects(sink) == ["m1"]


def test_nothing_to_tell() -> None:
    assert said() == said("--digests") == ""
