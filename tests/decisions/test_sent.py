"""What was sent without asking: noted, counted, and held against what was promised for its moment."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import event, given, strategies as st

from tests import factories
from tests.properties import examples
from wagtail_prefs import decide, record
from wagtail_prefs.changes import Change, OptIn, OptOut, Pause, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import judging, services
from wagtail_prefs.decisions.judging import PRESENT, Noted, Report
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import FREQUENCIES, PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .cases import Case, World, cases, law_files
from .conftest import NOW, Readers
from .test_together import readers as weekly_readers, side_by_side

HERSELF = Actor(ActorType.SUBJECT_LINK)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def says(contact: UUID, *changes: Change, ago: timedelta = timedelta(0)) -> None:
    """What she does herself, some time before NOW."""
    with time_machine.travel(NOW - ago, tick=False):
        record(contact, changes, by=HERSELF)


def yes(topic: str = "news", channel: str = "email") -> SetChoice:
    return SetChoice(topic, channel, SUBSCRIBED)


def no(topic: str = "news", channel: str = "email") -> SetChoice:
    return SetChoice(topic, channel, UNSUBSCRIBED)


def judged(contact: UUID, ago: timedelta = timedelta(0), message: str = "", **of: str) -> tuple[str, str]:
    """What a message that was sent some time before NOW is found to be."""
    of = {"topic": "news", "channel": "email", **of}
    message = message or uuid.uuid4().hex
    assert services.sent(message, contact, of["topic"], of["channel"], NOW - ago)
    row = Send.objects.get(message_id=message)
    assert row.at == NOW - ago
    return row.verdict, row.reason


def test_a_message_that_was_wanted_keeps_the_promise(readers: Readers) -> None:
    someone = readers.make()
    says(someone, yes(), ago=DAY)
    assert services.sent("issue-1", someone, "news", "email", sender="job", waited_since=NOW - HOUR)
    row = Send.objects.get()
    assert (row.verdict, row.reason, row.counts, row.at) == ("send", "subscribed", True, NOW)
    assert (row.sender, row.waited_since) == ("job", NOW - HOUR)
    assert row.record == decide(someone, "news", "email").record is not None


def test_what_went_against_a_no_is_broken(readers: Readers) -> None:
    someone = readers.make()
    assert judged(someone) == ("refuse", "no_consent")
    says(someone, yes(), SetFrequency("", "", "weekly"), ago=3 * DAY)
    assert judged(someone) == ("digest", "frequency")  # the one before counts, wanted or not
    says(someone, Pause("", "email", NOW + 30 * DAY), ago=2 * DAY)
    assert judged(someone) == ("defer", "paused")
    says(someone, OptOut(), ago=DAY)
    assert judged(someone) == ("refuse", "opted_out")
    assert judged(someone, topic="orders") == ("send", "transactional")
    assert judged(someone, channel="post") == ("refuse", "not_offered")
    assert dict(Send.objects.values_list("reason", "counts"))["transactional"] is False
    behind = {row.reason: row.record for row in Send.objects.all()}
    assert behind["opted_out"] == decide(someone, "news", "email").record is not None
    assert None not in (behind["paused"], behind["frequency"])


def test_a_later_no_is_not_held_against_a_message(readers: Readers) -> None:
    someone = readers.make()
    says(someone, yes(), ago=3 * DAY)
    says(someone, no(), ago=HOUR)
    assert judged(someone, 2 * HOUR, "before") == ("send", "subscribed")
    assert judged(someone, HOUR / 2) == ("refuse", "unsubscribed")
    says(someone, OptOut())
    assert judged(someone, 2 * HOUR) == ("send", "subscribed")
    said = Send.objects.get(message_id="before").record
    with time_machine.travel(NOW - 2 * HOUR, tick=False):
        assert said is not None
        assert said != decide(someone, "news", "email").record


def test_a_later_yes_excuses_nothing(readers: Readers) -> None:
    someone = readers.make()
    says(someone, no(), ago=3 * DAY)
    says(someone, yes(), ago=HOUR)
    assert judged(someone, 2 * HOUR) == ("refuse", "unsubscribed")
    assert judged(someone, 4 * DAY) == ("refuse", "no_consent")
    assert judged(someone, HOUR) == ("send", "subscribed")


def test_what_only_today_knows_counts_for_today(readers: Readers, settings: Any) -> None:
    someone = readers.make(email_dead_at=NOW - HOUR)
    says(someone, yes(), ago=3 * DAY)
    assert judged(someone, 2 * HOUR) == ("send", "subscribed")
    assert judged(someone, HOUR) == ("refuse", "dead_address")
    Contact.objects.filter(pk=someone).update(email_dead_at=None)
    tickets = "tests.decisions.site_rules.ticket"
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": [tickets]}
    assert judged(someone, PRESENT) == ("refuse", "open_ticket")
    assert judged(someone, PRESENT + timedelta(seconds=1)) == ("send", "subscribed")
    Topic.objects.filter(key="news").update(archived=True, channels=[])
    assert judged(someone, PRESENT) == ("refuse", "archived")
    assert judged(someone, PRESENT + timedelta(seconds=1)) == ("send", "subscribed")


def test_of_one_message_too_many_each_order_finds_one(readers: Readers) -> None:
    for days in ((2, 1), (1, 2)):
        someone = readers.make()
        says(someone, yes(), SetFrequency("news", "", "weekly"), ago=30 * DAY)
        assert [judged(someone, day * DAY)[0] for day in days] == ["send", "digest"]  # Monday and Tuesday
        assert judged(someone, 8 * DAY) == ("send", "subscribed")  # of the week before
        assert judged(someone, 9 * DAY) == ("digest", "frequency")
        assert judged(someone, 15 * DAY, topic="orders")[0] == "send"
        assert judged(someone, 16 * DAY)[0] == "send"  # what is always sent takes no place


def test_in_one_call_the_first_that_went_out_is_the_one(readers: Readers) -> None:
    someone = readers.make()
    says(someone, yes(), yes("offers"), SetFrequency("", "", "daily"), ago=30 * DAY)
    reports = [
        Report("late", someone, "news", "email", NOW),
        Report("early", someone, "offers", "email", NOW - 3 * HOUR),
        Report("early", someone, "offers", "email", NOW),
        Report("early", someone, "news", "email", NOW),
        Report("yesterday", someone, "news", "email", NOW - DAY),
    ]
    found = judging.note(reports)
    assert found == [
        Noted(True, "digest", "frequency"),
        Noted(True, "send", "subscribed"),
        Noted(False, "send", "subscribed"),
        Noted(False, "refuse", "reused"),
        Noted(True, "send", "subscribed"),
    ]
    assert judging.note(reports) == [one._replace(new=False) for one in found]
    assert Send.objects.count() == 3


def test_what_is_noted_stays_as_it_is(readers: Readers) -> None:
    someone = readers.make()
    says(someone, yes(), ago=DAY)
    assert decide(someone, "news", "email", record="issue-1").verdict == "send"
    says(someone, no())
    before = list(Send.objects.values())
    assert not services.sent("issue-1", someone, "news", "email")
    assert not services.sent("issue-1", someone, "offers", "email")
    assert list(Send.objects.values()) == before


def test_before_a_merge_it_was_for_the_other(readers: Readers) -> None:
    old, new = readers.make(address_key="a"), readers.make(address_key="b")
    says(old, yes(), ago=3 * DAY)
    says(new, no(), ago=3 * DAY)
    with time_machine.travel(NOW - DAY, tick=False):
        submissions.merge_contacts(old, new, actor=HERSELF, source=Source(method="page"))
    assert judged(old, 2 * DAY, "then") == ("send", "subscribed")
    assert judged(new, 2 * DAY) == ("refuse", "unsubscribed")
    assert judged(old, HOUR) == ("refuse", "unsubscribed")
    assert set(Send.objects.values_list("contact", flat=True)) == {new}
    assert not services.sent("then", new, "news", "email")


def test_people_of_other_audiences_are_unknown(readers: Readers) -> None:
    someone = readers.subscribe()
    other = factories.make_audience(factories.make_site("other.example", port=443))
    reports = [Report("issue-1", someone, "news", "email"), Report("issue-1", uuid.uuid4(), "news", "email")]
    assert [one.reason for one in judging.note(reports, audience=other.pk)] == ["unknown"] * 2
    assert [one.reason for one in judging.note(reports, audience=readers.audience.pk)] == [
        "subscribed", "unknown",
    ]  # fmt: skip


def test_of_whoever_is_gone_nothing_is_noted(readers: Readers) -> None:
    someone = readers.make()
    says(someone, yes())
    submissions.erase(someone, actor=HERSELF, source=Source(method="page"))
    with pytest.raises(UnknownContact):
        services.sent("issue-1", someone, "news", "email")
    with pytest.raises(ValueError, match="no such topic"):
        services.sent("issue-1", readers.make(), "weather", "email")
    with pytest.raises(ValueError, match="sender"):
        services.sent("issue-1", readers.make(), "news", "email", sender="x" * 65)
    assert not Send.objects.exists()


@pytest.mark.django_db
def test_the_cases_of_the_page_hold_for_what_was_sent(settings: Any, tmp_path: Path) -> None:
    """Where nothing was asked, the moment of a case is judged as it would have been answered."""
    laws, world = law_files(tmp_path), World(cases())
    gone = {"unknown", "erased", "merged"}
    usual = dict(settings.WAGTAIL_PREFS)
    wrong, tried = [], 0
    together: dict[Any, list[Case]] = defaultdict(list)
    for case in cases():
        # A message that went out later is no reason for an earlier one to be broken: so judging differs from asking.
        later = [one for one in case.given.sends if one.at > case.question.at]
        if not (case.message or later or case.given.flags & gone or case.reason == "unknown_topic"):
            together[case.site, case.question].append(case)
    for (site, question), lines in together.items():
        settings.WAGTAIL_PREFS = {**usual, **site.prefs(laws)}
        settings.TIME_ZONE = site.tz
        reports = [
            Report(f"judged {case.line}", world.contacts[case.line], question.topic, question.channel)
            for case in lines
        ]
        with time_machine.travel(question.at, tick=False):
            found = judging.note(reports)
        for case, noted in zip(lines, found, strict=True):
            tried += 1
            if noted != (True, case.verdict, case.reason):
                wrong.append(f"{case} -> {noted}")
    assert wrong == []
    assert tried > 200


CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        SetChoice,
        st.sampled_from(["news", "news", "offers", ""]),
        st.just("email"),
        st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]),
    ),
    st.just(SetChoice("news", "email", PENDING)),
    st.builds(SetFrequency, st.sampled_from(["", "news"]), st.just(""), st.sampled_from(sorted(FREQUENCIES))),
    st.builds(
        Pause,
        st.sampled_from(["", "news"]),
        st.just(""),
        st.integers(1, 400).map(lambda hours: NOW + hours * HOUR),  # so long after she says so
    ),
    st.builds(Resume, st.sampled_from(["", "news"]), st.just("")),
    st.sampled_from([OptOut(), OptIn()]),
)


@pytest.mark.property
@pytest.mark.django_db
@examples(40)
@given(st.lists(st.tuples(st.integers(1, 100), CHANGES), min_size=1, max_size=8))
def test_it_is_judged_as_it_would_have_been_answered(steps: list[tuple[int, Change]]) -> None:
    """Ask after every change; once all is over, judge what was sent at those moments: the answers are the same."""
    audience = factories.make_audience()
    factories.make_topics(audience)
    someone = Contact.objects.create(audience=audience).pk
    at, asked = NOW, dict[datetime, Any]()
    for hours, change in steps:
        at += hours * HOUR
        if isinstance(change, Pause):
            change = replace(change, until=at + (change.until - NOW))  # noqa: PLW2901 - a moment to come
        with time_machine.travel(at, tick=False):
            record(someone, change, by=HERSELF)
        at += timedelta(minutes=7)
        with time_machine.travel(at, tick=False):
            asked[at] = decide(someone, "news", "email")
    with time_machine.travel(at + DAY, tick=False):
        for moment, decision in asked.items():
            assert services.sent("message", someone, "news", "email", moment)
            row = Send.objects.get(contact=someone)
            assert (row.verdict, row.reason, row.record) == (
                decision.verdict, decision.reason, decision.record,
            )  # fmt: skip
            event(row.reason)
            assert services.give_back("message", someone) == 1


def test_a_thousand_cost_a_bounded_number_of_statements(
    readers: Readers, tell: Callable[[str], None]
) -> None:
    people = Contact.objects.bulk_create(
        Contact(audience=readers.audience, address_key=uuid.uuid4().hex) for _number in range(1000)
    )
    for person in people[:20]:
        says(person.pk, yes(), SetFrequency("", "", "daily"), ago=3 * DAY)
        says(person.pk, OptOut(), ago=HOUR)

    def statements(*reports: Report) -> int:
        with CaptureQueriesContext(connection) as found:
            judging.note(reports, audience=readers.audience.pk)
        return sum("SAVEPOINT" not in query["sql"] for query in found)

    one = statements(Report("one", people[0].pk, "news", "email", NOW - DAY))
    assert one <= 8
    many = [
        Report(f"{number}", person.pk, topic, "email", NOW - DAY - number * timedelta(seconds=1))
        for topic in ("news", "offers")
        for number, person in enumerate(people[:500])
    ]
    inserts = -(-1000 // connection.ops.bulk_batch_size(Send._meta.concrete_fields, many))
    took = statements(*many)
    assert took <= 10 + inserts - 1
    assert statements(*many) <= 6  # all are there
    nowhere = [Report(f"{number}", people[0].pk, f"topic-{number}", "email") for number in range(1000)]
    assert statements(*nowhere) <= 6
    tell(f"messages noted on {connection.vendor}: 1 in {one} statements, 1000 of two topics in {took}")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_messages_told_at_once_one_keeps_the_promise() -> None:
    """Whoever tells at the same moment: a cap of one finds all but one too many."""
    senders, rounds = 4, 10
    with time_machine.travel(NOW):
        contacts = weekly_readers(rounds)

        def act(sender: int, number: int) -> None:
            assert services.sent(f"round {number} of {sender}", contacts[number], "news", "email")

        assert side_by_side(senders, rounds, act) == []
    found: Mapping[UUID, list[str]] = defaultdict(list)
    for contact, verdict in Send.objects.values_list("contact", "verdict"):
        found[contact].append(verdict)
    assert [sorted(found[contact]) for contact in contacts] == [
        ["digest"] * (senders - 1) + ["send"]
    ] * rounds
