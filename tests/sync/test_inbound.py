"""Events of platforms, from the row to the record: whom they are about, and what comes of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.delivery.crm import CRMS
from tests.delivery.people import HERSELF, JOIN, JOIN_OFFERS, LEAVE, OUT, person, save
from tests.factories import make_audience, make_site, make_topics
from tests.statements import said
from tests.sync import platform
from tests.sync.platform import PLATFORMS, Told
from wagtail_prefs import ciphers
from wagtail_prefs.backends.base import PlatformError, Unsupported
from wagtail_prefs.changes import (
    Change,
    ChangeAddress,
    Erase,
    GiveReason,
    OptIn,
    OptOut,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.rights.erasure import account_of
from wagtail_prefs.submissions.services import erase, merge_contacts, record
from wagtail_prefs.sync import arrivals, inbound
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.topics.models import Audience, Topic, TopicMerge
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Evidence,
    Identifiers,
    Inbound,
    InboundEvent,
    Outcome,
    ReadBack,
    RemoteState,
    Source,
)

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEWS, OFFERS = ("news", "email"), ("offers", "email")
Tell = Callable[..., Arrival]


@pytest.fixture(autouse=True)
def _topics() -> None:
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def esp(settings: Any) -> Iterator[Callable[..., Told]]:
    """Configure the platform that tells us of things; returns what stands behind it."""

    def configure(authoritative: bool = False, others: Any = (), **capabilities: Any) -> Told:
        entry: dict[str, Any] = {"BACKEND": platform.PATH, "OPTIONS": {"CAPABILITIES": capabilities}}
        if authoritative:
            entry["AUTHORITATIVE"] = True
        more = {alias: {"BACKEND": platform.PATH} for alias in others}
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"esp": entry, **more}}
        return PLATFORMS.setdefault("esp", Told())

    PLATFORMS.clear()
    CRMS.clear()
    configure()
    yield configure
    PLATFORMS.clear()
    CRMS.clear()


@pytest.fixture
def tell(esp: Any) -> Tell:
    """An event comes in and is looked at; returns its row."""

    def tell(*changes: Change, work: bool = True, alias: str = "esp", **values: Any) -> Arrival:
        who = values.pop("who", None) or {"email": values.pop("email", "anna@mail.example.org")}
        event = InboundEvent(uuid4().hex, Identifiers(**who), changes, **values)
        assert arrivals.keep(alias, [event]) == 1
        arrival = Arrival.objects.latest("pk")
        if work:
            work_off_arrivals()
            arrival.refresh_from_db()
        return arrival

    return tell


def choice(contact: UUID, key: tuple[str, str] = NEWS) -> str | None:
    return contacts.load_state(contact).choices.get(key)


# --- what comes of an event ------------------------------------------------------------------------------------------


def test_a_no_is_recorded_by_the_platform_and_told_to_the_others(esp: Any, tell: Tell) -> None:
    esp(others=["crm"])
    contact = person("anna", JOIN)
    run_once()
    arrival = tell(LEAVE, GiveReason("too_much"))
    assert choice(contact) == UNSUBSCRIBED
    assert (arrival.state, arrival.code, arrival.contact, arrival.payload) == ("done", "", contact, "")
    entry = Record.objects.get(pk=arrival.record)
    body = read_body(entry)
    assert (body["actor"], body["method"]) == ({"type": "backend", "id": "esp"}, "inbound")
    assert contacts.load_state(contact).attributes["reason"] == {"code": "too_much"}
    assert {one.backend: (one.wanted, one.restricts) for one in Delivery.objects.all()} == {
        "crm": (2, True),
        "esp": (2, True),
    }
    run_once()
    assert CRMS["crm"].contacts[str(contact)]["choices"] == {"news": {"email": "unsubscribed"}}


def test_a_repeat_does_nothing(tell: Tell) -> None:
    contact = person("anna", JOIN)
    event = InboundEvent("one", Identifiers(email="anna@mail.example.org"), (LEAVE,))
    assert arrivals.keep("esp", [event]) == 1
    assert work_off_arrivals() == 1
    assert arrivals.keep("esp", [event]) == 0
    assert work_off_arrivals() == 0
    save(contact, JOIN)
    assert choice(contact) == SUBSCRIBED


def test_nothing_that_is_so_is_recorded_again(tell: Tell) -> None:
    contact = person("anna", JOIN, OUT)
    before = Record.objects.count()
    for change in (LEAVE, OptOut(), SetChoice("", "email", UNSUBSCRIBED)):
        arrival = tell(change)
        assert (arrival.state, arrival.code, arrival.contact, arrival.record) == (
            "nothing",
            "already",
            contact,
            None,
        )
    assert Record.objects.count() == before


@pytest.mark.parametrize(
    "change",
    [
        SetChoice(*OFFERS, SUBSCRIBED),
        OptIn(),
        SetFrequency("", "", "daily"),
        SetAttribute("name", "Ada"),
        ChangeAddress("other@mail.example.org"),
        SetChoice(*OFFERS, "pending"),
    ],
)
def test_no_event_alone_gives_her_more(esp: Any, tell: Tell, change: Change) -> None:
    contact = person("anna", JOIN, OUT, SetFrequency("", "", "monthly"))
    before = contacts.load_state(contact)
    for authoritative in (False, True):
        esp(authoritative=authoritative)
        arrival = tell(change)
        assert (arrival.state, arrival.code) == ("nothing", "not-stricter")
    esp()
    tell(change, evidence=Evidence("form-1", timezone.now()))
    assert contacts.load_state(contact) == before


@pytest.mark.parametrize("name", ["unknown", "orders"])
def test_what_is_no_topic_or_always_comes_cannot_be_left(tell: Tell, name: str) -> None:
    contact = person("anna", JOIN)
    arrival = tell(SetChoice(name, "email", UNSUBSCRIBED))
    assert (arrival.state, arrival.code) == ("nothing", "unknown-topic")
    assert tell(SetChoice("news", "pigeon", UNSUBSCRIBED)).code == "unknown-topic"
    assert choice(contact, (name, "email")) is None


def test_leaving_what_was_merged_leaves_what_it_goes_on_as(tell: Tell) -> None:
    contact = person("anna", JOIN, JOIN_OFFERS)
    topics = {topic.key: topic for topic in Topic.objects.all()}
    Topic.objects.filter(key="news").update(archived=True)
    TopicMerge.objects.create(loser=topics["news"], winner=topics["offers"])
    tell(LEAVE)
    assert (choice(contact), choice(contact, OFFERS)) == (UNSUBSCRIBED, UNSUBSCRIBED)


def test_mail_that_cannot_arrive_marks_the_address_in_every_audience(tell: Tell) -> None:
    other = make_audience(make_site("other.example", port=443))
    here, there = person("anna"), contacts.get_or_create(other.pk, "Anna@mail.example.org").pk
    arrival = tell(dead=True, at=timezone.now() - timedelta(hours=1))
    assert (arrival.state, arrival.code) == ("done", "dead")
    for contact in (here, there):
        found = Contact.objects.get(pk=contact).email_dead_at
        assert found is not None
        assert found < timezone.now() - timedelta(minutes=59)


def test_an_address_is_not_found_dead_in_the_future(tell: Tell) -> None:
    contact = person("anna")
    tell(dead=True, at=timezone.now() + timedelta(days=300))
    found = Contact.objects.get(pk=contact).email_dead_at
    assert found is not None
    assert found <= timezone.now()


# --- whom ------------------------------------------------------------------------------------------------------------


def test_an_address_is_found_in_whatever_spelling_and_every_audience(tell: Tell) -> None:
    other = make_audience(make_site("other.example", port=443))
    make_topics(other)
    here, there = person("anna", JOIN), contacts.get_or_create(other.pk, "anna@mail.example.org").pk
    save(there, JOIN)
    stranger = person("ben", JOIN)
    assert tell(LEAVE, email=" ANNA@mail.example.ORG").state == "done"
    assert (choice(here), choice(there), choice(stranger)) == (UNSUBSCRIBED, UNSUBSCRIBED, SUBSCRIBED)


def test_the_id_of_the_platform_means_exactly_her(tell: Tell) -> None:
    other = make_audience(make_site("other.example", port=443))
    make_topics(other)
    here, there = person("anna", JOIN), contacts.get_or_create(other.pk, "anna@mail.example.org").pk
    save(there, JOIN)
    Delivery.objects.filter(contact=here).update(remote_id="77")
    tell(LEAVE, who={"email": "anna@mail.example.org", "remote": {"esp": "77", "crm": "78"}})
    assert (choice(here), choice(there)) == (UNSUBSCRIBED, SUBSCRIBED)
    # of another platform, the same id is nobody's
    Delivery.objects.filter(contact=there).update(backend="elsewhere", remote_id="79")
    assert tell(LEAVE, who={"remote": {"esp": "79"}}).state == "unknown"


def test_some_platforms_know_her_by_our_own_id(tell: Tell) -> None:
    contact, stranger = person("anna", JOIN), person("ben")
    assert tell(LEAVE, who={"remote": {"esp": str(contact)}}).state == "done"
    # but only those that were told of her
    Delivery.objects.filter(contact=stranger).delete()
    assert tell(LEAVE, who={"remote": {"esp": str(stranger)}}).state == "unknown"


def test_our_external_id_means_her_whatever_the_address(tell: Tell) -> None:
    contact = person("anna", JOIN)
    Contact.objects.filter(pk=contact).update(external_id="customer-7")
    assert tell(LEAVE, who={"external_id": "customer-7"}).state == "done"
    assert choice(contact) == UNSUBSCRIBED


@pytest.mark.parametrize(
    "who",
    [
        {"email": "nobody@mail.example.org"},
        {"email": "no address"},
        {"email": "\x00@x"},
        {"phone": "+491"},
        {"external_id": "none"},
        {"remote": {"esp": "none"}},
    ],
)
def test_whoever_is_not_known_is_nobody(tell: Tell, who: dict[str, Any]) -> None:
    person("anna", JOIN)
    arrival = tell(LEAVE, who=who)
    assert (arrival.state, arrival.contact, arrival.payload) == ("unknown", None, "")


def test_what_is_about_somebody_erased_does_nothing(tell: Tell) -> None:
    contact = person("anna", JOIN)
    Delivery.objects.update(remote_id="77")
    erase(contact, actor=HERSELF, source=Source(method="python"))
    before = Record.objects.count()
    arrival = tell(OptOut(), who={"remote": {"esp": "77"}})
    assert (arrival.state, arrival.code) == ("nothing", "erased")
    assert tell(OptOut(), email="anna@mail.example.org").state == "unknown"
    assert Record.objects.count() == before


def test_the_old_address_of_somebody_who_was_merged_does_nothing(tell: Tell) -> None:
    """We tell the platform to stop at the old address; what it tells us then must not make her leave."""
    loser, winner = person("anna", JOIN), person("ben", JOIN_OFFERS)
    merge_contacts(loser, winner, actor=HERSELF, source=Source(method="python"))
    Delivery.objects.filter(contact=loser).update(remote_id="77")
    for who in ({"email": "anna@mail.example.org"}, {"remote": {"esp": "77"}}):
        for change in (OptOut(), LEAVE):
            arrival = tell(change, who=who)
            assert (arrival.state, arrival.code) == ("nothing", "merged")
    assert (choice(winner), choice(winner, OFFERS)) == (SUBSCRIBED, SUBSCRIBED)


def moved(contact: UUID) -> None:
    record(
        contact,
        [ChangeAddress("new@mail.example.org")],
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="python"),
    )


def test_the_address_she_had_before_does_nothing_where_it_may_be_our_own_words(esp: Any, tell: Tell) -> None:
    contact = person("anna", JOIN)
    run_once()
    Delivery.objects.update(remote_id="77")
    moved(contact)
    old = {"email": "anna@mail.example.org", "remote": {"esp": "77"}}
    esp(echoes=True)
    assert tell(OptOut(), who=old).code == "former-address"
    assert choice(contact) == SUBSCRIBED
    assert tell(dead=True, who=old).code == "former-address"
    esp(echoes=False)
    assert tell(dead=True, who=old).code == "former-address"
    assert Contact.objects.get(pk=contact).email_dead_at is None
    # a platform that never tells of our own writes has not heard of the new one: what she did there counts
    assert tell(LEAVE, who=old).state == "done"
    assert choice(contact) == UNSUBSCRIBED


def test_an_id_that_is_being_given_up_does_nothing_where_it_may_be_our_own_words(
    esp: Any, tell: Tell
) -> None:
    contact = person("anna", JOIN)
    run_once()
    left = timezone.now() - timedelta(minutes=5)
    entries = [
        {"why": "moved", "email": "a@x.example", "external_id": "", "remote": "77", "at": left.isoformat()}
    ]
    place = f"delivery:esp:{contact.hex}"
    Delivery.objects.update(
        remote_id="77", retired=ciphers.encrypt(json.dumps(entries), place=place), retired_at=left
    )
    who = {"remote": {"esp": "77"}}
    esp(echoes=True)
    assert tell(LEAVE, who=who).code == "former-address"
    # what happened before she left it is about her
    Delivery.objects.update(delivered_at=left - timedelta(days=1))
    assert tell(LEAVE, who=who, at=left - timedelta(minutes=1)).code != "former-address"
    esp(echoes=False)
    save(contact, JOIN)
    assert tell(LEAVE, who=who).state == "done"
    # what cannot be read says nothing
    esp(echoes=True)
    save(contact, JOIN)
    Delivery.objects.update(retired="t1.rubbish", delivered=0, log=[], delivered_at=None, lease=None)
    assert tell(LEAVE, who=who).state == "done"


# --- when ------------------------------------------------------------------------------------------------------------


def test_her_own_newer_yes_stands(clock: time_machine.Traveller, tell: Tell) -> None:
    contact = person("anna", JOIN, LEAVE)
    left = timezone.now()
    clock.shift(3600)
    save(contact, JOIN)
    clock.shift(60)
    assert tell(LEAVE, at=left).code == "older"
    assert tell(OptOut(), at=left).code == "older"
    assert choice(contact) == SUBSCRIBED
    assert tell(LEAVE, at=timezone.now()).state == "done"


def test_a_yes_that_came_by_evidence_is_as_old_as_her_act(clock: time_machine.Traveller, tell: Tell) -> None:
    contact = person("anna")
    act = timezone.now() - timedelta(days=7)
    source = Source(method="import", evidence=Evidence("form-7", act))
    record(contact, [JOIN], actor=Actor(ActorType.IMPORT, "run-1"), source=source)
    assert tell(LEAVE, at=act - timedelta(hours=1)).code == "older"
    assert tell(LEAVE, at=act + timedelta(hours=1)).state == "done"
    assert choice(contact) == UNSUBSCRIBED


def test_a_yes_that_came_over_by_a_merge_protects_nothing(clock: time_machine.Traveller, tell: Tell) -> None:
    loser, winner = person("ben", JOIN), person("anna")
    merge_contacts(loser, winner, actor=HERSELF, source=Source(method="python"))
    assert choice(winner) == SUBSCRIBED
    assert tell(LEAVE, at=timezone.now() - timedelta(days=1)).state == "done"


def test_what_came_in_before_her_yes_is_older_however_late_it_is_looked_at(
    clock: time_machine.Traveller, tell: Tell
) -> None:
    contact = person("anna", JOIN)
    arrival = tell(LEAVE, work=False)
    clock.shift(60)
    save(contact, LEAVE)
    save(contact, JOIN)
    work_off_arrivals()
    arrival.refresh_from_db()
    assert (arrival.state, arrival.code) == ("nothing", "older")
    assert choice(contact) == SUBSCRIBED


def test_a_clock_that_is_ahead_gains_nothing(clock: time_machine.Traveller, tell: Tell) -> None:
    contact = person("anna", JOIN)
    arrival = tell(LEAVE, at=timezone.now() + timedelta(days=2), work=False)
    clock.shift(60)
    save(contact, LEAVE)
    save(contact, JOIN)
    work_off_arrivals()
    arrival.refresh_from_db()
    assert arrival.code == "older"


def test_of_an_opt_out_what_is_older_ends_and_what_is_newer_stays(
    clock: time_machine.Traveller, tell: Tell
) -> None:
    contact = person("anna", JOIN)
    clock.shift(3600)
    left = timezone.now()
    clock.shift(3600)
    save(contact, JOIN_OFFERS)
    tell(OptOut(), at=left)
    state = contacts.load_state(contact)
    assert (choice(contact), choice(contact, OFFERS), state.opted_out) == (UNSUBSCRIBED, SUBSCRIBED, False)


# --- echoes, and asking ----------------------------------------------------------------------------------------------


def came_back(clock: time_machine.Traveller) -> UUID:
    """She left and came back, and the platform has heard of both."""
    contact = person("anna", JOIN, LEAVE)
    run_once()
    clock.shift(120)
    save(contact, JOIN)
    clock.shift(1)
    run_once()
    clock.shift(60)
    return contact


def test_an_echo_that_came_late_is_asked_back_and_dropped(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    contact = came_back(clock)
    told.reads = RemoteState(opted_out=False, choices={NEWS: SUBSCRIBED})
    arrival = tell(LEAVE)
    assert (arrival.state, arrival.code) == ("nothing", "not-so-there")
    (asked,) = told.read
    assert asked.identifiers.email == "anna@mail.example.org"
    assert asked.identifiers.remote == {"esp": f"remote-{contact}"}
    assert choice(contact) == SUBSCRIBED
    told.reads = RemoteState(opted_out=False, choices={NEWS: UNSUBSCRIBED})
    assert tell(LEAVE).state == "done"
    assert choice(contact) == UNSUBSCRIBED


def test_an_echo_of_what_waits_to_be_overruled_is_dropped_without_asking(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    contact = person("anna", JOIN, LEAVE)
    run_once()
    clock.shift(120)
    save(contact, JOIN)
    assert tell(LEAVE).code == "echo"
    assert told.read == []
    run_once()
    assert CRMS["esp"].contacts[str(contact)]["choices"] == {"news": {"email": "subscribed"}}


def test_no_lock_is_held_while_a_platform_is_asked_and_what_she_says_meanwhile_stands(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    contact = came_back(clock)
    depth = len(connection.savepoint_ids)

    def meanwhile() -> None:
        assert len(connection.savepoint_ids) == depth
        told.during = None
        clock.shift(5)
        save(contact, LEAVE)
        save(contact, JOIN)

    told.during, told.reads = meanwhile, RemoteState(choices={NEWS: UNSUBSCRIBED})
    assert tell(LEAVE).code == "older"
    assert choice(contact) == SUBSCRIBED


def test_a_platform_that_does_not_answer_is_asked_again_and_then_believed(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    contact = came_back(clock)
    told.reads = PlatformError(Outcome.RETRY, "http-503")
    arrival = tell(LEAVE)
    assert (arrival.state, arrival.code) == ("waiting", "http-503")
    told.reads = RuntimeError("anna@mail.example.org")
    for tries in range(2, inbound.ASKED + 1):
        assert choice(contact) == SUBSCRIBED
        clock.shift(20_000)
        assert work_off_arrivals() == (tries == inbound.ASKED)
    arrival.refresh_from_db()
    assert arrival.state == "done"
    assert choice(contact) == UNSUBSCRIBED
    assert len(told.read) == inbound.ASKED


def test_a_platform_that_asks_for_time_gets_it(clock: time_machine.Traveller, esp: Any, tell: Tell) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    came_back(clock)
    told.reads = PlatformError(Outcome.RATE_LIMITED, "http-429", 7200)
    arrival = tell(LEAVE)
    assert arrival.due_at is not None
    assert arrival.due_at >= timezone.now() + timedelta(hours=2)


def test_a_platform_that_cannot_be_asked_after_all_is_believed(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(echoes=True, read_back=ReadBack.STRONG)
    contact = came_back(clock)
    told.reads = Unsupported("no")
    assert tell(LEAVE).state == "done"
    assert choice(contact) == UNSUBSCRIBED


def test_what_a_slow_platform_says_is_waited_for(clock: time_machine.Traveller, esp: Any, tell: Tell) -> None:
    told = esp(echoes=True, read_back=ReadBack.EVENTUAL)
    contact = came_back(clock)
    told.reads = RemoteState(choices={NEWS: UNSUBSCRIBED})
    arrival = tell(LEAVE)
    assert (arrival.state, arrival.code, arrival.attempts) == ("waiting", "wait", 0)
    assert work_off_arrivals() == 0
    clock.shift(660)
    told.reads = RemoteState(choices={NEWS: SUBSCRIBED})
    assert work_off_arrivals() == 1
    arrival.refresh_from_db()
    assert arrival.code == "not-so-there"
    assert choice(contact) == SUBSCRIBED


def test_what_nobody_signed_is_asked_back(clock: time_machine.Traveller, esp: Any, tell: Tell) -> None:
    told = esp(inbound=Inbound.TOKEN, read_back=ReadBack.STRONG)
    contact = person("anna", JOIN)
    run_once()
    clock.shift(3600)
    told.reads = RemoteState(choices={NEWS: SUBSCRIBED})
    assert tell(LEAVE, at=timezone.now()).code == "not-so-there"
    told.reads = RemoteState(choices={NEWS: UNSUBSCRIBED})
    assert tell(LEAVE, at=timezone.now()).state == "done"
    assert choice(contact) == UNSUBSCRIBED


def test_nor_does_anybody_without_a_signature_end_mail_to_an_address(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    told = esp(inbound=Inbound.TOKEN, read_back=ReadBack.STRONG)
    contact = person("anna", JOIN)
    run_once()
    clock.shift(3600)

    def is_dead() -> bool:
        return Contact.objects.get(pk=contact).email_dead_at is not None

    for remote in (RemoteState(choices={NEWS: SUBSCRIBED}, dead=False), None):
        told.reads = remote
        assert tell(dead=True, at=timezone.now()).code == "not-so-there"
        assert not is_dead()
    told.reads = RemoteState(dead=True)
    assert tell(dead=True, at=timezone.now()).code == "dead"
    assert is_dead()


# --- authoritative ---------------------------------------------------------------------------------------------------


def test_an_authoritative_platform_makes_a_yes_by_evidence_of_her_act(
    clock: time_machine.Traveller, esp: Any, tell: Tell
) -> None:
    contact = person("anna", LEAVE)
    clock.shift(3600)
    evidence = Evidence("form-7", timezone.now())
    clock.shift(60)
    assert tell(JOIN, evidence=evidence).code == "not-stricter"
    esp(authoritative=True)
    assert tell(JOIN).code == "not-stricter"
    arrival = tell(JOIN, evidence=evidence)
    assert arrival.state == "done"
    assert choice(contact) == SUBSCRIBED
    assert read_body(Record.objects.get(pk=arrival.record))["evidence_ref"] == "form-7"
    # her own later no stands
    save(contact, LEAVE)
    clock.shift(60)
    assert tell(JOIN, evidence=evidence).code == "not-allowed"
    assert choice(contact) == UNSUBSCRIBED


def test_the_echo_of_our_own_yes_is_no_evidence(clock: time_machine.Traveller, esp: Any, tell: Tell) -> None:
    esp(authoritative=True, echoes=True)
    contact = person("anna", JOIN)
    run_once()
    clock.shift(60)
    save(contact, LEAVE)
    clock.shift(2)
    assert tell(JOIN, evidence=Evidence("hook", timezone.now())).code == "echo"
    run_once()
    clock.shift(2)
    assert tell(JOIN, evidence=Evidence("hook", timezone.now())).code == "echo"
    assert choice(contact) == UNSUBSCRIBED
    clock.shift(3600)
    assert tell(JOIN, evidence=Evidence("hook", timezone.now())).state == "done"


def test_only_an_authoritative_platform_has_her_forgotten(esp: Any, tell: Tell) -> None:
    contact = person("anna", JOIN)
    tell(Erase())
    assert contacts.load_state(contact).opted_out
    assert Contact.objects.get(pk=contact).erased_at is None
    esp(authoritative=True)
    assert tell(Erase()).state == "done"
    assert Contact.objects.get(pk=contact).erased_at is not None
    assert account_of(contact).by == "backend:esp"


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_what_fails_is_tried_again_and_then_refused_without_a_name(
    clock: time_machine.Traveller,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contact = person("anna", JOIN)
    first = tell(LEAVE, work=False)

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("anna@mail.example.org")

    with monkeypatch.context() as patched:
        patched.setattr(inbound, "sift", broken)
        for _ in range(inbound.TRIES):
            work_off_arrivals()
            clock.shift(40_000)
        first.refresh_from_db()
        assert (first.state, first.code, first.due_at) == ("refused", "failed-KeyError", None)
        assert work_off_arrivals() == 0
    assert "anna" not in caplog.text
    assert [one.levelno for one in caplog.records if "was refused" in one.getMessage()] == [logging.ERROR]
    # what it said is kept, so that it can be tried again
    Arrival.objects.update(state=Arrival.WAITING, attempts=0, due_at=timezone.now())
    assert work_off_arrivals() == 1
    assert choice(contact) == UNSUBSCRIBED


def test_what_the_database_did_is_tried_for_ever(
    clock: time_machine.Traveller, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = person("anna", JOIN)
    first = tell(LEAVE, work=False)
    with monkeypatch.context() as patched:
        patched.setattr(inbound, "sift", lambda *_: (_ for _ in ()).throw(OperationalError("deadlock")))
        for _ in range(inbound.TRIES + 2):
            work_off_arrivals()
            clock.shift(100_000)
    first.refresh_from_db()
    assert (first.state, first.code) == ("waiting", "OperationalError")
    work_off_arrivals()
    assert choice(contact) == UNSUBSCRIBED


def test_one_that_ends_every_worker_is_refused_at_last(tell: Tell) -> None:
    first = tell(LEAVE, work=False)
    Arrival.objects.update(attempts=inbound.CLAIMS)
    work_off_arrivals()
    first.refresh_from_db()
    assert (first.state, first.code) == ("refused", "gave-up")


@pytest.mark.parametrize("payload", ["", "t1.rubbish", "t9.AAAA"])
def test_what_cannot_be_read_is_refused_at_once(tell: Tell, payload: str) -> None:
    first = tell(LEAVE, work=False)
    Arrival.objects.update(payload=payload)
    work_off_arrivals()
    first.refresh_from_db()
    assert (first.state, first.code) == ("refused", "unreadable")


def test_what_was_kept_for_one_event_is_none_for_another(tell: Tell) -> None:
    first, second = tell(LEAVE, work=False), tell(OUT, work=False)
    Arrival.objects.filter(pk=first.pk).update(payload=second.payload)
    work_off_arrivals()
    first.refresh_from_db()
    assert first.state == "refused"


def test_one_that_fails_stops_no_other(tell: Tell) -> None:
    contact = person("anna", JOIN)
    tell(OUT, work=False)
    Arrival.objects.update(payload="rubbish")
    tell(LEAVE, work=False)
    work_off_arrivals()
    assert choice(contact) == UNSUBSCRIBED


def test_a_platform_that_left_the_settings_is_still_heard(tell: Tell, settings: Any) -> None:
    contact = person("anna", JOIN)
    first = tell(LEAVE, work=False)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    work_off_arrivals()
    first.refresh_from_db()
    assert first.state == "done"
    assert choice(contact) == UNSUBSCRIBED


# --- the worker ------------------------------------------------------------------------------------------------------


def test_nothing_to_do_is_one_statement(esp: Any) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert work_off_arrivals() == 0
    assert len(said(asked)) == 1
    assert work_off_arrivals in CHORES
    assert arrivals.forget_arrivals in CHORES


def test_an_event_that_another_worker_has_taken_over_is_left_to_it(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one was slow; the other has claimed the row since. What this one did is undone."""
    contact = person("anna", JOIN)
    first = tell(LEAVE, work=False)
    real = inbound.sift

    def slow(*given: Any) -> Any:
        Arrival.objects.update(attempts=5)
        return real(*given)

    monkeypatch.setattr(inbound, "sift", slow)
    assert work_off_arrivals() == 0
    first.refresh_from_db()
    assert choice(contact) == SUBSCRIBED
    assert first.state == "waiting"


