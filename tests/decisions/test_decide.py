"""The service: what may be asked, what it costs, and which places it takes."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import translation

import wagtail_prefs
from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import answers, periods, sends, services
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.ledger.models import Record

from . import site_rules
from .conftest import NOW, Readers

HOUR = timedelta(hours=1)


def statements(captured: CaptureQueriesContext) -> list[str]:
    borders = ("BEGIN", "SAVEPOINT", "RELEASE", "COMMIT")
    return [query["sql"] for query in captured if not query["sql"].startswith(borders)]


def test_the_door_stands_open_lazily() -> None:
    assert wagtail_prefs.decide is services.decide
    assert "decide" in dir(wagtail_prefs)
    with pytest.raises(AttributeError, match="dicede"):
        wagtail_prefs.dicede  # type: ignore[attr-defined]  # noqa: B018


def test_one_in_one_out_and_many_in_their_order(readers: Readers) -> None:
    yes, no, nobody = readers.subscribe(), readers.make(), uuid.uuid4()
    assert decide(yes, "news", "email").verdict == "send"
    asked = [no, yes, nobody, yes, no]
    decided = decide(asked, "news", "email")
    assert [decision.contact for decision in decided] == asked
    assert [decision.reason for decision in decided] == [
        "no_consent",
        "subscribed",
        "unknown",
        "subscribed",
        "no_consent",
    ]
    assert decide([], "news", "email") == []
    assert decide((yes,), "news", "email") == [decide(yes, "news", "email")]


def test_a_list_of_any_length_comes_back_whole(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK", 3)
    people = [readers.subscribe() if number % 2 else readers.make() for number in range(10)]
    expected = ["subscribed" if number % 2 else "no_consent" for number in range(10)]
    assert [decision.reason for decision in decide(people, "news", "email")] == expected
    assert [decision.reason for decision in decide(people, "news", "email", record="m")] == expected


def test_two_thousand_at_once(readers: Readers) -> None:
    """More than SQLite takes parameters."""
    people = Contact.objects.bulk_create(Contact(audience=readers.audience) for _ in range(2000))
    decided = decide([person.pk for person in people], "orders", "email", record="m")
    assert {(decision.verdict, decision.reason) for decision in decided} == {("send", "transactional")}
    assert Send.objects.count() == 2000
    assert services.give_back("m", [person.pk for person in people[:1500]]) == 1500


@pytest.mark.parametrize(
    "contacts", ["5f0c6a52-7d0c-4a3e-9a51-8b7f6f0e4c11", [None], ["x"], [uuid.uuid4(), 7], {"a": 1}]
)
def test_contacts_are_named_by_uuids(contacts: Any, db: None) -> None:
    with pytest.raises(TypeError):
        decide(contacts, "news", "email")


@pytest.mark.parametrize(
    "asked",
    [
        {"at": datetime(2026, 11, 25)},  # noqa: DTZ001 - that is what it is about
        {"at": NOW.replace(year=1969)},
        {"at": NOW.replace(year=9995)},
        {"at": NOW, "record": "m"},
        {"record": ""},
        {"record": "m" * 201},
        {"record": "m\0"},
        {"record": "\ud800"},
        {"sender": "s" * 65},
        {"sender": "shop\n"},
        {"sender": "\ud800", "record": "m"},
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], readers: Readers) -> None:
    reader = readers.subscribe()
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        decide(reader, "news", "email", **asked)
    assert not Send.objects.exists()


STRANGE = ("", "x" * 64, "x" * 65, "x" * 10_000, "new\0s", "'; --", "%s", "%(topic)s", "ñews", "{}", "\ud800")


def test_any_text_can_be_asked_about(readers: Readers) -> None:
    reader = readers.subscribe()
    for text in STRANGE:
        assert decide(reader, text, "email").reason == "unknown_topic"
        assert decide(reader, "news", text).reason == "not_offered"
        assert decide(reader, text, text, record="m").reason == "unknown_topic"


def test_the_end_of_the_calendar_can_be_asked_about(readers: Readers, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "QUIET_HOURS": {"email": ["00:00", "23:59"]}}
    reader = readers.subscribe()
    readers.state(reader, frequency="quarterly", paused_until=NOW.replace(year=9999))
    Send.objects.create(message_id="m", contact=reader, topic="news", channel="email", at=NOW)
    last = NOW.replace(year=9989, month=12, day=31)
    assert decide(reader, "news", "email", at=last).until == NOW.replace(year=9999)
    assert decide(reader, "news", "email").until == NOW.replace(year=9999)


def test_a_choice_of_no_topic_is_no_choice_of_the_topic_without_a_name(readers: Readers) -> None:
    reader = readers.make()
    readers.state(reader, choice="subscribed")
    readers.state(reader, channel="email", choice="subscribed")
    assert decide(reader, "", "email").reason == "unknown_topic"
    assert decide(reader, "", "").reason == "unknown_topic"
    assert decide(reader, "news", "").reason == "not_offered"


def test_the_words_of_a_decision_are_in_the_active_language(readers: Readers) -> None:
    decision = decide(readers.make(), "news", "email")
    with translation.override("en"):
        assert str(decision.rule) == "The contact has not consented, and the law asks for it."


def test_asking_changes_nothing(readers: Readers) -> None:
    people = [readers.subscribe(), readers.make()]
    with CaptureQueriesContext(connection) as captured:
        decide(people, "news", "email")
    assert all(sql.startswith("SELECT") for sql in statements(captured))
    assert not Send.objects.exists()


def test_an_answer_costs_one_statement_however_many_are_asked_about(readers: Readers) -> None:
    people = [readers.subscribe() for _ in range(30)]
    readers.state(people[0], paused_until=NOW + HOUR, pause_version=1)
    for asked in (people[:1], people):
        with CaptureQueriesContext(connection) as captured:
            decide(asked, "news", "email")
        assert len(statements(captured)) == 1


def test_a_recorded_answer_costs_three(readers: Readers) -> None:
    people = [readers.subscribe() for _ in range(30)]
    with CaptureQueriesContext(connection) as captured:
        decide(people, "news", "email", record="m")
    *lock, facts, places = statements(captured)
    assert facts.startswith("SELECT asked.place")
    assert places.startswith("INSERT INTO")
    if connection.vendor == "postgresql":
        assert len(lock) == 1 and lock[0].endswith("FOR NO KEY UPDATE")
    else:  # the lock came with BEGIN IMMEDIATE
        assert lock == []
    assert Send.objects.count() == 30
    refused = readers.make()
    with CaptureQueriesContext(connection) as captured:
        decide([refused], "news", "email", record="m")
    assert len(statements(captured)) <= 2  # no place


def test_the_record_behind_is_the_one_that_made_the_choice(readers: Readers) -> None:
    reader, other = readers.subscribe(), readers.subscribe()
    readers.state(reader, channel="email", paused_until=NOW - HOUR, pause_version=2)
    readers.state(reader, paused_until=NOW + HOUR, pause_version=3)
    made = {
        seq: Record.objects.create(contact_ref=reader, audience="", seq=seq, at=NOW, actor="system").pk
        for seq in (1, 2, 3)
    }
    assert decide(reader, "news", "email").record == made[3]
    assert decide(reader, "news", "email", at=NOW + 2 * HOUR).record == made[1]
    assert decide(other, "news", "email").record is None  # her chain has no such record
    assert [found.record for found in decide([other, reader], "news", "email")] == [None, made[3]]


@pytest.mark.parametrize("frequency", ["daily", "weekly"])
def test_at_the_edges_of_a_period_a_list_gets_what_each_gets(frequency: str, readers: Readers) -> None:
    """Who used up the same period is answered once for all."""
    people = []
    tick = timedelta(microseconds=1)
    for zone in ("", "Europe/Berlin", "Asia/Kathmandu"):
        span = periods.period(frequency, NOW, periods.zone(zone, "UTC"))
        assert span
        for last in (span[0] - tick, span[0], NOW, NOW + tick, span[1] - tick, span[1], span[1] + tick):
            reader = readers.subscribe(readers.make(version=1, timezone=zone))
            readers.state(reader, frequency=frequency)
            Send.objects.create(message_id="m", contact=reader, topic="news", channel="email", at=last)
            people.append(reader)
    decided = decide(people, "news", "email")
    assert decided == [decide(reader, "news", "email") for reader in people]
    assert (
        len({decision.until for decision in decided}) == 1 + 2 * 3
    )  # none, this period's end, the next one's


@override_settings(TIME_ZONE="Asia/Tokyo")
def test_moments_are_utc_whatever_the_sites_zone(readers: Readers) -> None:
    reader = readers.subscribe()
    readers.state(reader, paused_until=NOW + HOUR)
    until = decide(reader, "news", "email").until
    assert until == NOW + HOUR
    assert until.utcoffset() == timedelta(0)


def test_moments_are_exact_to_the_microsecond(readers: Readers) -> None:
    reader = readers.subscribe()
    for until in (NOW + timedelta(microseconds=1), NOW.replace(year=9999, microsecond=999_999)):
        readers.state(reader, paused_until=until)
        assert decide(reader, "news", "email").until == until
        assert decide(reader, "news", "email", at=NOW + timedelta(microseconds=1)).verdict == (
            "send" if until.year == NOW.year else "defer"
        )


def test_each_audience_has_its_own_topic_in_one_call(readers: Readers) -> None:
    from wagtail_prefs.topics.models import Audience, Topic

    club = Audience.objects.create(key="club", name="Club")
    Topic.objects.create(audience=club, key="orders", channels=["email"])
    member = Contact.objects.create(audience=club).pk
    reader = readers.make()
    decided = decide([member, reader, member], "orders", "email", record="m")
    assert [decision.reason for decision in decided] == ["no_consent", "transactional", "no_consent"]
    readers.state(member, "orders", "email", choice="subscribed")
    assert [d.reason for d in decide([member, reader], "orders", "email", record="n")] == [
        "subscribed",
        "transactional",
    ]
    assert dict(Send.objects.filter(message_id="n").values_list("contact", "counts")) == {
        member: True,
        reader: False,
    }


# Places


@pytest.fixture
def weekly(readers: Readers) -> UUID:
    reader = readers.subscribe()
    readers.state(reader, frequency="weekly", frequency_version=2)
    return reader


def test_only_a_send_takes_a_place(readers: Readers, weekly: UUID) -> None:
    refused, paused = readers.make(), readers.subscribe()
    readers.state(paused, paused_until=NOW + HOUR)
    decide([weekly, refused, paused], "news", "email", record="m1")
    (row,) = Send.objects.all()
    assert (row.message_id, row.contact, row.topic, row.channel) == ("m1", weekly, "news", "email")
    assert (row.at, row.counts) == (NOW, True)


def test_a_place_says_who_asked_and_why_it_is_one(readers: Readers) -> None:
    yes, never = readers.subscribe(), readers.make()
    made = Record.objects.create(contact_ref=yes, audience="", seq=1, at=NOW, actor="system")
    longest = "Müller & Söhne " + "s" * 49
    decide([yes, never], "news", "email", record="m1", sender=longest)
    decide([yes, never], "orders", "email", record="m2")
    rows = Send.objects.order_by("message_id", "contact").values_list(
        "message_id", "contact", "sender", "verdict", "reason", "record", "waited_since"
    )
    assert sorted(rows) == sorted(
        [
            ("m1", yes, longest, "send", "subscribed", made.pk, None),
            ("m2", yes, "", "send", "transactional", None, None),
            ("m2", never, "", "send", "transactional", None, None),
        ]
    )
    assert [decision.reason for decision in decide([yes], "news", "email", record="m1", sender="x")] == [
        "recorded"
    ]
    assert Send.objects.get(message_id="m1").sender == longest  # the first answer stays as it is


@pytest.mark.parametrize("code", ["\"; DROP {a,b}\\ '%s", "a\0b\ud800", "ü" * 200, "", "NULL"])
def test_a_place_takes_the_code_of_any_rule(code: str, readers: Readers) -> None:
    """What is sent against the answer is noted with its reason, and a site's rule may call itself anything."""
    reader = readers.make()
    place = sends.Place(reader.hex, True, code, reader)
    assert sends.write("m", [place], "news", "email", NOW, verdict="refuse", waited_since=NOW - HOUR) == 1
    row = Send.objects.get()
    readable = code.replace("\0", "").replace("\ud800", "")[:64]
    assert (row.reason, row.record, row.verdict, row.waited_since) == (readable, reader, "refuse", NOW - HOUR)


