"""Rows of waiting mails: what is put away, what goes away, two workers at once - and a model that says what must arrive."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, strategies as st

from tests import factories
from tests.mail import smtp
from tests.properties import examples
from tests.sending.waiting import DAY, HOUR, START, give, paused, person, record, row, weekly
from wagtail_prefs.changes import Resume, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.services import Decision, Verdict
from wagtail_prefs.sending import packing, queue, retention
from wagtail_prefs.sending.drain import drain
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.values import Letter
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import UNSUBSCRIBED, Actor, ActorType, Source


def letter(contact: Contact, message_id: str = "m1", **fields: Any) -> Letter:
    message = EmailMessage("Hello", "A secret", "news@brand.example", [contact.email])
    return Letter(message, contact, "news", message_id, **fields)


def later(contact: Contact, until: datetime | None = None, verdict: Verdict = Verdict.DEFER) -> Decision:
    return Decision(contact.pk, verdict, "pause:all", "words", until)


@pytest.mark.django_db
def test_what_is_put_away_tells_nothing_of_it(django_assert_max_num_queries: Any) -> None:
    anna = factories.make_contact()
    until = timezone.now() + DAY
    with django_assert_max_num_queries(7):  # three, and four of savepoints
        put = queue.put(letter(anna, sender="shop", mailto="mailto:a@brand.example"), later(anna, until))
    stored = Waiting.objects.values().get()
    assert (stored["due_at"], stored["kind"], stored["reason"], stored["sender"]) == (
        until,
        "defer",
        "pause:all",
        "shop",
    )
    assert stored["expires_at"] - stored["created_at"] == 30 * DAY
    assert "anna" not in str(stored)
    assert "secret" not in str(stored).lower()
    unpacked = packing.unpack(stored["packed"], row=put.pk)
    assert (unpacked.message.body, unpacked.mailto) == ("A secret", "mailto:a@brand.example")


@pytest.mark.django_db
@pytest.mark.parametrize("verdict", [Verdict.SEND, Verdict.REFUSE])
def test_only_what_is_to_be_sent_later_waits(verdict: Verdict) -> None:
    anna = factories.make_contact()
    with pytest.raises(ValueError, match="sent later"):
        queue.put(letter(anna), later(anna, timezone.now(), verdict))
    with pytest.raises(ValueError, match="sent later"):
        queue.put(letter(anna), later(anna))
    assert not Waiting.objects.exists()


@pytest.mark.django_db
def test_it_is_looked_at_when_it_is_pointless_at_the_latest() -> None:
    anna = factories.make_contact()
    for_good = datetime.max.replace(tzinfo=timezone.now().tzinfo) - 3 * 365 * DAY
    put = queue.put(letter(anna), later(anna, for_good))
    assert put.due_at == put.expires_at
    codes = Decision(anna.pk, Verdict.DEFER, "a\0b\ud800" + "c" * 100, "words", timezone.now() + DAY)
    assert queue.put(letter(anna, "m2"), codes).reason == "ab" + "c" * 62


@pytest.mark.django_db
def test_old_rows_go_away_and_bodies_before_them() -> None:
    anna = factories.make_contact()
    now = timezone.now()
    for name in ("waits", "old", "young", "over", "again", "nobodys"):
        queue.put(letter(anna, name), later(anna, now + DAY))
    rows = {one.message_id: Waiting.objects.filter(pk=one.pk) for one in Waiting.objects.all()}
    rows["old"].update(outcome="sent", settled_at=now - 31 * DAY)
    rows["young"].update(outcome="sent", settled_at=now - 29 * DAY)
    rows["over"].update(outcome="failed", settled_at=now, expires_at=now)
    rows["again"].update(outcome="uncertain", settled_at=now)
    rows["nobodys"].update(contact=factories.uuid.uuid4(), due_at=now)
    retention._rounds.clear()
    assert retention.forget_settled() == 3
    assert set(Waiting.objects.values_list("message_id", flat=True)) == {"waits", "young", "over", "again"}
    assert row("over").packed == ""
    assert row("again").packed
    assert row("waits").packed
    assert retention.forget_settled() == 0


@pytest.mark.django_db
def test_a_look_at_what_is_old_costs_one_statement(django_assert_num_queries: Any) -> None:
    retention.forget_settled()
    with django_assert_num_queries(1):
        retention.forget_settled()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_four_workers_at_once_send_each_mail_once_and_the_oldest_first(sink: smtp.Sink, tell: Any) -> None:
    factories.make_topics()
    readers = [person(f"reader{number}", paused(timezone.now() + DAY)) for number in range(12)]
    for number in range(4):
        for reader in readers:
            give(reader, message_id=f"m{number}")
    capped = [person(f"capped{number}", weekly(), paused(timezone.now() + DAY)) for number in range(6)]
    for number in range(3):
        for reader in capped:
            give(reader, message_id=f"m{number}")
    for reader in (*readers, *capped):
        record(reader, Resume("", ""))
    start, tallies, errors = threading.Barrier(4), [], []

    def work() -> None:
        try:
            start.wait(30)
            tallies.extend(drain() for _ in range(5))
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found: dict[str, list[str]] = {}
    for got in sink.got:
        found.setdefault(got.recipients[0], []).append(str(got.message["Subject"]))
    assert found == {reader.email: ["m0", "m1", "m2", "m3"] for reader in readers} | {
        reader.email: ["m0"] for reader in capped
    }
    assert sum(tally.sent for tally in tallies) == len(sink.got) == 54
    assert Waiting.objects.filter(outcome="", lease="").count() == 12
    assert not Waiting.objects.filter(outcome="uncertain").exists()
    tell(f"sending: 4 workers at once, {len(sink.got)} mails, each once")


# --- a model ----------------------------------------------------------------------------------------------------------


@dataclass
class Put:
    """A mail that waits."""

    name: str
    topic: str
    expires: datetime


@dataclass
class Model:
    """What a reader allows, and what she must find. It knows no rows, no due dates and no leases."""

    frequency: str = ""
    paused_until: datetime = START - DAY
    left: set[str] = field(default_factory=set)
    sent: list[datetime] = field(default_factory=list)
    waits: list[Put] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)

    def may(self, now: datetime) -> bool:
        if now < self.paused_until:
            return False
        match self.frequency:
            case "daily":
                return all(at.date() != now.date() for at in self.sent)
            case "weekly":
                return all(at.isocalendar()[:2] != now.isocalendar()[:2] for at in self.sent)
        return True

    def until(self, now: datetime) -> datetime:
        """The first full hour at which she may get it, as things are."""
        hour = now.replace(minute=0, second=0, microsecond=0) + HOUR
        while not self.may(hour):
            hour += HOUR
        return hour

    def put(self, now: datetime, name: str, topic: str, expires: datetime) -> None:
        if topic in self.left:
            return
        if self.may(now):
            self.deliver(now, name)
        elif self.until(now) < expires:
            self.waits.append(Put(name, topic, expires))

    def drain(self, now: datetime) -> None:
        for waits in list(self.waits):
            if waits.expires <= now or waits.topic in self.left:
                self.waits.remove(waits)
            elif self.may(now):
                self.waits.remove(waits)
                self.deliver(now, waits.name)

    def deliver(self, now: datetime, name: str) -> None:
        self.sent.append(now)
        self.found.append(name)


topics = st.sampled_from(["news", "offers"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), topics, st.sampled_from([None, 5, 30, 100, 400])),
        st.tuples(st.just("put"), topics, st.none()),
        st.tuples(st.just("pass"), st.integers(1, 90)),
        st.tuples(st.just("pause"), st.integers(1, 200)),
        st.tuples(st.just("resume")),
        st.tuples(st.just("leave"), topics),
        st.tuples(st.just("frequency"), st.sampled_from(["as_it_happens", "daily", "weekly"])),
        st.tuples(st.just("withdraw")),
        st.tuples(st.just("drain")),
    ),
    min_size=3,
    max_size=25,
)


@pytest.mark.property
@pytest.mark.django_db
@examples(60)
@given(steps)
def test_a_model_says_exactly_what_arrives(steps: list[Any]) -> None:
    actor = Actor(ActorType.SUBJECT_SESSION)
    with time_machine.travel(START, tick=False) as clock, override_settings(TIME_ZONE="UTC"):
        factories.make_topics()
        old = Contact.objects.filter(email="anna@mail.example.org", erased_at=None).first()
        if old is not None:
            submissions.erase(old.pk, actor=actor, source=Source(method="python"), remember=False)
        anna, model = person("anna"), Model()
        mail.outbox = []
        for number, (what, *given_values) in enumerate([*steps, ("pass", 24 * 32), ("drain",)]):
            clock.shift(timedelta(seconds=1))
            now = timezone.now()
            match what, *given_values:
                case "put", topic, hours:
                    expires = now + (hours * HOUR if hours else 30 * DAY)
                    give(anna, topic, f"m{number}", expires=expires if hours else None)
                    model.put(now, f"m{number}", topic, expires)
                case "pass", hours:
                    clock.shift(hours * HOUR)
                case "pause", hours:
                    until = now.replace(minute=0, second=0, microsecond=0) + (hours + 1) * HOUR
                    record(anna, paused(until))
                    model.paused_until = until
                case ("resume",):
                    record(anna, Resume("", ""))
                    model.paused_until = START - DAY
                case "leave", topic:
                    record(anna, SetChoice(topic, "email", UNSUBSCRIBED))
                    model.left.add(topic)
                case "frequency", frequency:
                    record(anna, weekly(frequency=frequency))
                    model.frequency = frequency
                case ("withdraw",):
                    if model.waits and model.waits[-1].topic not in model.left:
                        queue.withdraw(model.waits.pop().name)
                case ("drain",):
                    drain()
                    model.drain(now)
            assert [message.subject for message in mail.outbox] == model.found
