"""Bringing a backend up to everybody, from the admin: told how many, begun by a press, watched, stopped."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from tests.admin.staff import make_staff
from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, person
from tests.factories import make_editor
from wagtail_prefs.admin.moving import section
from wagtail_prefs.delivery import backfill
from wagtail_prefs.delivery.models import Backfill, Delivery
from wagtail_prefs.delivery.services import run_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(settings: Settings) -> Any:
    entries = {"crm": {"BACKEND": "tests.delivery.crm.CrmBackend"}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}
    CRMS.clear()
    yield CRMS.setdefault("crm", Crm())
    CRMS.clear()


@pytest.fixture
def staff(client: Client, crm: Crm) -> Client:
    client.force_login(make_editor())
    return client


def url(name: str = "one", alias: str = "crm") -> str:
    return reverse(f"prefs_backfills:{name}", args=[alias])


def page(client: Client, name: str = "one") -> str:
    answer = client.get(url(name))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


def test_it_tells_how_many_and_begins_by_a_press(staff: Client) -> None:
    assert "This has not been done yet." in page(staff)
    assert "there is nobody to tell of" in page(staff, "start")
    for number in range(3):
        person(f"p{number}", JOIN)
    run_once()
    Delivery.objects.filter(contact=person("p0")).delete()
    asked = page(staff, "start")
    assert "1 person is not known to “crm”" in asked
    assert "Tell it again of all 3 people" in asked
    assert not Backfill.objects.exists()  # asking began nothing
    assert "Begun." in staff.post(url("start"), {"who": "missing"}, follow=True).content.decode()
    run = Backfill.objects.get()
    assert (run.again, run.started_by) == (False, str(make_editor().pk))
    backfill.feed()
    assert Delivery.objects.count() == 3


def test_it_is_watched_and_stopped(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        person(f"p{number}", JOIN)
    Delivery.objects.all().delete()
    monkeypatch.setattr(backfill, "CHUNK", 2)
    staff.post(url("start"), {"who": "everybody"})
    backfill.feed_one(Backfill.objects.get())
    assert Backfill.objects.get().again
    shown = page(staff)
    assert "2 of 3 people." in shown
    assert "2 were queued." in shown and "2 wait to be delivered." in shown
    assert '<progress max="3" value="2"' in shown
    assert "Look again how far it is" in shown
    assert staff.get(url("start")).status_code == 302
    assert "One is under way already." in staff.post(url("start"), follow=True).content.decode()
    assert section("crm")["backfill"] == Backfill.objects.get()
    assert staff.get(url("stop")).status_code == 405
    shown = staff.post(url("stop"), follow=True).content.decode()
    assert "Stopped." in shown and "(stopped)" in shown
    assert "Look again how far it is" not in shown
    assert Backfill.objects.get().stopped_at
    assert section("crm")["backfill"] is None


def test_who_may_look_may_not_press(client: Client, crm: Crm) -> None:
    person("anna", JOIN)
    client.force_login(make_staff("looker", "view_delivery"))
    assert "Bring it up to everybody</a>" not in page(client)
    backfill.start("crm")
    assert '<form method="post" action="' + url("stop") not in page(client)
    for answer in (client.get(url("start")), client.post(url("start")), client.post(url("stop"))):
        assert answer.status_code == 302
        assert answer["Location"] == reverse("wagtailadmin_home")
    assert Backfill.objects.filter(stopped_at=None).count() == 1
    client.force_login(make_staff("nobody"))
    assert client.get(url())["Location"] == reverse("wagtailadmin_home")


def test_there_is_none_of_what_is_not_configured(staff: Client) -> None:
    for name in ("one", "start"):
        assert staff.get(url(name, "nobody")).status_code == 404
    for name in ("start", "stop"):
        assert staff.post(url(name, "nobody")).status_code == 404
    assert not Backfill.objects.exists()


@pytest.mark.parametrize("name", ["one", "start"])
def test_the_number_of_statements_does_not_grow(staff: Client, name: str) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(staff, name)
        return len(queries)

    person("anna", JOIN)
    backfill.start("crm")
    backfill.stop("crm")
    page(staff, name)
    before = count()
    for number in range(12):
        person(f"p{number}", JOIN)
        backfill.start("crm")
        backfill.stop("crm")
    assert count() == before
