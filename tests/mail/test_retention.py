"""Rows of mails go away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from wagtail_prefs.ids import uuid7
from wagtail_prefs.mail import rows, sending
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.mail.retention import BATCH, KEPT, forget_old_mails
from wagtail_prefs.management.chores import CHORES

pytestmark = pytest.mark.django_db

Leave = Callable[..., Mail]
Clock = time_machine.Traveller


def test_rows_of_a_month_ago_go_away(leave: Leave, clock: Clock) -> None:
    assert forget_old_mails in CHORES
    leave("anna@mail.example.org")
    sending.drain()
    clock.shift(timedelta(days=1))
    newer = leave("ben@mail.example.org")
    sending.drain()
    clock.shift(KEPT - timedelta(days=1))
    assert forget_old_mails() == 0  # what is just so old stays
    clock.shift(0.001)
    assert forget_old_mails() == 1
    assert Mail.objects.get() == newer


def test_what_waits_stays_and_what_is_too_late_is_emptied(leave: Leave, clock: Clock) -> None:
    leave("anna@mail.example.org", "fresh_link")
    waits = leave("ben@mail.example.org", "access_link")
    clock.shift(timedelta(minutes=15))
    assert forget_old_mails() == 1
    emptied = Mail.objects.get(kind="fresh_link")
    assert (emptied.to, emptied.context, emptied.due_at, emptied.code) == ("", {}, None, "too-old")
    assert Mail.objects.get(pk=waits.pk).to == "ben@mail.example.org"
    assert forget_old_mails() == 0


def test_what_a_worker_is_sending_is_left_to_it(leave: Leave, clock: Clock) -> None:
    leave("anna@mail.example.org", "fresh_link")
    clock.shift(timedelta(minutes=14))
    taken = rows.claim(timezone.now())
    clock.shift(timedelta(minutes=2))
    assert forget_old_mails() == 0
    assert taken is not None
    assert rows.sent(taken, timezone.now())


def test_a_row_of_a_month_ago_that_a_worker_holds_is_left_to_it(leave: Leave, clock: Clock) -> None:
    """All workers were away for so long; one is back, and gives it up in a moment."""
    leave("anna@mail.example.org")
    clock.shift(KEPT + timedelta(days=1))
    taken = rows.claim(timezone.now())
    assert forget_old_mails() == 0
    assert taken is not None
    assert rows.give_up(taken, "too-old")
    assert forget_old_mails() == 1


def test_a_worker_that_died_keeps_no_address(leave: Leave, clock: Clock) -> None:
    leave("anna@mail.example.org", "fresh_link")
    rows.claim(timezone.now())
    clock.shift(timedelta(minutes=16))
    assert forget_old_mails() == 1
    assert Mail.objects.get().to == ""


def test_two_questions_where_there_is_nothing_to_do(
    leave: Leave, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    leave("anna@mail.example.org")
    with django_assert_num_queries(2):
        assert forget_old_mails() == 0


def test_many_go_in_batches_by_the_primary_key(clock: Clock) -> None:
    Mail.objects.bulk_create(
        Mail(id=uuid7(), kind="confirm", audience_id=1, locale="en") for _ in range(BATCH + 5)
    )
    clock.shift(KEPT + timedelta(seconds=1))
    assert forget_old_mails() == BATCH
    assert forget_old_mails() == 5
    assert not Mail.objects.exists()


@pytest.mark.postgres
def test_the_claim_walks_over_what_waits_alone(leave: Leave) -> None:
    Mail.objects.bulk_create(Mail(kind="confirm", audience_id=1, locale="en") for _ in range(5_000))
    leave("anna@mail.example.org")
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {Mail._meta.db_table}")
        cursor.execute(
            f"EXPLAIN SELECT id FROM {Mail._meta.db_table} WHERE due_at <= now() ORDER BY due_at, id LIMIT 1"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "prefs_mail_due" in plan
    assert "Seq Scan" not in plan
