"""What becomes of mails when the mail server does not take them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core import mail as django_mail
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.mail import smtp
from tests.mail.smtp import DROP, HANG, Sink
from wagtail_prefs.mail import rows, sending
from wagtail_prefs.mail.kinds import GIVEN_UP_AFTER, KINDS, register
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.mail.sending import AWAY, SCHEDULE, Tally, delay

pytestmark = pytest.mark.django_db

Leave = Callable[..., Mail]
Clock = time_machine.Traveller
ANNA, BEN, CARLA = (f"{name}@mail.example.org" for name in ("anna", "ben", "carla"))


def again(row: Mail) -> Mail:
    return Mail.objects.get(pk=row.pk)


def left(leave: Leave, clock: Clock, *addresses: str) -> list[Mail]:
    """One mail a second."""
    found = []
    for address in addresses:
        found.append(leave(address))
        clock.shift(1)
    return found


def test_oldest_first_over_one_connection(sink: Sink, leave: Leave, clock: Clock) -> None:
    left(leave, clock, CARLA, ANNA, BEN)
    assert sending.drain() == Tally(claimed=3, sent=3)
    assert sink.to == [CARLA, ANNA, BEN]
    assert sink.connections == 1
    assert sending.drain() == Tally()
    assert sink.connections == 1  # nobody is asked when nothing waits


def test_no_server_loses_nothing_and_blames_nobody(
    mailer: Callable[..., None], leave: Leave, clock: Clock
) -> None:
    port = smtp.free_port()
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=port, timeout=10)
    first, second = left(leave, clock, ANNA, BEN)
    assert sending.drain() == Tally(claimed=1, failed=1)
    for row in (again(first), again(second)):
        assert (row.attempts, row.code, row.lease) == (0, "server-ConnectionRefusedError", "")
        assert row.due_at == timezone.now() + AWAY
        assert row.to and row.context
    # It comes back, but until the pause has ended nobody asks, whoever leaves another mail meanwhile.
    sink = Sink(port)
    with smtp.running(sink):
        clock.shift(10)
        (third,) = left(leave, clock, CARLA)
        assert sending.drain() == Tally(claimed=1, failed=1)
        assert sink.connections == 0
        assert again(third).due_at == again(first).due_at
        clock.shift(AWAY)
        assert sending.drain() == Tally(claimed=3, sent=3)
        assert set(sink.to) == {ANNA, BEN, CARLA}
        assert sink.connections == 1
    assert {row.code for row in Mail.objects.all()} == {""}


def test_after_an_outage_everything_can_be_tried_now(
    mailer: Callable[..., None], leave: Leave, clock: Clock
) -> None:
    port = smtp.free_port()
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=port, timeout=10)
    left(leave, clock, ANNA, BEN)
    sending.drain()
    sink = Sink(port)
    with smtp.running(sink):
        assert sending.drain() == Tally()
        assert sending.retry_now() == 2
        assert sending.drain().sent == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [("550 5.1.1 <ben@mail.example.org>: no such user", "smtp-550 5.1.1"), ("553 ben?", "smtp-553")],
)
@pytest.mark.parametrize("command", ["rcpt", "text"])
def test_an_address_that_is_refused_is_given_up_and_stops_no_other(
    sink: Sink,
    leave: Leave,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    command: str,
    answer: str,
    code: str,
) -> None:
    sink.refuse(BEN, answer, command)
    _, ben, _ = left(leave, clock, ANNA, BEN, CARLA)
    with caplog.at_level(logging.DEBUG):
        assert sending.drain() == Tally(claimed=3, sent=2, given_up=1)
    assert sink.to == [ANNA, CARLA]
    assert sink.connections == 1
    row = again(ben)
    assert (row.to, row.context, row.due_at, row.sent_at, row.code) == ("", {}, None, None, code)
    said = [record.getMessage() for record in caplog.records]
    assert any(code in line for line in said)
    assert not [line for line in said if "@" in line]


@pytest.mark.parametrize("command", ["rcpt", "text"])
def test_a_refusal_for_now_is_tried_again_later_and_later(
    sink: Sink, leave: Leave, clock: Clock, command: str
) -> None:
    sink.refuse(BEN, "450 4.2.0 Greylisted", command)
    _, ben, _ = left(leave, clock, ANNA, BEN, CARLA)
    assert sending.drain() == Tally(claimed=3, sent=2, failed=1)
    row = again(ben)
    assert (row.attempts, row.code, row.to) == (1, "smtp-450 4.2.0", BEN)
    assert row.due_at is not None
    assert 54 <= (row.due_at - timezone.now()).total_seconds() <= 66
    assert sending.drain() == Tally()
    for number, seconds in enumerate(SCHEDULE[1:], start=2):
        clock.move_to(row.due_at)
        assert sending.drain() == Tally(claimed=1, failed=1)
        row = again(ben)
        assert row.attempts == number
        assert row.due_at is not None
        assert 0.9 * seconds <= (row.due_at - timezone.now()).total_seconds() <= 1.1 * seconds
    sink.fault = lambda _command, _address: None
    clock.move_to(row.due_at)
    assert sending.drain().sent == 1
    assert sink.to == [ANNA, CARLA, BEN]


@pytest.mark.parametrize("command", ["mail", "rcpt", "data", "text"])
def test_a_connection_that_breaks_costs_one_mail_a_try(
    sink: Sink, leave: Leave, clock: Clock, command: str
) -> None:
    broken = iter([DROP])
    sink.fault = lambda at, about: (
        next(broken, None) if at == command and (about == BEN or at == "mail") else None
    )
    addresses = [BEN, CARLA] if command == "mail" else [ANNA, BEN, CARLA]
    left(leave, clock, *addresses)
    assert sending.drain() == Tally(claimed=len(addresses), sent=len(addresses) - 1, failed=1)
    assert BEN not in sink.to
    assert sink.connections == 2
    row = Mail.objects.get(due_at__isnull=False)
    assert (row.to, row.attempts, row.code) == (BEN, 1, "SMTPServerDisconnected")
    assert row.due_at is not None
    clock.move_to(row.due_at)
    assert sending.drain().sent == 1
    # The server had perhaps kept it the first time: whoever gets it twice sees by its id that it is one.
    assert sink.got[-1].message["Message-ID"] == f"<{row.pk.hex}@localhost>"


def test_a_server_that_breaks_each_connection_is_left_alone(sink: Sink, leave: Leave, clock: Clock) -> None:
    sink.fault = lambda command, _address: DROP if command == "rcpt" else None
    found = left(leave, clock, *(f"p{number}@mail.example.org" for number in range(6)))
    assert sending.drain() == Tally(claimed=3, failed=3)
    assert sink.connections == 3
    assert [again(row).attempts for row in found] == [1, 1, 1, 0, 0, 0]
    assert {again(row).code for row in found[3:]} == {"server-SMTPServerDisconnected"}
    # Those that were not tried come first.
    sink.fault = lambda _command, _address: None
    clock.shift(AWAY)
    sending.drain()
    assert sink.to == [f"p{number}@mail.example.org" for number in (3, 4, 5)]
    clock.shift(60)
    assert sending.drain().sent == 3


def test_a_server_that_closes_for_now_is_left_alone(sink: Sink, leave: Leave, clock: Clock) -> None:
    sink.refuse(ANNA, "421 4.3.2 Too busy")
    anna, ben, carla = left(leave, clock, ANNA, BEN, CARLA)
    assert sending.drain() == Tally(claimed=1, failed=1)
    assert (again(anna).code, again(anna).attempts) == ("smtp-421 4.3.2", 1)
    assert {again(row).code for row in (ben, carla)} == {"server-smtp-421 4.3.2"}
    # If it is one mail at which it closes, that one does not stand before the others for ever.
    clock.shift(AWAY)
    assert sending.drain() == Tally(claimed=2, sent=2)


def test_a_sender_who_is_refused_gives_no_mail_up(sink: Sink, leave: Leave, clock: Clock) -> None:
    sink.fault = lambda command, _address: "550 5.7.1 Not you" if command == "mail" else None
    anna, ben = left(leave, clock, ANNA, BEN)
    assert sending.drain() == Tally(claimed=1, failed=1)
    assert again(anna).code == "smtp-550 5.7.1"
    assert again(ben).code == "server-smtp-550 5.7.1"
    assert sending.waiting() == 2


def test_a_server_that_says_nothing_is_not_waited_for(
    sink: Sink, mailer: Callable[..., None], leave: Leave, clock: Clock
) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=sink.port, timeout=0.2)
    sink.refuse(ANNA, HANG)
    anna, _ = left(leave, clock, ANNA, BEN)
    assert sending.drain() == Tally(claimed=2, sent=1, failed=1)
    assert again(anna).code == "SMTPServerDisconnected"  # what smtplib makes of a timeout
    assert sink.to == [BEN]


def test_there_is_a_timeout_without_one_in_the_settings(
    sink: Sink, mailer: Callable[..., None], leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=sink.port, timeout=None)
    monkeypatch.setattr("wagtail_prefs.mail.server.TIMEOUT", 0.2)
    sink.refuse(ANNA, HANG)
    leave(ANNA)
    assert sending.drain() == Tally(claimed=1, failed=1)


def test_a_backend_that_there_is_not_loses_nothing(mailer: Callable[..., None], leave: Leave) -> None:
    mailer("nowhere.EmailBackend")
    row = leave(ANNA)
    assert sending.drain() == Tally(claimed=1, failed=1)
    assert again(row).code in {"server-ModuleNotFoundError", "server-InvalidMailer"}
    assert again(row).attempts == 0


def test_what_a_backend_raises_costs_one_mail_a_try(hooks: list[Callable[[Any], None]], leave: Leave) -> None:
    class Refused(Exception):
        pass

    def refuse(message: Any) -> None:
        if message.to == [ANNA]:
            raise Refused(f"{ANNA} is not allowed")

    hooks.append(refuse)
    anna = leave(ANNA)
    leave(BEN)
    assert sending.drain() == Tally(claimed=2, sent=1, failed=1)
    assert again(anna).code == "Refused"


def test_a_broken_template_of_the_site_stops_its_kind_alone(
    settings: Settings, tmp_path: Path, leave: Leave, clock: Clock
) -> None:
    (tmp_path / "wagtail_prefs" / "mail").mkdir(parents=True)
    broken = tmp_path / "wagtail_prefs" / "mail" / "confirm.html"
    broken.write_text("{% nonsense %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    row = leave(ANNA, "confirm")
    leave(BEN)
    assert sending.drain() == Tally(claimed=2, sent=1, failed=1)
    assert again(row).code == "unusable-TemplateSyntaxError"
    broken.write_text("<p>{{ url }}</p>")
    clock.shift(67)
    assert sending.drain().sent == 1


def test_a_kind_that_another_version_posts_waits_for_it(leave: Leave) -> None:
    row = leave(ANNA)
    Mail.objects.update(kind="postcard")
    assert sending.drain() == Tally(claimed=1, failed=1)
    assert (again(row).code, again(row).to) == ("unusable-UnknownKind", ANNA)


def test_an_audience_that_is_gone(leave: Leave) -> None:
    row = leave(ANNA)
    Mail.objects.update(audience_id=row.audience_id + 1000)
    assert sending.drain() == Tally(claimed=1, given_up=1)
    assert again(row).code == "no-audience"


@pytest.mark.parametrize(
    ("kind", "life"),
    [
        ("fresh_link", timedelta(minutes=15)),
        ("change_address", timedelta(hours=24)),
        ("confirm", GIVEN_UP_AFTER),
        ("access_link", GIVEN_UP_AFTER),
        ("address_changed", GIVEN_UP_AFTER),
    ],
)
def test_what_is_too_late_is_given_up(leave: Leave, clock: Clock, kind: str, life: timedelta) -> None:
    row = leave(ANNA, kind)
    clock.shift(life - timedelta(seconds=1))
    assert not rows.is_over(row, timezone.now())
    assert rows.give_up_what_is_over(timezone.now()) == 0
    clock.shift(1)
    assert sending.drain() == Tally(claimed=1, given_up=1)
    row = again(row)
    assert (row.code, row.to, row.context) == ("too-old", "", {})
    assert django_mail.outbox == []


def test_so_many_as_are_asked_for_and_no_more_once_it_is_to_stop(leave: Leave, clock: Clock) -> None:
    left(leave, clock, ANNA, BEN, CARLA)
    assert sending.drain(limit=1).claimed == 1
    assert sending.drain(limit=0) == Tally()
    asked: list[bool] = []
    assert sending.drain(stopping=lambda: asked.append(True) or len(asked) > 1) == Tally(claimed=1, sent=1)
    assert sending.waiting() == 1


def test_a_worker_that_died_delays_a_mail(leave: Leave, clock: Clock) -> None:
    leave(ANNA)
    assert rows.claim(timezone.now()) is not None
    assert sending.drain() == Tally()
    clock.shift(rows.LEASE)
    assert sending.drain() == Tally(claimed=1, sent=1)


def test_a_worker_that_was_slow_does_not_write_over_its_successor(leave: Leave, clock: Clock) -> None:
    row = leave(ANNA)
    slow = rows.claim(timezone.now())
    clock.shift(rows.LEASE)
    quick = rows.claim(timezone.now())
    assert slow is not None and quick is not None
    now = timezone.now()
    assert not rows.sent(slow, now)
    assert not rows.give_up(slow, "code")
    assert not rows.try_again(slow, now, "code")
    assert not rows.put_back(slow, now, "code")
    assert again(row).lease == quick.lease
    assert again(row).to == ANNA
    assert rows.sent(quick, now)
    assert again(row).sent_at == now


def test_a_lease_that_is_lost_while_sending_is_told(
    hooks: list[Callable[[Any], None]], leave: Leave, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    row = leave(ANNA)
    taken: list[Mail | None] = []

    def sleep(_message: Any) -> None:
        hooks.clear()
        clock.shift(rows.LEASE)
        taken.append(rows.claim(timezone.now()))

    hooks.append(sleep)
    sending.drain()
    assert "its lease was lost" in caplog.text
    assert taken[0] is not None
    assert again(row).lease == taken[0].lease
    assert again(row).sent_at is None  # the other one says what became of it


def test_a_worker_that_slept_sends_nothing_of_anothers(leave: Leave, clock: Clock) -> None:
    def sleep() -> timedelta:
        clock.shift(rows.LEASE)
        return GIVEN_UP_AFTER

    ours = KINDS["address_changed"]
    try:
        register(replace(ours, life=sleep))
        leave(ANNA, "address_changed")
        assert sending.drain(limit=1) == Tally(claimed=1)
    finally:
        register(ours)
    assert django_mail.outbox == []
    assert sending.waiting() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_no_mail_twice(leave: Leave) -> None:
    people = {f"p{number}@mail.example.org" for number in range(30)}
    for address in people:
        leave(address)
    start = threading.Barrier(4)
    tallies: list[Tally] = []

    def work() -> None:
        try:
            start.wait(20)
            tallies.append(sending.drain())
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(tally.sent for tally in tallies) == 30
    assert sorted(message.to[0] for message in django_mail.outbox) == sorted(people)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_a_row_that_somebody_else_writes(leave: Leave) -> None:
    """An erasure holds the rows of one person: whoever puts all off must neither wait nor be waited for."""
    held, other = leave(ANNA), leave(BEN)
    locked, done = threading.Event(), threading.Event()

    def erase() -> None:
        try:
            with transaction.atomic():
                Mail.objects.select_for_update().get(pk=held.pk)
                locked.set()
                assert done.wait(20)
        finally:
            connection.close()

    eraser = threading.Thread(target=erase)
    eraser.start()
    assert locked.wait(20)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        now = timezone.now()
        assert rows.put_off(now, now + AWAY, "server-away") == 1
        assert again(other).code == "server-away"
        Mail.objects.update_or_create(pk=other.pk, defaults={"created_at": now - GIVEN_UP_AFTER})
        assert rows.give_up_what_is_over(now) == 1
        assert sending.drain() == Tally()
    finally:
        done.set()
        eraser.join()
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def test_two_statements_a_mail_beside_what_it_says(
    leave: Leave, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):  # nothing waits
        sending.drain()
    for address in (ANNA, BEN):
        leave(address)
    # claim, is the server away (once), audience and site, sent; at last a claim that finds nothing
    with django_assert_num_queries(1 + 3 + 3 + 1):
        assert sending.drain().sent == 2


def test_the_schedule_grows_and_then_stays() -> None:
    def middle(low: float, high: float) -> float:
        return (low + high) / 2

    delays = [delay(attempts, uniform=middle).total_seconds() for attempts in range(1, 10)]
    assert delays == [60, 120, 300, 900, 3600, 7200, 14400, 14400, 14400]
    assert delay(1, uniform=min) > AWAY  # what stands behind a mail that failed comes before it
