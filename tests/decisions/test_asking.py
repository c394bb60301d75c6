"""LW-10: who said no is not asked again for a year, or for longer where her country says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, strategies as st

import wagtail_prefs
from wagtail_prefs import may_ask, record
from wagtail_prefs.changes import Change, ChangeAddress, OptIn, OptOut, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.asking import WORDS, Asking, Known, judge
from wagtail_prefs.decisions.values import Standing
from wagtail_prefs.law import services as law
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .conftest import NOW, Readers

SHE = Actor(ActorType.SUBJECT_SESSION)
YEAR = timedelta(days=365)
YES, NO = SetChoice("news", "email", SUBSCRIBED), SetChoice("news", "email", UNSUBSCRIBED)
LIFE = Known(Standing.KNOWN)


def said(readers: Readers, *acts: Change, by: Actor = SHE, **fields: Any) -> UUID:
    """Somebody who did this, all of it now."""
    contact = readers.make(**{"country": "DE", **fields})
    for act in acts:
        record(contact, act, by=by)
    return contact


def test_the_door_is_where_the_docs_say() -> None:
    assert wagtail_prefs.may_ask is may_ask
    assert "may_ask" in dir(wagtail_prefs)


@pytest.mark.parametrize(
    ("acts", "until"),
    [
        ([NO], NOW + YEAR),
        ([YES, NO], NOW + YEAR),
        ([OptOut()], NOW + YEAR),
        ([SetChoice("", "email", UNSUBSCRIBED)], NOW + YEAR),
        ([SetChoice("", "sms", UNSUBSCRIBED)], None),
        ([SetChoice("news", "sms", UNSUBSCRIBED)], None),
        ([SetChoice("offers", "email", UNSUBSCRIBED)], None),
        ([YES, OptOut(), OptIn()], NOW + YEAR),  # what she left stays a no of that day
        ([OptOut(), OptIn()], None),  # nobody ever asked her about it, and she is back
        ([], None),
    ],
)
def test_a_no_holds_for_a_year(readers: Readers, acts: Sequence[Change], until: datetime | None) -> None:
    contact = said(readers, *acts)
    if until is None:
        assert may_ask(contact, "news", "email") == Asking(contact, True, "free")
        return
    assert may_ask(contact, "news", "email") == Asking(contact, False, "refused", until)
    assert not may_ask(contact, "news", "email", until - timedelta(microseconds=1)).may
    assert may_ask(contact, "news", "email", until).may


def test_the_last_no_counts_also_one_that_was_said_again(readers: Readers) -> None:
    contact = said(readers, NO)
    with time_machine.travel(NOW + 100 * timedelta(days=1), tick=False):
        record(contact, OptOut(), by=SHE)
        assert may_ask(contact, "news", "email").until == NOW + 100 * timedelta(days=1) + YEAR


def test_a_yes_has_nothing_to_be_asked_and_one_that_ended_by_itself_is_a_no(readers: Readers) -> None:
    """A no that she says after the end changes nothing, and so leaves no record."""
    end = NOW + timedelta(days=10)
    contact = said(readers, SetChoice("news", "email", SUBSCRIBED, end))
    assert may_ask(contact, "news", "email") == Asking(contact, False, "subscribed", end)
    assert may_ask(contact, "news", "email", end) == Asking(contact, False, "refused", end + YEAR)
    with time_machine.travel(end + timedelta(days=1), tick=False):
        assert submissions.expire_due() == 1
        assert record(contact, NO, by=SHE).receipt is None
        written_down = end + timedelta(days=1) + YEAR
        assert may_ask(contact, "news", "email") == Asking(contact, False, "refused", written_down)


def test_a_sign_up_that_waits_was_asked_already_and_a_no_before_it_still_holds(readers: Readers) -> None:
    end = NOW + timedelta(days=7)
    wait, form = SetChoice("news", "email", PENDING, end), Actor(ActorType.SYSTEM, "sign-up")
    contact = said(readers, wait, by=form)
    assert may_ask(contact, "news", "email") == Asking(contact, False, "pending", end)
    assert may_ask(contact, "news", "email", end).may
    record(other := said(readers, NO), wait, by=form)
    assert may_ask(other, "news", "email") == Asking(other, False, "refused", NOW + YEAR)


def test_who_and_what_there_is_not_is_not_asked(readers: Readers) -> None:
    Topic.objects.filter(key="offers").update(archived=True)
    gone, lost, winner, left, anybody = (readers.make() for _ in range(5))
    source = Source(method="python")
    submissions.erase(gone, actor=SHE, source=source)
    submissions.merge_contacts(lost, winner, actor=SHE, source=source)
    Contact.objects.filter(pk=left).update(suppressed=True)
    nobody = uuid4()
    found = {one.contact: one.reason for one in may_ask([gone, lost, left, nobody, anybody], "news", "email")}
    assert found == {gone: "erased", lost: "merged", left: "suppressed", nobody: "unknown", anybody: "free"}
    about = {
        ("offers", "email"): "archived",
        ("orders", "email"): "transactional",
        ("news", "fax"): "not_offered",
        ("news", "post"): "not_offered",
        ("none", "email"): "unknown_topic",
        ("ne\0ws", "email"): "unknown_topic",
        ("", ""): "unknown_topic",
    }
    assert {key: may_ask(anybody, *key).reason for key in about} == about


def test_a_country_only_makes_it_longer(readers: Readers, settings: Any) -> None:
    california = said(readers, NO, country="US-CA")
    texas = said(readers, NO, country="US-TX")
    nowhere = said(readers, NO, country="")
    year = datetime(2027, 11, 25, 12, tzinfo=UTC)
    for days, ends in {1: [year] * 3, 500: [NOW + timedelta(days=500)] * 3}.items():
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "REASK_DAYS": days}
        assert [one.until for one in may_ask([california, texas, nowhere], "news", "email")] == ends


def test_a_no_that_no_record_dates_holds(readers: Readers) -> None:
    contact = readers.make()
    readers.state(contact, choice=UNSUBSCRIBED, choice_version=7)
    assert may_ask(contact, "news", "email", NOW + 100 * YEAR) == Asking(contact, False, "refused")


def test_another_audience_is_nobody(readers: Readers) -> None:
    other = Audience.objects.create(key="club", name="Club")
    contact = said(readers, NO)
    assert may_ask(contact, "news", "email", audience=other.pk).reason == "unknown"
    assert may_ask(contact, "news", "email", audience=readers.audience.pk).reason == "refused"


def test_one_statement_however_many_and_in_their_order(readers: Readers) -> None:
    noes, free = [said(readers, NO) for _ in range(3)], [readers.make() for _ in range(3)]
    asked = [noes[0], free[0], noes[1], noes[0], free[1], noes[2], free[2]]
    with CaptureQueriesContext(connection) as caught:
        found = may_ask(asked, "news", "email")
    assert len(caught) == 1
    assert [one.contact for one in found] == asked
    assert [one.may for one in found] == [one in free for one in asked]
    with CaptureQueriesContext(connection) as caught:
        assert len(may_ask([uuid4() for _ in range(1001)], "news", "email")) == 1001
    assert len(caught) == 2
    assert may_ask([], "news", "email") == []


def test_a_moment_needs_a_zone(readers: Readers) -> None:
    with pytest.raises(ValueError, match="time zone"):
        may_ask(readers.make(), "news", "email", datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_a_sale_or_a_new_address_is_changes_no_no(readers: Readers) -> None:
    contact = said(readers, NO)
    record(contact, ChangeAddress("new@mail.example.org"), by=SHE)
    assert may_ask(contact, "news", "email").until == NOW + YEAR


DAYS = st.integers(min_value=0, max_value=2000)


@given(
    st.lists(DAYS, min_size=1, max_size=3), DAYS, st.sampled_from(["", "DE", "US", "US-CA", "RU", "ZZ"]), DAYS
)
def test_nobody_is_asked_within_the_time_after_any_no(
    noes: list[int], at: int, country: str, setting: int
) -> None:
    rules = law.current().rules_for(country)
    moments = [NOW - timedelta(days=days) for days in noes]
    moment = NOW + timedelta(days=at)
    known = LIFE.__class__(Standing.KNOWN, country, noes=tuple(moments))
    answer = judge(uuid4(), known, moment, rules, setting)
    assert answer.reason in WORDS
    if any(moment < no + timedelta(days=setting) for no in moments):
        assert (answer.may, answer.reason) == (False, "refused")
    if answer.may:
        assert all(moment >= law.months_after(no, rules.reask_months) for no in moments)
    if answer.until:
        assert judge(uuid4(), known, answer.until, rules, setting).may
