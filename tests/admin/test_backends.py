"""The page of backends: how each is doing, in words and numbers that are right, and two buttons that do what they say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from pytest_django import Settings

from tests.admin.staff import make_staff
from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, JOIN_OFFERS, OUT, person, row, save
from tests.factories import make_editor
from wagtail_prefs.admin.backends import advice, can_do, in_words
from wagtail_prefs.backends.base import Backend, Option
from wagtail_prefs.delivery.health import Health, Status
from wagtail_prefs.delivery.models import Delivery, DeliveryCount, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Capabilities, Outcome, PauseStyle, Problem, Resubscribe, Support

pytestmark = pytest.mark.django_db

INDEX = "prefs_backends:index"
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
SECRET = "whsec-of-nobody"


class Asking(Backend):
    """Answers when it is asked whether all is right."""

    known_options: ClassVar[Any] = {"TOKEN": Option(str, "what opens the platform", default="")}
    problems: list[Problem] | None = []

    def check(self) -> list[Problem]:
        if self.problems is None:
            raise RuntimeError(f"no connection with {SECRET}")
        return self.problems


@pytest.fixture
def crm(settings: Settings) -> Any:
    entries = {
        "asking": {"BACKEND": f"{__name__}.Asking", "OPTIONS": {"TOKEN": SECRET}},
        "crm": {"BACKEND": "tests.delivery.crm.CrmBackend"},
        "nowhere": {"BACKEND": "no.such.Backend"},
    }
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}
    CRMS.clear()
    yield CRMS.setdefault("crm", Crm())
    CRMS.clear()


@pytest.fixture
def staff(client: Client, crm: Crm) -> Client:
    client.force_login(make_editor())
    return client


def one(client: Client, alias: str = "crm") -> str:
    answer = client.get(reverse("prefs_backends:one", args=[alias]))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


def numbers(page: str) -> dict[str, str]:
    """What stands in the list of numbers."""
    return {
        name: words.strip()
        for name, words in re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", page.partition("</dl>")[0])
    }


def test_what_waits_and_why_is_told(staff: Client, crm: Crm) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        people = [person(f"p{number}", JOIN) for number in range(3)]
        run_once()
        assert numbers(one(staff))["People waiting"] == "0"
        save(people[0], OUT)
        crm.script.append(Outcome.RETRY)
        run_once()
        crm.always["state"] = Outcome.REFUSED
        save(people[1], JOIN_OFFERS)
        clock.shift(timedelta(seconds=1))
        run_once()
        clock.shift(timedelta(hours=2))
        page = one(staff)
    found = numbers(page)
    assert (found["People waiting"], found["Opt-outs among them"]) == ("1", "1")
    assert (found["Refused for good"], found["The oldest waits for"]) == ("1", "2 h")
    assert "scripted-retry" in page and "scripted-refused" in page
    assert "backend=crm&amp;last_outcome=refused" in page
    assert "mail.example.org" not in page


def test_the_list_begins_with_the_worst(staff: Client) -> None:
    Lane.objects.create(
        backend="crm", open_since=timezone.now(), last_code="http-503", seen_at=timezone.now()
    )
    page = staff.get(reverse(INDEX)).content.decode()
    order = [page.index(f'">{alias}</a>') for alias in ("crm", "nowhere", "asking")]
    assert order == sorted(order)
    assert "Away" in page and "Settings must be mended" in page and "http-503" in page
    assert reverse(INDEX) in staff.get(reverse("wagtailadmin_home")).content.decode()


def test_without_backends_it_says_who_can_add_one(staff: Client, settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    assert "No backend is configured" in staff.get(reverse(INDEX)).content.decode()


LANES: list[tuple[dict[str, Any], dict[str, Any], Status]] = [
    ({}, {}, Status.WELL),
    ({"seen_at": NOW}, {"waiting": 1, "oldest": NOW}, Status.WELL),
    ({"seen_at": NOW}, {"waiting": 1, "oldest": NOW - timedelta(minutes=16)}, Status.LATE),
    ({}, {"waiting": 1, "oldest": NOW}, Status.ABSENT),
    ({"seen_at": NOW - timedelta(minutes=11)}, {"waiting": 1, "oldest": NOW}, Status.ABSENT),
    ({"seen_at": NOW - timedelta(days=9)}, {}, Status.WELL),
    ({"paused_until": NOW + timedelta(seconds=9)}, {}, Status.ASKED_TO_WAIT),
    ({"paused_until": NOW - timedelta(seconds=9)}, {}, Status.WELL),
    ({"open_since": NOW, "paused_until": NOW + timedelta(seconds=9)}, {}, Status.AWAY),
    ({"open_since": NOW, "disabled_at": NOW}, {}, Status.GIVEN_UP),
]


@pytest.mark.parametrize(("lane", "sums", "status"), LANES)
def test_each_status_has_its_cause_and_its_advice(
    lane: dict[str, Any], sums: dict[str, Any], status: Status
) -> None:
    found = Health("crm", NOW, Lane(backend="crm", **lane), **sums)
    assert found.status is status
    assert bool(advice(found)) == (status is not Status.WELL)


def test_everything_is_tried_again_by_who_may(staff: Client, crm: Crm) -> None:
    contact = person("anna", JOIN)
    crm.always["state"] = Outcome.REFUSED
    run_once()
    Lane.objects.filter(backend="crm").update(
        paused_until=timezone.now() + timedelta(days=1), code="http-429"
    )
    assert row(contact).due_at is None
    crm.always.clear()
    url = reverse("prefs_backends:retry", args=["crm"])
    assert staff.get(url).status_code == 405
    assert row(contact).due_at is None
    answer = staff.post(url, follow=True)
    assert "The worker tries everything now: 1 waiting." in answer.content.decode()
    assert run_once().done == 1
    assert row(contact).delivered == 1


class Breaking(Backend):
    def __init__(self, *_: Any) -> None:
        raise ValueError(SECRET)


def test_one_that_cannot_be_made_does_not_hide_the_others(staff: Client, settings: Settings) -> None:
    entries = {**settings.WAGTAIL_PREFS["BACKENDS"], "breaking": {"BACKEND": f"{__name__}.Breaking"}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}
    page = staff.get(reverse(INDEX)).content.decode()
    assert "breaking" in page
    assert SECRET not in page
    assert "Settings must be mended" in one(staff, "breaking")


def test_a_platform_is_asked_on_a_press_only(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    url = reverse("prefs_backends:check", args=["asking"])
    assert staff.get(url).status_code == 405
    assert "credentials, lists and fields are right" in staff.post(url, follow=True).content.decode()
    assert "credentials, lists and fields are right" not in one(staff, "asking")  # said once
    monkeypatch.setattr(Asking, "problems", [Problem("error", "The list <7> is gone.")])
    assert "The list &lt;7&gt; is gone." in staff.post(url, follow=True).content.decode()
    told = Problem("error", f"GET /lists?token={SECRET} of anna@mail.example.org: 404.")
    monkeypatch.setattr(Asking, "problems", [told])
    page = staff.post(url, follow=True).content.decode()
    assert "<li>GET /lists?token=… of …: 404.</li>" in page
    lazy: Any = gettext_lazy("Subscribed")
    monkeypatch.setattr(
        Asking, "problems", [Problem("warning", lazy), *[Problem("error", "long" * 999)] * 99]
    )
    page = staff.post(url, follow=True).content.decode()
    assert "<li>Subscribed</li>" in page
    assert len(page) < 100_000  # all of it has waited in the session
    monkeypatch.setattr(Asking, "problems", None)
    page = staff.post(url, follow=True).content.decode()
    assert "It could not be asked (RuntimeError)." in page
    assert SECRET not in page
    broken = staff.post(reverse("prefs_backends:check", args=["nowhere"]), follow=True)
    assert "The settings of this backend must be mended." in broken.content.decode()


def test_the_ways_to_move_stand_on_the_page(staff: Client) -> None:
    page = one(staff)
    assert f'href="{reverse("prefs_backfills:one", args=["crm"])}"' in page
    assert f'href="{reverse("prefs_comparisons:one", args=["crm"])}"' in page
    assert "prefs_backfills" not in one(staff, "nowhere")  # its settings must be mended first


def test_who_may_look_may_not_press(client: Client, crm: Crm) -> None:
    client.force_login(make_staff("looker", "view_delivery"))
    page = one(client)
    assert "Try everything now" not in page
    for name in ("retry", "check"):
        assert client.post(reverse(f"prefs_backends:{name}", args=["crm"])).status_code == 302
    assert client.get(reverse("prefs_backends:one", args=["unknown"])).status_code == 404


def test_the_last_day_is_drawn(staff: Client) -> None:
    assert "Nothing was delivered, and nothing failed." in one(staff)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    DeliveryCount.objects.create(backend="crm", hour=hour, done=40, failed=2)
    DeliveryCount.objects.create(backend="crm", hour=hour - timedelta(hours=23), done=2)
    DeliveryCount.objects.create(backend="crm", hour=hour - timedelta(hours=24), done=1000)
    page = one(staff)
    assert "42 delivered, 2 failed" in page
    assert (
        page.count('<rect class="prefs-chart__bar prefs-chart__bar--up" x=') == 3
    )  # two hours and the legend


def test_the_number_of_statements_does_not_grow(staff: Client, settings: Settings) -> None:
    def count(url: str) -> int:
        staff.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(url).status_code == 200
        return len(queries)

    urls = [reverse(INDEX), reverse("prefs_backends:one", args=["crm"])]
    before = [count(url) for url in urls]
    entries = {f"crm{number}": {"BACKEND": "tests.delivery.crm.CrmBackend"} for number in range(5)}
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {**settings.WAGTAIL_PREFS["BACKENDS"], **entries},
    }
    for number in range(20):
        person(f"p{number}", JOIN)
    Delivery.objects.update(failing_since=timezone.now())
    assert [count(url) for url in urls] == before


def test_lengths_of_time_and_what_a_platform_can_do_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 59, 60, 3_599, 3_600, 86_400 * 2.9)] == [
        "0 s", "59 s", "1 min", "59 min", "1 h", "2 d",
    ]  # fmt: skip
    told = dict(
        can_do(
            Capabilities(
                choice=Support.ENFORCES,
                pause=Support.STORES,
                pause_style=PauseStyle.ATTRIBUTE,
                resubscribe=Resubscribe.DOUBLE_OPT_IN,
                channels=("email", "sms"),
            )
        )
    )
    assert told["Channels"] == "E-mail, Text message"
    assert told["A yes or no to a topic"] == "obeyed there"
    assert "noted as a date" in told["A pause"]
    assert told["A limit on how often"] == "not known there"
    assert told["A yes after a no"] == "it mails the person first"