def test_a_worker_that_is_stopped_gives_back_what_it_had_not_begun(tell: Tell) -> None:
    person("anna", JOIN)
    for _ in range(3):
        tell(LEAVE, work=False)
    answers = iter([False, False, True])
    assert work_off_arrivals(stopping=lambda: next(answers)) == 1
    waiting = Arrival.objects.filter(state="waiting")
    assert [(one.attempts, one.due_at is not None and one.due_at <= timezone.now()) for one in waiting] == [
        (0, True)
    ] * 2
    assert work_off_arrivals() == 2


def test_a_worker_that_died_delays_an_event_and_loses_none(clock: time_machine.Traveller, tell: Tell) -> None:
    contact = person("anna", JOIN)
    tell(LEAVE, work=False)
    assert len(inbound._claim(10)) == 1
    assert work_off_arrivals() == 0
    clock.shift(121)
    assert work_off_arrivals() == 1
    assert choice(contact) == UNSUBSCRIBED


def test_old_events_are_forgotten_and_those_that_wait_are_not(
    clock: time_machine.Traveller, tell: Tell
) -> None:
    person("anna", JOIN)
    tell(LEAVE)
    tell(LEAVE, work=False)
    Arrival.objects.filter(state="waiting").update(due_at=START + timedelta(days=300))
    clock.shift(29 * 86_400)
    assert arrivals.forget_old_arrivals() == 0
    clock.shift(2 * 86_400)
    arrivals._rounds.clear()
    assert arrivals.forget_arrivals() == 1
    assert arrivals.forget_arrivals() == 0
    assert [one.state for one in Arrival.objects.all()] == ["waiting"]


def test_an_event_costs_the_same_whoever_else_there_is(tell: Tell) -> None:
    costs = []
    for name, crowd in (("anna", 0), ("ben", 30)):
        for number in range(crowd):
            person(f"one{number}", JOIN)
        person(name, JOIN)
        tell(LEAVE, email=f"{name}@mail.example.org", work=False)
        with CaptureQueriesContext(connection) as asked:
            assert work_off_arrivals() == 1
        costs.append(len(said(asked)))
    assert costs[0] == costs[1]
    assert costs[0] <= 18


def test_the_round_trip_of_an_event() -> None:
    event = InboundEvent(
        "",
        Identifiers("a@mail.example.org", "+49", "x", {"esp": "7"}),
        (LEAVE, SetFrequency("", "", "weekly")),
        START,
        Evidence("form", START),
        dead=True,
    )
    assert arrivals.from_json(json.loads(json.dumps(arrivals.to_json(event)))) == event
