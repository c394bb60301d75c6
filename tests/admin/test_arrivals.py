"""The list of what platforms have told us."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from tests.admin.staff import make_staff
from tests.factories import make_audience, make_contact, make_editor, make_site
from wagtail_prefs.admin.arrivals import CODES, STATES
from wagtail_prefs.sync import arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.sync.stricter import Why
from wagtail_prefs.values import Identifiers, InboundEvent

pytestmark = pytest.mark.django_db

NAME = "prefs_arrivals:index"


def arrived(number: int = 1, **values: Any) -> Arrival:
    event = InboundEvent(f"event-{number}", Identifiers(email="anna@mail.example.org"), dead=True)
    arrivals.keep("esp", [event])
    row = Arrival.objects.latest("pk")
    Arrival.objects.filter(pk=row.pk).update(**values)
    return row


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(make_editor())
    return client


def shown(client: Client, **query: str) -> str:
    answer = client.get(reverse(NAME), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_it_says_when_from_where_and_what_became_of_it(editor: Client) -> None:
    contact = make_contact()
    row = arrived(state="nothing", code="not-so-there", contact=contact.pk, due_at=None)
    page = shown(editor)
    for words in ("esp", "Nothing to do", "The platform itself says otherwise", str(contact.pk)):
        assert words in page
    for secret in ("anna", row.payload[:20], row.event):
        assert secret not in page
    Arrival.objects.update(code="failed-KeyError", state="refused")
    assert "failed-KeyError" in shown(editor)


def test_everything_that_can_become_of_an_event_has_words() -> None:
    fields = ("WAITING", "DONE", "NOTHING", "UNKNOWN", "REFUSED")
    assert set(STATES) == {getattr(Arrival, name) for name in fields}
    assert {why.value for why in Why} - {"ask"} <= set(CODES)


def test_it_can_be_narrowed(editor: Client) -> None:
    arrived(1, state="done", contact=make_contact().pk)
    arrived(2, state="unknown", backend="other")
    assert "Nobody known</td>" not in shown(editor, state="done").replace("\n", "")
    assert "other" in shown(editor, backend="other")
    assert str(make_contact().pk) not in shown(editor, backend="other")


def test_people_of_another_site_and_of_none_are_not_told_of(client: Client) -> None:
    elsewhere = make_site("other.example", port=443)
    here, there = make_contact(), make_contact("ben@mail.example.org", audience=make_audience(elsewhere))
    for number, contact in enumerate((here.pk, there.pk, None)):
        arrived(number, contact=contact, backend=f"backend-{number}")
    client.force_login(make_staff("site", "view_delivery", site=here.audience.site))
    page = shown(client)
    assert [f"backend-{number}" in page for number in range(3)] == [True, False, False]
    client.force_login(make_staff("all", "view_delivery"))
    page = shown(client)
    assert [f"backend-{number}" in page for number in range(3)] == [True, True, True]
    client.force_login(make_staff("none", "view_contact"))
    assert client.get(reverse(NAME)).status_code == 302


@pytest.mark.parametrize("action", ["add", "edit", "delete", "copy", "inspect"])
def test_there_is_nothing_to_do(editor: Client, action: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(f"prefs_arrivals:{action}", args=[] if action == "add" else [arrived().pk])


def test_the_cost_of_the_list_does_not_grow(editor: Client) -> None:
    costs = []
    for number in range(1, 30):
        arrived(number, received_at=timezone.now() - timedelta(minutes=number))
        if number in (1, 15):
            shown(editor)  # fills what is cached for the process
            with CaptureQueriesContext(connection) as asked:
                shown(editor)
            costs.append(len(asked))
    assert costs[0] == costs[1]
    assert costs[0] <= 12


def test_it_stands_in_the_menu(editor: Client) -> None:
    assert reverse(NAME) in editor.get(reverse("wagtailadmin_home")).content.decode()