def test_contacts_of_another_audience_are_nobody(readers: Readers) -> None:
    from wagtail_prefs.topics.models import Audience

    club = Audience.objects.create(key="club", name="Club")
    strangers = [
        Contact.objects.create(audience=club, version=1).pk,
        Contact.objects.create(audience=club, version=1, erased_at=NOW).pk,
        Contact.objects.create(audience=club, version=1, email_dead_at=NOW, suppressed=True).pk,
    ]
    readers.subscribe(strangers[0])
    readers.state(strangers[0], choice="unsubscribed", choice_version=1)
    for stranger in strangers:
        Record.objects.create(contact_ref=stranger, audience="", seq=1, at=NOW, actor="system")
    reader, nobody = readers.subscribe(), uuid.uuid4()
    for asked in ({}, {"record": "m"}):
        decided = decide([*strangers, nobody, reader], "news", "email", audience=readers.audience.pk, **asked)
        assert [decision.reason for decision in decided] == ["unknown"] * 4 + ["subscribed"]
        assert [decision._replace(contact=nobody) for decision in decided[:4]] == [decided[3]] * 4
    assert [send.contact for send in Send.objects.all()] == [reader]
    assert decide(reader, "news", "email", audience=club.pk).reason == "unknown"
    assert decide(strangers[0], "news", "email", audience=club.pk).reason == "unknown_topic"


