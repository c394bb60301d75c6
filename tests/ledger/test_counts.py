"""Counts: the same as a naive walk over all records, whoever comes late, and whoever is stopped."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings
from hypothesis import given, strategies as st

from tests.delivery.people import HERSELF, person, save
from tests.ledger import chains
from tests.properties import examples
from wagtail_prefs.changes import OptIn, OptOut, Pause, Resume, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.delivery.worker import Worker
from wagtail_prefs.ledger import counts, guard, seals
from wagtail_prefs.ledger.models import CountMark, DayCount, Record, Seal
from wagtail_prefs.submissions.services import record
from wagtail_prefs.values import Actor, ActorType, Effect, Source

pytestmark = pytest.mark.django_db

START = chains.START
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def counted() -> dict[tuple[Any, ...], int]:
    return {
        (row.day, row.audience, row.topic, row.channel, row.event, row.action, row.method): row.count
        for row in DayCount.objects.all()
    }


def naive(zone: str = "UTC") -> dict[tuple[Any, ...], int]:
    """Every record, read from the first to the last; written apart from the code that it is held against."""
    found: Counter[tuple[Any, ...]] = Counter()
    for entry in Record.objects.all():
        body = json.loads(entry.body)
        day = datetime.fromisoformat(body["event_time_utc"]).astimezone(ZoneInfo(zone)).date()
        for it in body["effects"]:
            had, has, path = it["before"], it["after"], it["path"]
            if path.startswith("choice:"):
                name = {
                    (False, True): "opt_in",
                    (True, True): "again",
                    (True, False): "opt_out",
                    (False, False): "refusal" if has else None,
                }[had == "subscribed", has == "subscribed"]
            elif path.startswith("pending:"):
                name = "request" if has and not had else "lapse" if it["action"] == "expired" else None
            elif path == "opted_out":
                name = None if had == has else "left" if has else "back"
            elif path.startswith("pause:"):
                name = "resume" if not has else "longer" if had else "pause"
            elif path.startswith("frequency:"):
                name = "frequency" if has else None
            else:
                name = None
            if name:
                found[
                    day,
                    entry.audience,
                    it["purpose_id"],
                    it["channel"],
                    name,
                    it["action"],
                    body["method"],
                ] += 1
    return dict(found)


def count_all() -> None:
    while counts.count_new():
        pass


def effect(path: str, before: Any, after: Any, action: str = "set") -> dict[str, Any]:
    kind, _, rest = path.partition(":")
    topic, _, channel = rest.rpartition(":") if kind in {"choice", "pending"} else ("", "", "")
    return {
        "path": path, "before": before, "after": after, "action": action, "purpose_id": topic, "channel": channel,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "event"),
    [
        (effect("choice:news:email", None, "subscribed", "given"), "opt_in"),
        (effect("choice:news:email", "unsubscribed", "subscribed", "restored"), "opt_in"),
        (effect("choice:news:email", "subscribed", "subscribed", "renewed"), "again"),
        (effect("choice:news:email", "subscribed", "unsubscribed", "withdrawn"), "opt_out"),
        (effect("choice:news:email", "subscribed", "unsubscribed", "expired"), "opt_out"),
        (effect("choice:news:email", "subscribed", None, "restored"), "opt_out"),
        (effect("choice:news:email", None, "unsubscribed", "refused"), "refusal"),
        (effect("choice:news:email", "unsubscribed", "unsubscribed", "refused"), "refusal"),
        (effect("choice:news:email", "unsubscribed", None, "restored"), None),
        (effect("pending:news:email", None, True, "requested"), "request"),
        (effect("pending:news:email", True, True, "requested"), None),
        (effect("pending:news:email", True, None, "given"), None),
        (effect("pending:news:email", True, None, "expired"), "lapse"),
        (effect("opted_out", False, True, "withdrawn"), "left"),
        (effect("opted_out", True, True, "withdrawn"), None),
        (effect("opted_out", True, False, "given"), "back"),
        (effect("pause:all", None, "2026-12-01T00:00:00Z"), "pause"),
        (effect("pause:all", "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"), "longer"),
        (effect("pause:all", "2026-12-01T00:00:00Z", None, "cleared"), "resume"),
        (effect("frequency:all", None, "weekly"), "frequency"),
        (effect("frequency:all", "weekly", None, "erased"), None),
        (effect("attribute:reason", None, {"committed": "00"}), None),
        (effect("suppressed", None, True, "erased"), None),
    ],
)
def test_what_each_effect_is_in_a_report(given_: dict[str, Any], event: str | None) -> None:
    found = list(counts.events_of({"effects": [given_]}))
    assert [one.event for one in found] == ([event] if event else [])
    assert {event} <= {*counts.EVENTS, None}


def test_what_people_do_is_counted_by_what_they_chose() -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    person(
        "anna", SetChoice("news", "email", "subscribed"), OptOut(), SetChoice("offers", "email", "subscribed")
    )
    ben = person(
        "ben", SetChoice("news", "email", "unsubscribed"), Pause("news", "", later), Resume("news", "")
    )
    save(ben, SetFrequency("", "email", "weekly"), SetAttribute("city", "Bremen"))
    save(ben, Pause("", "", later))
    seals.seal(datetime.now(UTC))
    count_all()
    found = {
        (row.topic, row.channel, row.event, row.action, row.method): row.count
        for row in DayCount.objects.all()
    }
    assert found == {
        ("news", "email", "opt_in", "given", "python"): 1,
        ("news", "email", "opt_out", "withdrawn", "python"): 1,
        ("", "", "left", "withdrawn", "python"): 1,
        ("", "", "back", "given", "python"): 1,
        ("offers", "email", "opt_in", "given", "python"): 1,
        ("news", "email", "refusal", "refused", "python"): 1,
        ("news", "", "pause", "set", "python"): 1,
        ("news", "", "resume", "cleared", "python"): 1,
        ("", "email", "frequency", "set", "python"): 1,
        ("", "", "pause", "set", "python"): 1,
    }
    assert counted() == naive()


def test_nothing_new_costs_two_statements(django_assert_num_queries: Any) -> None:
    person("anna", SetChoice("news", "email", "subscribed"))
    seals.seal(datetime.now(UTC))
    count_all()
    with django_assert_num_queries(2):
        assert counts.count_new() == 0


def test_a_day_is_one_of_the_site_and_another_zone_counts_anew(settings: Any) -> None:
    chains.append(uuid.uuid4(), datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    seals.seal(datetime(2026, 11, 23, 9, tzinfo=UTC))
    count_all()
    assert {row.day for row in DayCount.objects.all()} == {date(2026, 11, 22)}
    with override_settings(TIME_ZONE="Europe/Berlin"):
        count_all()
        assert {row.day for row in DayCount.objects.all()} == {date(2026, 11, 23)}
        assert counted() == naive("Europe/Berlin")


def test_one_that_comes_late_is_counted_when_it_is_sealed() -> None:
    anna, ben = uuid.uuid4(), uuid.uuid4()
    chains.append(anna, START + 10 * MINUTE)
    seals.seal(START + HOUR)
    count_all()
    chains.append(ben, START)  # committed after the seal, and older than what the seal speaks for
    count_all()
    assert sum(counted().values()) == 1
    seals.seal(START + HOUR + MINUTE)
    count_all()
    assert counted() == naive()
    assert sum(counted().values()) == 2


def test_what_was_thrown_away_is_counted_again() -> None:
    for number in range(5):
        chains.append(uuid.uuid4(), START + number * DAY)
    seals.seal(START + 9 * DAY)
    count_all()
    before = counted()
    counts.rebuild()
    assert counted() == {}
    assert counts.progress() == (None, 0, 1)
    count_all()
    assert counted() == before == naive()
    assert counts.progress() == (START + 9 * DAY, 1, 1)


@pytest.mark.parametrize(
    "body",
    [
        "no json", "[]", "{}", '{"method":"page"}', '{"method":"page","effects":7}', "[" * 5000,
        '{"method":"page","effects":[{"path":7,"before":null,"after":null,"action":"set"}]}',
    ],
)  # fmt: skip
def test_a_record_that_is_none_stops_nobody(body: str) -> None:
    broken, fine = uuid.uuid4(), uuid.uuid4()
    chains.append(broken, START)
    chains.append(fine, START + MINUTE)
    with guard.taken_down("default"):
        Record.objects.filter(contact_ref=broken).update(body=body)
    seals.seal(START + HOUR)
    count_all()
    assert sum(counted().values()) == 1


def test_words_that_no_column_takes_are_cut() -> None:
    wild = "m\0\ud800" + "x" * 100
    with guard.taken_down("default"):
        entry = chains.append(uuid.uuid4(), START)
        body = json.loads(entry.body)
        body["method"] = wild
        for it in body["effects"]:
            it["purpose_id"], it["channel"], it["action"] = wild, wild, 7
        Record.objects.filter(pk=entry.pk).update(body=json.dumps(body))
    seals.seal(START + HOUR)
    count_all()
    ((_, _, topic, channel, _, action, method),) = counted()
    assert (topic, channel, method) == ("m?" + "x" * 62, "m?" + "x" * 14, "m?" + "x" * 30)
    assert action == ""


def test_a_seal_that_is_none_stops_nobody() -> None:
    chains.append(uuid.uuid4(), START)
    seals.seal(START + HOUR)
    with guard.taken_down("default"):
        Seal.objects.update(body="torn")
    chains.append(uuid.uuid4(), START + 2 * HOUR)
    seals.seal(START + 3 * HOUR)  # what the torn one held is sealed again
    count_all()
    assert counted() == naive()


def test_a_worker_counts() -> None:
    person("anna", SetChoice("news", "email", "subscribed"))
    seals.seal(datetime.now(UTC))
    Worker(["database"], report=lambda *_: None, chores=[counts.count_new]).once()
    assert counted() == naive() != {}


def test_it_stops_between_two_seals() -> None:
    for number in range(3):
        chains.append(uuid.uuid4(), START + number * HOUR)
        seals.seal(START + number * HOUR + MINUTE)
    asked = count()
    assert counts.count_new(lambda: next(asked) >= 3) == 2
    count_all()
    assert counted() == naive()


class Stopped(BaseException):
    """What a process hears that is killed."""


@contextmanager
def stopped_after(statements: int) -> Iterator[None]:
    """Killed when so many statements have run."""
    ran = count(1)

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if next(ran) == statements:
            raise Stopped
        return answer

    with connection.execute_wrapper(wrapper):
        yield


STEP = st.one_of(
    st.tuples(st.just("save"), st.integers(0, 3), st.integers(0, 60 * 48)),
    st.tuples(st.just("seal"), st.integers(1, 60 * 48), st.booleans()),
    st.tuples(st.just("count"), st.integers(1, 3), st.none()),
    st.tuples(st.just("stop"), st.integers(1, 24), st.none()),
    st.tuples(st.just("rebuild"), st.none(), st.none()),
)
VALUES = ("subscribed", "unsubscribed", None)
ACTIONS = ("given", "withdrawn", "refused", "expired", "restored", "merged", "erased")
TOPICS, CHANNELS = ("news", "offers", ""), ("email", "sms")


def some_record(number: int, minutes: int) -> None:
    """Whatever a record can say, by numbers: of one of four contacts in two audiences."""
    contact = uuid.UUID(int=number + 1, version=4)
    pick = number * 7 + minutes
    topic, channel = TOPICS[pick % 3], CHANNELS[pick % 2]
    given_ = [
        (
            SetChoice(topic or "news", channel, "unsubscribed"),
            Effect(
                f"choice:{topic}:{channel}",
                VALUES[pick % 3],
                VALUES[pick // 3 % 3],
                ACTIONS[pick % 7],
                topic,
                channel,
            ),
        ),
        (OptOut(), Effect("opted_out", bool(pick % 2), bool(pick // 2 % 2), "withdrawn")),
        (OptIn(), Effect("pause:all", None if pick % 2 else "x", None if pick % 3 else "y", "set")),
    ][: pick % 4]
    chains.append(
        contact,
        START + minutes * MINUTE,
        changes=given_,
        source=Source(method=("page", "one_click")[pick % 2]),
        audience=("brand", "other")[number % 2],
    )


@pytest.mark.property
@examples(60)
@given(steps=st.lists(STEP, max_size=25))
def test_whatever_comes_and_whoever_is_stopped_each_record_is_counted_once(
    steps: list[tuple[str, Any, Any]],
) -> None:
    for model in (Record, Seal, DayCount, CountMark):
        model.objects.all().delete()
    now = START + MINUTE
    for kind, first, second in steps:
        match kind:
            case "save":
                some_record(first, second)
            case "seal":
                now += first * MINUTE
                small = {**django_settings.WAGTAIL_PREFS, "SEAL_RECORDS": 2}
                with override_settings(WAGTAIL_PREFS=small if second else django_settings.WAGTAIL_PREFS):
                    seals.seal(now)
            case "count":
                counts.count_new(most=first)
            case "stop":
                with stopped_after(first), suppress(Stopped):
                    counts.count_new()
            case "rebuild":
                counts.rebuild()
        everything = naive()
        assert all(number <= everything.get(key, 0) for key, number in counted().items())
    seals.seal(START + 60 * DAY, everything=True)
    count_all()
    assert counted() == naive()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_count_each_seal_once() -> None:
    for number in range(30):
        chains.append(uuid.UUID(int=number + 1, version=4), START + number * MINUTE)
        seals.seal(START + number * MINUTE + MINUTE / 2)

    def work(_: int) -> None:
        try:
            count_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert counted() == naive()


def test_imports_and_staff_are_told_apart() -> None:
    anna = person("anna")
    record(
        anna,
        [SetChoice("news", "email", "unsubscribed")],
        actor=Actor(ActorType.IMPORT, "import-1"),
        source=Source(method="import"),
    )
    record(anna, [SetChoice("news", "email", "subscribed")], actor=HERSELF, source=Source(method="page"))
    seals.seal(datetime.now(UTC))
    count_all()
    assert {row.method: row.event for row in DayCount.objects.all()} == {
        "import": "refusal",
        "page": "opt_in",
    }
