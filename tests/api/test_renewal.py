"""A session that is carried on: by whoever holds it, from where it was opened, until it is two hours old (WCAG 2.2.1)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import F
from django.http import HttpResponse
from django.utils import timezone

from tests import factories
from tests.blocks.asking import asking
from wagtail_prefs.access import revocations, services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.contacts.models import Contact

from .conftest import BLOG, SHOP, Visit
from .test_preferences import checksum, is_problem

pytestmark = pytest.mark.django_db
OWN = "http://localhost"


@pytest.fixture
def entered(visit: Visit) -> Visit:
    visit.enter()
    return visit


def renew(visit: Visit, body: Any = None, **headers: str) -> HttpResponse:
    return visit.post("sessions/", {} if body is None else body, **headers)


def ends(answer: HttpResponse) -> datetime:
    return datetime.fromisoformat(answer.json()["expires_at"])  # type: ignore[attr-defined]  # Django's client


def test_half_an_hour_each_time_until_it_is_two_hours_old(visit: Visit) -> None:
    with time_machine.travel(timezone.now().replace(microsecond=0), tick=False) as clock:
        began = timezone.now()
        visit.enter()
        for _time in range(4):
            clock.shift(timedelta(minutes=29))
            answer = renew(visit)
            assert answer.status_code == 200
            assert answer.json().keys() == {"session", "expires_at", "preferences"}
            assert answer.json()["session"] != visit.session
            assert ends(answer) == min(timezone.now() + timedelta(minutes=30), began + timedelta(hours=2))
            visit.session = answer.json()["session"]
        clock.shift(timedelta(minutes=3, seconds=59))
        assert visit.get().status_code == 200
        last = renew(visit)
        assert ends(last) == began + timedelta(hours=2)  # no further, however often
        clock.shift(timedelta(seconds=2))
        for session in (visit.session, last.json()["session"]):
            visit.session = session
            assert is_problem(visit.get(), 401)
            assert is_problem(renew(visit), 401)


def test_one_that_has_ended_stays_so(entered: Visit) -> None:
    with time_machine.travel(timezone.now() + timedelta(minutes=30, seconds=1)):
        assert is_problem(renew(entered), 401)


def test_what_was_answered_and_never_arrived_can_be_asked_for_again(entered: Visit) -> None:
    first, second = renew(entered), renew(entered)
    assert (first.status_code, second.status_code) == (200, 200)
    for answer in (first, second):
        entered.session = answer.json()["session"]
        assert entered.get().json() == answer.json()["preferences"]


def test_it_leaves_nothing_behind_and_costs_one_look_at_the_contact(
    entered: Visit, django_assert_max_num_queries: Any
) -> None:
    entered.get()
    before = checksum()
    # Whether the center is the same, and the contact; without a cache that counts, a row of the limits.
    with django_assert_max_num_queries(2):
        assert renew(entered).status_code == 200
    assert checksum() == before


def test_another_place_carries_nothing_on(entered: Visit) -> None:
    before = checksum()
    for origin in (BLOG, OWN, "https://evil.example", "null", ""):
        answer = renew(entered, Origin=origin)
        assert is_problem(answer, 403)
        assert "session" not in answer.json()
    assert checksum() == before
    assert renew(entered).status_code == 200


def test_another_center_carries_nothing_on(entered: Visit) -> None:
    other = factories.make_center(title="Another", host_pages=f"{SHOP}/other")
    assert is_problem(renew(Visit(other, entered.contact, session=entered.session)), 401)


def test_nobody_without_a_session_gets_one(entered: Visit) -> None:
    """Neither a code nor a link passes for one, and a session does not stand in a body."""
    code = entered.code()
    link = access.make_token(Purpose.MANAGE, entered.contact, center=entered.page.translation_key)
    held, entered.session = entered.session, ""
    assert is_problem(renew(entered), 401)
    for wrong in (
        f"Bearer {code}",
        f"Bearer {link}",
        f"Basic {held}",
        held,
        f"Bearer {held[:-1]}",
        "Bearer ",
    ):
        assert is_problem(renew(entered, Authorization=wrong), 401)
    for body in ({"session": held}, {"session": held, "code": code}, {"code": 5}, [], b"{", {"x": {}}):
        assert is_problem(renew(entered, body, Authorization=f"Bearer {held}"), 400)
    # With a code in it, it is the code that counts, whatever else stands at its head.
    assert renew(entered, {"code": code}, Authorization="Bearer nothing").status_code == 200
    assert is_problem(renew(entered, {"code": code}, Authorization=f"Bearer {held}"), 401)


def test_one_that_was_called_back_is_not_carried_on(entered: Visit) -> None:
    Contact.objects.filter(pk=entered.contact.pk).update(epoch=F("epoch") + 1)
    assert is_problem(renew(entered), 401)


def test_one_of_somebody_who_was_erased_is_not_carried_on(entered: Visit) -> None:
    Contact.objects.filter(pk=entered.contact.pk).update(erased_at=timezone.now())
    assert is_problem(renew(entered), 401)


def test_one_of_a_key_that_was_called_back_is_not_carried_on(entered: Visit, settings: Any) -> None:
    """And a newer key signs nothing for it that outlives the old one."""
    prefs = settings.WAGTAIL_PREFS
    newer = {"kid": "t2", "key": "n" * 40}
    settings.WAGTAIL_PREFS = {
        **prefs,
        "CENTER_CACHE_SECONDS": 0,
        "SIGNING_KEYS": [newer, *prefs["SIGNING_KEYS"]],
    }
    (old,) = re.findall(r"^s1\.([^.]+)\.", entered.session)
    answer = renew(entered)
    assert re.findall(r"^s1\.([^.]+)\.", answer.json()["session"]) == [old]  # type: ignore[attr-defined]
    revocations.key(old)
    assert is_problem(renew(entered), 401)


def test_one_of_a_center_that_was_called_back_is_not_carried_on(entered: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        revocations.center(entered.page.translation_key)
        assert is_problem(renew(entered), 401)


def test_a_page_that_was_taken_down_carries_nothing_on(entered: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}
    entered.page.unpublish()
    assert is_problem(renew(entered), 404)


def test_a_fresh_one_stays_fresh_until_it_is_two_hours_old(db: None) -> None:
    """Who types what is personal types longest: her session must not change under her hands."""
    site = factories.make_site(origins=[SHOP])
    page = factories.make_center(asking(), site=site, host_pages=f"{SHOP}/mail")
    visit = Visit(page, factories.make_contact())
    token = access.make_token(Purpose.MANAGE, visit.contact, center=page.translation_key, host=0)
    link = access.open_link(token, Purpose.MANAGE)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        code = access.make_code(link, page.translation_key, SHOP, assurance="fresh")
        visit.session = visit.post("sessions/", {"code": code}).json()["session"]  # type: ignore[attr-defined]
        for _time in range(4):
            clock.shift(timedelta(minutes=28))
            answer = renew(visit)
            assert answer.json()["preferences"]["assurance"] == "fresh"  # type: ignore[attr-defined]
            visit.session = answer.json()["session"]  # type: ignore[attr-defined]
        profile = factories.block_id(page, "profile")
        saved = visit.patch(visit.body({profile: {"given_name": "Yolanda"}}))
        assert saved.status_code == 200
        clock.shift(timedelta(minutes=9))
        assert is_problem(visit.get(), 401)
        # And the one of a link does not become a fresh one by being carried on.
        visit.session = ""
        assert visit.enter()["assurance"] == "link"
        assert renew(visit).json()["preferences"]["assurance"] == "link"  # type: ignore[attr-defined]


def test_it_counts_as_a_write(entered: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"api_write": [(2, 60)]}}
    with time_machine.travel(timezone.now(), tick=False):
        entered.session = renew(entered).json()["session"]  # type: ignore[attr-defined]
        assert renew(entered).status_code == 200
        assert is_problem(renew(entered), 429)
        assert entered.get().status_code == 200