def test_a_rule_of_the_site_is_not_shown_contacts_of_another_audience(
    readers: Readers, settings: Any
) -> None:
    from wagtail_prefs.topics.models import Audience

    paths = ["tests.decisions.site_rules.witness"]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": paths}
    stranger = readers.subscribe(Contact.objects.create(audience=Audience.objects.create(key="club")).pk)
    reader = readers.subscribe()
    site_rules.SEEN.clear()
    decide([stranger, reader], "news", "email", audience=readers.audience.pk)
    assert [seen.contact for seen in site_rules.SEEN] == [reader]


def test_a_repeat_has_its_place_and_the_next_message_has_none(weekly: UUID) -> None:
    assert decide(weekly, "news", "email", record="m1").reason == "subscribed"
    assert decide(weekly, "news", "email", record="m1").reason == "recorded"
    assert decide(weekly, "news", "email", record="m2").verdict == "digest"
    assert decide(weekly, "news", "email").verdict == "digest"
    assert Send.objects.count() == 1


def test_a_repeat_gets_its_first_answer_whatever_was_sent_since(weekly: UUID) -> None:
    assert decide(weekly, "news", "email", record="m1").verdict == "send"
    services.sent("by hand", weekly, "offers", "email")
    for _ in range(3):
        assert decide(weekly, "news", "email", record="m1").reason == "recorded"
    with time_machine.travel(NOW + timedelta(days=7), tick=False):
        assert decide(weekly, "news", "email", record="m2").reason == "subscribed"
        assert decide(weekly, "news", "email", record="m1").reason == "recorded"
        assert decide(weekly, "news", "email", record="m3").reason == "frequency"


