"""What was sent is added up by days, exactly, and rings where it went against a no (decisions/promises.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries

from tests import factories
from tests.decisions.conftest import NOW, Readers
from tests.properties import examples
from wagtail_prefs.decisions import counting, promises
from wagtail_prefs.decisions.models import DecisionCount, Send, SendCountMark
from wagtail_prefs.decisions.promises import Period, Sums
from wagtail_prefs.decisions.services import decide, give_back
from wagtail_prefs.management import doctor
from wagtail_prefs.topics.models import Audience, Topic

pytestmark = pytest.mark.django_db

TODAY = NOW.date()


@pytest.fixture(autouse=True)
def _fresh(readers: Readers) -> Iterator[None]:
    promises.forget_process()
    yield
    promises.forget_process()


def send(contact: UUID, at: datetime = NOW, **fields: Any) -> Send:
    row = {
        "topic": "news",
        "channel": "email",
        "sender": "shop",
        "verdict": "send",
        "reason": "subscribed",
        **fields,
    }
    return Send.objects.create(message_id=str(uuid4()), contact=contact, at=at, **row)


def sends() -> dict[tuple[Any, ...], int]:
    """{(day, audience, sender, event, reason): number}"""
    rows = DecisionCount.objects.exclude(event__startswith="asked_")
    return {
        row[:-1]: row[-1]
        for row in rows.values_list("day", "audience_id", "sender", "event", "reason", "count")
    }


def about(audience: Audience, **fields: Any) -> Period:
    return Period(audience, **{"since": TODAY, "until": TODAY, **fields})


def test_each_send_is_counted_by_what_was_said_of_its_moment(readers: Readers) -> None:
    contact, audience = readers.subscribe(), readers.audience.pk
    send(contact)
    send(contact, sender="esp")
    send(contact, verdict="refuse", reason="opted_out")
    send(contact, verdict="defer", reason="paused")
    send(contact, verdict="digest", reason="frequency")
    send(contact, verdict="", reason="")
    send(contact, waited_since=NOW - timedelta(days=3))
    send(uuid4(), verdict="refuse", reason="unknown")
    promises.count_sends()
    assert sends() == {
        (TODAY, audience, "shop", "sent", "subscribed"): 2,
        (TODAY, audience, "esp", "sent", "subscribed"): 1,
        (TODAY, audience, "shop", "sent_refuse", "opted_out"): 1,
        (TODAY, audience, "shop", "sent_defer", "paused"): 1,
        (TODAY, audience, "shop", "sent_digest", "frequency"): 1,
        (TODAY, audience, "shop", "sent_unjudged", ""): 1,
        (TODAY, audience, "shop", "late", ""): 1,
        (TODAY, 0, "shop", "sent_refuse", "unknown"): 1,
    }


def test_a_day_is_utcs_to_its_last_moment(readers: Readers) -> None:
    contact = readers.subscribe()
    begin = datetime(2026, 11, 24, tzinfo=UTC)
    for at in (begin - timedelta(microseconds=1), begin, begin + timedelta(days=1, microseconds=-1)):
        send(contact, at)
    promises.count_sends()
    assert {key[0]: count for key, count in sends().items()} == {date(2026, 11, 23): 1, date(2026, 11, 24): 2}


def test_counting_again_changes_nothing(readers: Readers) -> None:
    contact = readers.subscribe()
    for ago in range(5):
        send(contact, NOW - timedelta(days=ago))
    assert promises.count_sends() == 5
    before = sends()
    for _ in range(3):
        promises.count_sends()
        assert sends() == before
    assert SendCountMark.objects.count() == 1
    assert promises.count_sends() == 2  # nothing is new: only the days that are open
    assert promises.counted_until() == NOW


def test_what_is_given_back_and_what_comes_late_is_counted_right(readers: Readers) -> None:
    contact = readers.subscribe()
    gone = send(contact)
    send(contact, NOW - timedelta(days=40))
    promises.count_sends()
    give_back(gone.message_id)
    send(contact, NOW - timedelta(days=40))  # noted today
    promises.count_sends()
    assert {key[0]: count for key, count in sends().items()} == {TODAY - timedelta(days=40): 2}


def test_a_row_that_is_committed_after_later_ones_is_counted(readers: Readers) -> None:
    """Its number was drawn before that of rows that were counted already, and its day is over."""
    contact, old = readers.subscribe(), NOW - timedelta(days=9)
    number = send(contact).pk
    Send.objects.all().delete()
    send(contact, old)
    promises.count_sends()
    send(contact, old, id=number)
    promises.count_sends()
    assert sends()[old.date(), readers.audience.pk, "shop", "sent", "subscribed"] == 2


def test_days_that_are_over_keep_what_is_gone_since(readers: Readers) -> None:
    contact = readers.subscribe()
    send(contact)
    promises.count_sends()
    Send.objects.all().delete()
    with time_machine.travel(NOW + timedelta(days=3), tick=False):
        promises.count_sends()
    assert sum(sends().values()) == 1


def test_a_look_without_time_goes_on_at_the_next(readers: Readers) -> None:
    contact = readers.subscribe()
    for ago in range(4):
        send(contact, NOW - timedelta(days=ago))
    looks = 0
    while promises.counted_until() is None:
        assert promises.count_sends(most_seconds=0) == 1
        looks += 1
    assert looks == 4
    assert sum(sends().values()) == 4


def test_two_workers_at_once_count_nothing_twice(readers: Readers) -> None:
    contact = readers.subscribe()
    send(contact, NOW - timedelta(days=1))
    send(contact)
    promises.count_sends(most_seconds=0)
    promises.forget_process()  # another worker, which begins at the beginning
    promises.count_sends()
    assert sum(sends().values()) == 2


def test_it_looks_now_and_then(readers: Readers, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    send(readers.subscribe())
    assert promises.count_now_and_then() == 2
    with django_assert_num_queries(0):
        assert promises.count_now_and_then() == 0


def test_the_cost_of_a_look_does_not_grow_with_the_sends_of_a_day(readers: Readers) -> None:
    contact, seen = readers.subscribe(), []
    for _ in range(2):
        for number in range(20):
            send(contact, verdict="refuse", reason=f"r{number % 3}")
        promises.count_sends()
        with CaptureQueriesContext(connection) as queries:
            promises.count_sends()
        seen.append(len(queries))
    assert seen[0] == seen[1]


_ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(["send", "refuse", "defer", "digest", ""]),
        st.sampled_from(["", "shop"]),
        st.booleans(),
    ),
    max_size=10,
)


@pytest.mark.property
@examples(25)
@given(st.lists(_ROWS, max_size=4))
def test_after_each_look_the_counts_are_the_rows(batches: Any) -> None:
    promises.forget_process()
    for model in (Send, DecisionCount, SendCountMark):
        model.objects.all().delete()
    contact = Readers(factories.make_audience()).make()
    expected: Counter[tuple[date, str, str]] = Counter()
    for batch in batches:
        for ago, verdict, sender, waited in batch:
            at = NOW - timedelta(days=ago)
            send(contact, at, verdict=verdict, sender=sender, waited_since=at if waited else None)
            event = {"": "sent_unjudged", "send": "sent"}.get(verdict, f"sent_{verdict}")
            expected[at.date(), sender, event] += 1
            expected[at.date(), sender, "late"] += waited
        promises.count_sends()
        found: Counter[tuple[date, str, str]] = Counter()
        for (day, _audience, sender, event, _reason), count in sends().items():
            found[day, sender, event] += count
        assert found == +expected


# The numbers


def test_sums() -> None:
    sums = Sums()
    for number, event in enumerate(counting.Event):
        sums.add(event, 10**number)
    assert (sums.yes, sums.waits, sums.no, sums.asked) == (1, 110, 1000, 1111)
    assert (sums.sent, sums.broken, sums.early, sums.late) == (111_110_000, 10_000_000, 1_100_000, 10**9)
    assert sums.obeyed == 0  # more went against the answers than were asked for
    sums.broken = sums.early = 1
    assert sums.obeyed == 1109


def test_every_event_is_in_a_sum() -> None:
    for event in counting.Event:
        sums = Sums()
        sums.add(event, 1)
        assert not sums.is_empty, event


def test_what_was_decided_is_what_is_counted(readers: Readers) -> None:
    """The whole way, from a decision to the numbers of a report."""
    yes, no = readers.subscribe(), readers.make(version=1)
    readers.state(no, "news", "email", choice="unsubscribed", choice_version=1)
    decide([yes, no], "news", "email", record="m1", sender="shop")
    decide(no, "news", "email", sender="shop")
    counting.flush()
    promises.count_sends()
    sums = Sums()
    for event, count in promises.counted(about(readers.audience)).values_list("event", "count"):
        sums.add(event, count)
    assert (sums.yes, sums.no, sums.sent, sums.broken, sums.asked, sums.obeyed) == (1, 2, 1, 0, 3, 3)


def test_what_was_asked_for_no_audience_counts_where_it_can_only_be(readers: Readers) -> None:
    def asked(audience: int, topic: str) -> None:
        DecisionCount.objects.create(
            day=TODAY, audience_id=audience, topic=topic, channel="email", sender="", event="asked_send", reason="", count=1
        )  # fmt: skip

    ours = readers.audience
    for topic in ("news", "offers", ""):
        asked(0, topic)
    asked(ours.pk, "news")
    assert promises.counted(about(ours)).count() == 4  # the only audience
    theirs = factories.make_audience(factories.make_site("other.example", port=443))
    Topic.objects.create(audience=theirs, key="news", channels=["email"])
    Topic.objects.create(audience=theirs, key="extra", channels=["email"])
    asked(0, "extra")
    asked(theirs.pk, "news")
    assert [row.topic for row in promises.counted(about(ours)).order_by("topic")] == ["news", "offers"]
    assert [row.topic for row in promises.counted(about(theirs)).order_by("topic")] == ["extra", "news"]


def test_the_broken_ones_are_listed_newest_first_and_only_of_the_audience(
    readers: Readers, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    contact = readers.make()
    other = Readers(factories.make_audience(factories.make_site("other.example", port=443))).make()
    first = send(contact, NOW - timedelta(hours=2), verdict="refuse", reason="opted_out")
    second = send(contact, verdict="defer", reason="paused", sender="esp")
    send(contact)
    send(contact, verdict="")
    send(contact, NOW - timedelta(days=1), verdict="refuse")
    send(other, verdict="refuse")
    with django_assert_num_queries(1):
        assert list(promises.broken_sends(about(readers.audience))) == [second, first]
    assert list(promises.broken_sends(about(readers.audience, sender="shop"))) == [first]
    everything = about(readers.audience, since=date.min, until=date.max)
    assert promises.broken_sends(everything).count() == 3


@pytest.mark.postgres
def test_the_newest_broken_ones_are_found_by_their_own_index(readers: Readers) -> None:
    contact = readers.make()
    Send.objects.bulk_create(
        [
            Send(message_id=str(n), contact=contact, topic="news", channel="email", at=NOW, verdict="send")
            for n in range(5000)
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE wagtail_prefs_send")
    plan = promises.broken_sends(about(readers.audience))[:25].explain()
    assert "prefs_send_broken" in plan


# The alarm


def rings(caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    promises.watch_promises()
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_a_send_against_a_no_rings_once_a_day_for_each_sender(
    readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    contact = readers.make()
    for reason in ("opted_out", "opted_out", "unsubscribed"):
        send(contact, verdict="refuse", reason=reason)
    send(contact, verdict="defer", reason="paused", sender="early")
    promises.count_sends()
    assert rings(caplog) == [
        "alarm promises: 3 messages of sender shop were sent against a no on 2026-11-25 (opted_out 2, unsubscribed 1)"
    ]
    assert rings(caplog) == []
    send(contact, verdict="refuse", reason="opted_out")
    send(contact, verdict="refuse", reason="opted_out", sender="")
    promises.count_sends()
    assert [line.split(" were")[0] for line in rings(caplog)] == [
        "alarm promises: 1 messages of sender (none)"
    ]
    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        assert rings(caplog) == []
        send(contact, NOW + timedelta(days=1), verdict="refuse", reason="opted_out")
        promises.count_sends()
        assert len(rings(caplog)) == 1


def test_prefs_check_says_so(readers: Readers) -> None:
    def found() -> list[tuple[str, str]]:
        return [(one.level, one.text) for one in doctor.examine() if one.area == "promises"]

    assert found() == [(doctor.NOTE, "What was sent is not counted yet.")]
    contact = readers.make()
    send(contact, NOW - timedelta(days=8), verdict="refuse")
    promises.count_sends()
    assert found() == [(doctor.OK, "Nothing is known to have gone out against a no since a week ago.")]
    send(contact, NOW - timedelta(days=6), verdict="refuse", sender="ada@brand.example")
    send(contact, verdict="refuse", reason="paused", sender="ada@brand.example")
    promises.count_sends()
    assert found() == [(doctor.WARN, "Sender … sent 2 messages against a no since a week ago.")]


def test_no_alarm_names_anybody(readers: Readers, caplog: pytest.LogCaptureFixture) -> None:
    send(
        readers.make(),
        verdict="refuse",
        reason="asked ada@brand.example\n!",
        sender="key of ada@brand.example",
    )
    promises.count_sends()
    (line,) = rings(caplog)
    assert "@" not in line
    assert "\n" not in line
