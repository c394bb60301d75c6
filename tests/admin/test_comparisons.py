"""The report of what a platform holds: numbers that are right, people for those who may see them, buttons that post."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from tests.admin.staff import make_staff
from tests.delivery.people import JOIN, WEEKLY, person
from tests.factories import make_editor
from wagtail_prefs.admin.comparisons import CODES, in_words
from wagtail_prefs.admin.staff import person_url
from wagtail_prefs.backends import memory
from wagtail_prefs.backends.memory import Store
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.sync import comparing
from wagtail_prefs.sync.models import Arrival, DriftRun
from wagtail_prefs.values import SUBSCRIBED

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(settings: Settings) -> Any:
    entries = {
        "crm": {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"},
        "mute": {"BACKEND": "tests.delivery.crm.CrmBackend"},
        "nowhere": {"BACKEND": "no.such.Backend"},
    }
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}
    memory.clear()
    yield memory.store("crm")
    memory.clear()


@pytest.fixture
def staff(client: Client, store: Store) -> Client:
    client.force_login(make_editor())
    return client


def url(name: str = "one", alias: str = "crm") -> str:
    return reverse(f"prefs_comparisons:{name}", args=[alias])


def page(client: Client, alias: str = "crm", query: str = "") -> str:
    answer = client.get(url(alias=alias) + query)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


def drifted(store: Store) -> UUID:
    contact = person("anna", JOIN, WEEKLY)
    run_once()
    held = store.contacts[str(contact)]
    held["choices"]["offers"] = {"email": SUBSCRIBED}
    held["opted_out"] = True
    held["frequencies"] = {}
    held["attributes"] = {"<b>size</b>": "a-secret-size"}
    return contact


def test_a_comparison_is_begun_by_a_press_and_told_by_field(staff: Client, store: Store) -> None:
    assert "has not been compared yet" in page(staff)
    contact = drifted(store)
    assert staff.get(url("start")).status_code == 405
    assert "Begun." in staff.post(url("start"), {"who": "everybody"}, follow=True).content.decode()
    run = DriftRun.objects.get()
    assert (run.sample, run.repairs, run.started_by) == (0, False, str(make_editor().pk))
    assert "Look again how far it is" in page(staff)
    comparing.compare_backends()
    shown = page(staff)
    assert "Look again how far it is" not in shown
    assert "offers (E-mail)" in shown and "Unsubscribed from everything" in shown
    assert "How often: everything" in shown
    assert "Answer: &lt;b&gt;size&lt;/b&gt;" in shown and "<b>size" not in shown
    assert "2 times more mail there than here, 1 times less" in shown
    assert shown.count('<rect class="prefs-chart__bar prefs-chart__bar--down"') == 2 + 1  # and the legend
    assert shown.count(f'href="{person_url(contact)}"') == 4
    assert "a-secret-size" not in shown and "mail.example.org" not in shown


def test_it_puts_right_when_it_is_asked_to(staff: Client, store: Store) -> None:
    drifted(store)
    staff.post(url("start"), {"who": "sample", "repair": "yes"})
    run = DriftRun.objects.get()
    assert (run.sample, run.repairs) == (comparing.SAMPLE, True)
    assert "One is under way already." in staff.post(url("start"), follow=True).content.decode()
    DriftRun.objects.update(started_at=timezone.now())
    comparing.step(run)
    assert run.repaired == 1
    assert Arrival.objects.exists()
    assert "Put right</dt><dd>1<" in page(staff)


def test_it_is_stopped_by_a_press(staff: Client, store: Store) -> None:
    staff.post(url("start"))
    assert staff.get(url("stop")).status_code == 405
    assert "It was stopped." in staff.post(url("stop"), follow=True).content.decode()
    assert DriftRun.objects.get().finished_at


def test_who_may_look_may_not_press_and_sees_nobody(client: Client, store: Store) -> None:
    contact = drifted(store)
    comparing.step(comparing.start("crm"))
    client.force_login(make_staff("looker", "view_delivery"))
    shown = page(client)
    assert "offers (E-mail)" in shown
    assert str(contact) not in shown
    assert "Compare everybody" not in shown
    for name in ("start", "stop"):
        answer = client.post(url(name))
        assert (answer.status_code, answer["Location"]) == (302, reverse("wagtailadmin_home"))
    assert DriftRun.objects.count() == 1
    client.force_login(make_staff("nobody"))
    assert client.get(url())["Location"] == reverse("wagtailadmin_home")


def test_what_cannot_be_read_says_so(staff: Client) -> None:
    for alias in ("mute", "nowhere"):
        assert "cannot be read back" in page(staff, alias)
        shown = staff.post(url("start", alias), follow=True).content.decode()
        assert "This platform cannot be read back." in shown
    assert staff.get(url(alias="nobody")).status_code == 404
    assert staff.post(url("start", "nobody")).status_code == 404
    assert not DriftRun.objects.exists()


def test_earlier_ones_can_be_looked_at(staff: Client, store: Store) -> None:
    drifted(store)
    first = comparing.start("crm")
    comparing.step(first)
    store.contacts.clear()
    comparing.step(comparing.start("crm"))
    assert "Nothing differs." in page(staff)
    assert "offers (E-mail)" in page(staff, query=f"?run={first.pk}")
    assert "Nothing differs." in page(staff, query="?run=999999")
    assert "Nothing differs." in page(staff, query="?run=%00x")


@pytest.mark.parametrize("code", list(CODES))
def test_why_it_waits_is_said_in_words(staff: Client, code: str) -> None:
    DriftRun.objects.create(backend="crm", code=code, finished_at=timezone.now())
    assert str(CODES[code]) in page(staff)


def test_fields_in_words() -> None:
    assert [in_words(name) for name in ("choice::sms", "pause:topic:news", "frequency:channel:email", "pause:strange", "else")] == [
        "Text message", "Pause: news", "How often: E-mail", "Pause: strange", "else",
    ]  # fmt: skip


def test_the_number_of_statements_does_not_grow(staff: Client, store: Store) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(staff)
        return len(queries)

    drifted(store)
    comparing.step(comparing.start("crm"))
    page(staff)
    before = count()
    for number in range(12):
        person(f"p{number}", JOIN)
    run_once()
    for held in store.contacts.values():
        held["choices"]["offers"] = {"email": SUBSCRIBED}
    for _ in range(3):
        comparing.step(comparing.start("crm"))
    assert count() == before