def test_a_place_that_was_given_back_is_anybodys(weekly: UUID) -> None:
    """The message that had it is asked about anew, as if it had never been."""
    assert decide(weekly, "news", "email", record="m1").verdict == "send"
    assert decide(weekly, "news", "email", record="m2").verdict == "digest"
    assert services.give_back("m1", weekly) == 1
    assert decide(weekly, "news", "email", record="m2").reason == "subscribed"
    assert decide(weekly, "news", "email", record="m1").verdict == "digest"
    assert services.give_back("m2") == 1
    assert decide(weekly, "news", "email", record="m1").reason == "subscribed"
    assert decide(weekly, "news", "email", record="m1").reason == "recorded"


def test_one_contact_twice_in_a_list_takes_one_place(weekly: UUID) -> None:
    decided = decide([weekly, weekly], "news", "email", record="m1")
    assert [decision.verdict for decision in decided] == ["send", "send"]
    assert Send.objects.count() == 1


def test_mail_that_is_queued_already_is_stopped_by_an_opt_out(readers: Readers, db: None) -> None:
    """security.md EM-09: queue 100, unsubscribe, drain: none is sent."""
    people = [readers.subscribe() for _ in range(100)]
    assert {decision.verdict for decision in decide(people, "news", "email", record="m")} == {"send"}
    for number, reader in enumerate(people):
        if number % 2:
            readers.state(reader, choice="unsubscribed", choice_version=2)
        else:
            readers.state(reader, "news", "email", choice="unsubscribed", choice_version=2)
    assert {decision.verdict for decision in decide(people, "news", "email", record="m")} == {"refuse"}


