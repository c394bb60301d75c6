"""What was recorded comes with the preferences, where a block of the center shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests import factories
from wagtail_prefs.changes import Pause, SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

from .conftest import SHOP, Visit
from .test_openapi import PREFERENCES, description, holds

__all__ = ["description"]  # a fixture

pytestmark = pytest.mark.django_db
MYSELF = Actor(ActorType.SUBJECT_SESSION)


@pytest.fixture
def visit(db: None) -> Visit:
    site = factories.make_site(origins=[SHOP])
    history = factories.block("history", {"heading": "Your history", "text": "", "entries": 2}, "past")
    page = factories.make_center([*factories.all_blocks(), history], site=site, host_pages=f"{SHOP}/mail")
    return Visit(page, factories.make_contact())


def shown(visit: Visit) -> Any:
    return visit.get().json()["records"]["past"]


def test_the_newest_entries_come_with_the_preferences(visit: Visit, description: dict[str, Any]) -> None:
    assert visit.enter()["records"] == {"past": []}
    for number in range(3):
        saved = visit.patch(visit.choose(number, news=number % 2 == 0)).json()
    assert saved["preferences"]["records"]["past"] == shown(visit)
    newest, before = shown(visit)
    assert newest["title"] == "By you, on this page"
    assert newest["lines"] == ["News by e-mail: subscribed"]
    assert before["lines"] == ["News by e-mail: unsubscribed"]
    assert newest["actions"] == [
        {"label": "Take this back", "style": "secondary", "do": "undo", "receipt": saved["receipt"]}
    ]
    holds(visit.get(), description, PREFERENCES, "get")


def test_the_button_of_an_entry_takes_it_back(visit: Visit) -> None:
    visit.enter()
    visit.patch(visit.choose(news=True))
    answer = visit.undo(shown(visit)[0]["actions"][0]["receipt"]).json()
    assert answer["receipt"] == answer["preferences"]["records"]["past"][0]["actions"][0]["receipt"]
    assert not load_state(visit.contact.pk).choices


def test_no_entry_tells_what_is_personal(visit: Visit) -> None:
    visit.enter()
    changes = [SetAttribute("phone", "+4915112345678")]
    submissions.record(visit.contact.pk, changes, actor=MYSELF, source=Source(method="element"))
    assert "4915112345678" not in visit.get().content.decode()
    assert shown(visit)[0]["lines"] == ["An answer of yours was changed."]


def test_a_day_is_the_one_where_she_lives(visit: Visit) -> None:
    """Midnight in Tokyo is yesterday in the records, which are in UTC."""
    Contact.objects.filter(pk=visit.contact.pk).update(timezone="Asia/Tokyo")
    pause = Pause("", "", datetime(2099, 3, 2, 15, tzinfo=UTC))
    submissions.record(visit.contact.pk, [pause], actor=MYSELF, source=Source(method="element"))
    visit.enter()
    assert shown(visit)[0]["lines"] == ["Pause (everything): until March 3, 2099"]
    assert (
        visit.history().json()["records"][0]["lines"][0]["text"] == "Pause (everything): until March 3, 2099"
    )


def test_nobody_sees_the_records_of_another(visit: Visit) -> None:
    visit.enter()
    visit.patch(visit.choose(news=True))
    other = Visit(visit.page, factories.make_contact("other@mail.example.org"))
    assert other.enter()["records"] == {"past": []}


def test_looking_back_costs_one_statement(visit: Visit, django_assert_max_num_queries: Any) -> None:
    visit.enter()
    for number in range(3):
        visit.patch(visit.choose(number, news=number % 2 == 0))
    with django_assert_max_num_queries(
        2 + 1
    ):  # the state, the records; and whether the center is still the same
        visit.get()
