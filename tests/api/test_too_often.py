"""Beyond a limit: 429, with the seconds to wait; and no statement for what is only a guess (security.md AB-07, s5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries, Settings

from tests.api.conftest import SHOP, Visit
from wagtail_prefs.contacts.models import Contact

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FORGED = "s1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"


@pytest.fixture(autouse=True)
def _the_defaults(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {
        name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"
    }


def refused(answer: Any) -> None:
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:wagtail-prefs:too-many"
    assert 1 <= int(answer["Retry-After"]) <= 61
    assert "retry-after" in answer["Access-Control-Expose-Headers"]
    assert answer["Access-Control-Allow-Origin"] == SHOP


def test_sixty_reads_a_minute(visit: Visit, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        visit.enter()
        assert [visit.get().status_code for _ in range(60)] == [200] * 60
        with django_assert_num_queries(0):
            refused(visit.get())
        refused(visit.history())
        visit.enter()  # another session of the same link has no more room
        refused(visit.get())
        assert visit.patch(visit.choose(news=True)).status_code == 200  # writes are counted by themselves
        clock.shift(61)
        assert visit.get().status_code == 200


def test_twenty_writes_a_minute(visit: Visit, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with time_machine.travel(NOON, tick=False):
        visit.enter()
        body = visit.choose(news=True)
        assert [visit.patch(body).status_code for _ in range(20)] == [200] * 20
        version = Contact.objects.get().version
        with django_assert_num_queries(0):
            refused(visit.patch(visit.choose(base=1, news=False)))
            refused(visit.undo("0190a1b2-0000-7000-8000-000000000000"))
        assert Contact.objects.get().version == version
        assert visit.get().status_code == 200


def test_who_guesses_sessions_is_stopped_and_who_has_one_is_not(
    visit: Visit, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    code = visit.code()
    with time_machine.travel(NOON, tick=False) as clock:
        visit.enter()
        session, visit.session = visit.session, FORGED
        assert [visit.get().status_code for _ in range(30)] == [401] * 30
        with django_assert_num_queries(0):
            refused(visit.get())
            refused(visit.post("sessions/", {"code": FORGED}))
        visit.session = session
        assert visit.get().status_code == 200
        assert visit.post("sessions/", {"code": code}).status_code == 200
        visit.session = ""
        assert visit.get().status_code == 401  # nothing was guessed
        visit.session = FORGED
        clock.shift(61)
        assert visit.get().status_code == 401


def test_what_was_a_session_is_no_guess(visit: Visit) -> None:
    """Of everybody behind one network, pages that were left open over night."""
    with time_machine.travel(NOON, tick=False) as clock:
        visit.enter()
        code = visit.code()
        visit.post("sessions/", {"code": code})
        clock.shift(3 * 3600)
        assert {visit.get().status_code for _ in range(50)} == {401}
        assert {visit.post("sessions/", {"code": code}).status_code for _ in range(50)} == {401}


def test_a_foreign_origin_learns_nothing(visit: Visit) -> None:
    with time_machine.travel(NOON, tick=False):
        visit.session = FORGED
        for _ in range(31):
            visit.get()
        assert visit.get().status_code == 429
        visit.origin = "https://evil.example"
        answer = visit.get()
        assert answer.status_code == 403 and "Access-Control-Allow-Origin" not in answer