def test_what_is_always_sent_takes_no_place(weekly: UUID) -> None:
    assert decide(weekly, "orders", "email", record="order 1").verdict == "send"
    assert not Send.objects.get().counts
    assert decide(weekly, "news", "email", record="m1").verdict == "send"


def test_a_place_can_be_given_back(weekly: UUID, readers: Readers) -> None:
    other = readers.subscribe()
    decide([weekly, other], "news", "email", record="m1")
    assert services.give_back("m1", weekly) == 1
    assert services.give_back("m1", weekly) == 0
    assert decide(weekly, "news", "email", record="m2").verdict == "send"
    assert services.give_back("m1") == 1
    assert services.give_back("m1", []) == 0
    assert services.give_back("nothing of that name") == 0
    for no_id in ("", "\0"):
        with pytest.raises(ValueError, match="printable"):
            services.give_back(no_id)
    assert list(Send.objects.values_list("message_id", "contact")) == [("m2", weekly)]


def test_what_was_sent_elsewhere_counts(weekly: UUID) -> None:
    assert services.sent("by hand", weekly, "offers", "sms", NOW - HOUR)
    assert not services.sent("by hand", weekly, "offers", "sms", NOW)  # noted already
    assert decide(weekly, "news", "email").verdict == "digest"
    assert services.sent("order 1", weekly, "orders", "email")
    assert dict(Send.objects.values_list("message_id", "counts")) == {"by hand": True, "order 1": False}


def test_what_was_sent_last_week_does_not_count(weekly: UUID) -> None:
    services.sent("by hand", weekly, "news", "email", NOW - timedelta(days=7))
    assert decide(weekly, "news", "email").verdict == "send"


def test_nothing_was_sent_tomorrow(weekly: UUID) -> None:
    services.sent("clock ahead", weekly, "news", "email", NOW + timedelta(days=30))
    assert Send.objects.get().at == NOW


def test_what_is_noted_must_make_sense(weekly: UUID) -> None:
    erased = Contact.objects.create(audience=Contact.objects.get(pk=weekly).audience, erased_at=NOW).pk
    for nobody in (uuid.uuid4(), erased):
        with pytest.raises(UnknownContact):
            services.sent("m", nobody, "news", "email")
    for wrong in (
        ("", weekly, "news", "email"),
        ("m", weekly, "weather", "email"),
        ("m", weekly, "\0", "email"),
        ("m", weekly, "news", "fax"),
        ("m", weekly, "news", "email", datetime(2026, 1, 1)),  # noqa: DTZ001
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            services.sent(*wrong)
    assert not Send.objects.exists()


def test_what_the_merged_contact_got_counts_for_the_one_she_became(readers: Readers, weekly: UUID) -> None:
    loser = readers.subscribe()
    services.sent("both", loser, "news", "email", NOW - 2 * HOUR)
    services.sent("both", weekly, "news", "email", NOW - 2 * HOUR)
    services.sent("hers", loser, "news", "email", NOW - HOUR)
    assert services.hand_over(loser, weekly) == 1
    assert Send.objects.filter(contact=weekly).count() == 2
    Contact.objects.filter(pk=loser).update(merged_into=weekly)
    services.sent("late", loser, "news", "email")
    assert Send.objects.filter(contact=weekly).count() == 3
    assert services.forget(weekly) == 3
    assert services.forget(weekly) == 0
