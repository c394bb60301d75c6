"""What is over, as staff see it: asked for by a press, answered by the worker, and for those of all sites only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import make_staff
from tests.factories import make_contact, make_site
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.rights import retention
from wagtail_prefs.rights.models import RetentionRun

pytestmark = pytest.mark.django_db
INDEX, ASK = "prefs_retention:index", "prefs_retention:ask"
MAY = ("view_contact", "erase_contact")


@pytest.fixture
def officer(client: Client) -> Client:
    client.force_login(make_staff("officer", *MAY))
    return client


@pytest.fixture
def quiet(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "RETENTION": {"silent_months": 6, "sends_days": None}}


def page(client: Client, query: str = "") -> str:
    answer = client.get(reverse(INDEX) + query)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def test_before_the_first_round_there_are_the_rules_and_their_times(officer: Client, quiet: None) -> None:
    text = page(officer)
    assert "No round was done yet." in text
    assert "6 months" in text
    assert "for ever" in text
    assert RetentionRun.objects.count() == 0


def test_what_is_over_is_asked_for_and_answered_by_the_worker(officer: Client, quiet: None) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=400)):
        make_contact("silent@mail.example.org")
    assert officer.get(reverse(ASK)).status_code == 405
    for _again in range(2):
        assert officer.post(reverse(ASK)).status_code == 302
    made = RetentionRun.objects.get()
    assert made.by.startswith("admin:")
    assert "The worker is looking" in page(officer)
    assert retention.answer_asked in CHORES
    assert retention.answer_asked() == 1
    assert retention.answer_asked() == 0
    made.refresh_from_db()
    assert made.report["silent"] == {"found": 1, "forgotten": 0}
    assert Contact.objects.filter(erased_at=None).exists()
    text = page(officer)
    assert "What was over on" in text
    assert "silent@" not in text
    assert "The worker is looking" not in text
    retention.run("worker", apply=True)
    assert "The round of" in page(officer)
    assert "What was over on" in page(officer, f"?run={made.pk}")
    assert not Contact.objects.filter(erased_at=None).exists()


def test_a_round_that_was_stopped_is_waited_for_no_more_than_an_hour(officer: Client) -> None:
    made = retention.ask("admin:1")
    RetentionRun.objects.filter(pk=made.pk).update(
        report={"links": {"found": 1, "forgotten": 0}}, started_at=timezone.now() - timedelta(hours=2)
    )
    text = page(officer)
    assert "It was stopped before its end." in text
    assert "See what is over now" in text
    assert retention.ask("admin:1").pk != made.pk


def test_a_problem_is_said(officer: Client) -> None:
    made = retention.run("worker", apply=False)
    made.report["chains"]["problem"] = "the sink of SEALS has no <send_stone>"
    made.save()
    assert "the sink of SEALS has no &lt;send_stone&gt;" in page(officer)


@pytest.mark.parametrize("allowed", [("view_contact",), ("erase_contact",)])
def test_who_may_not_erase_sees_nothing_of_it(client: Client, allowed: tuple[str, ...]) -> None:
    client.force_login(make_staff("other", *allowed))
    for answer in (client.get(reverse(INDEX)), client.post(reverse(ASK))):
        assert answer.status_code == 302
    assert not RetentionRun.objects.exists()


def test_staff_of_one_site_do_not_read_of_all_of_them(client: Client) -> None:
    client.force_login(make_staff("of-one", *MAY, site=make_site()))
    assert client.get(reverse(INDEX)).status_code == 302
    assert client.post(reverse(ASK)).status_code == 302
    assert not RetentionRun.objects.exists()


def test_the_page_takes_one_statement_more(officer: Client, django_assert_max_num_queries: Any) -> None:
    page(officer)  # what processes remember
    with CaptureQueriesContext(connection) as before:
        page(officer)
    for _number in range(40):
        retention.run("worker", apply=False)
    with CaptureQueriesContext(connection) as after:
        page(officer)
    assert len(after) == len(before)
