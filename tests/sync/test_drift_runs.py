"""Reading platforms back: the differences that there are are found, and putting right is always toward less mail."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.delivery.people import BACK, JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, row, save
from tests.factories import make_topics
from tests.properties import examples
from tests.sync import platform
from tests.sync.platform import PLATFORMS, Told
from wagtail_prefs.backends import memory
from wagtail_prefs.backends.base import Backend, PlatformError, Unsupported
from wagtail_prefs.backends.memory import Store
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.changes import Pause, SetAttribute, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions.services import merge_contacts
from wagtail_prefs.sync import comparing
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival, DriftRun
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Inbound,
    Json,
    Outcome,
    Rate,
    ReadBack,
    RemoteState,
    Source,
)

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MEMORY = {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"}
NEWS, OFFERS = "choice:news:email", "choice:offers:email"


@pytest.fixture(autouse=True)
def _topics() -> None:
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def store(settings: Any, clock: time_machine.Traveller) -> Iterator[Store]:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": MEMORY, "old": MEMORY}}
    memory.clear()
    yield memory.store("crm")
    memory.clear()


@pytest.fixture
def esp(settings: Any, clock: time_machine.Traveller) -> Iterator[Callable[..., Told]]:
    """A platform with these capabilities, which answers what it is told to."""

    def configure(**capabilities: Any) -> Told:
        given: dict[str, Any] = {"choice": "enforces", "opt_out": "enforces", "read_back": ReadBack.STRONG}
        entry = {"BACKEND": platform.PATH, "OPTIONS": {"CAPABILITIES": {**given, **capabilities}}}
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"esp": entry}}
        return PLATFORMS.setdefault("esp", Told())

    PLATFORMS.clear()
    platform.CRMS.clear()
    yield configure
    PLATFORMS.clear()
    platform.CRMS.clear()


def people(count: int, *changes: Any) -> list[UUID]:
    """Some of whom all platforms know, two hours ago."""
    found = [person(uuid4().hex, *(changes or (JOIN,))) for _ in range(count)]
    run_once()
    return sorted(found)


def compared(alias: str = "crm", clock: time_machine.Traveller | None = None, **options: Any) -> DriftRun:
    if clock is not None:
        clock.shift(timedelta(hours=2))
    run = comparing.start(alias, **options)
    for _ in range(100):
        if run.finished_at is not None:
            return run
        comparing.step(run, seconds=60)
    raise AssertionError("it does not end")


def counts(run: DriftRun) -> dict[str, dict[str, int]]:
    return {
        name: {kind: number for kind, number in sums.items() if kind != "contacts" and number}
        for name, sums in run.fields.items()
    }


def test_what_is_the_same_is_no_difference(store: Store, clock: time_machine.Traveller) -> None:
    people(3, JOIN, WEEKLY, SetAttribute("size", "M"), Pause("", "", START + timedelta(days=2)))
    people(2, JOIN, OUT)
    run = compared(clock=clock)
    assert (run.total, run.checked, run.differing, run.fields, run.code) == (5, 5, 0, {}, "")


def test_differences_are_counted_by_field_with_a_few_people_and_no_values(
    store: Store, clock: time_machine.Traveller
) -> None:
    found = people(25, JOIN, SetAttribute("size", "M"))
    for contact in found:
        store.contacts[str(contact)]["attributes"]["size"] = "a-secret-size"
    for contact in found[:2]:
        store.contacts[str(contact)]["choices"]["news"]["email"] = UNSUBSCRIBED
    store.contacts[str(found[2])]["choices"]["offers"] = {"email": SUBSCRIBED}
    del store.contacts[str(found[3])]
    run = compared(clock=clock)
    assert counts(run) == {
        "attribute:size": {"other": 24},
        NEWS: {"stricter_there": 2},
        OFFERS: {"looser_there": 1},
    }
    assert (run.checked, run.differing, run.unknown, run.repaired) == (25, 24, 1, 0)
    assert run.fields[OFFERS]["contacts"] == [str(found[2])]
    assert len(run.fields["attribute:size"]["contacts"]) == 20
    assert "a-secret-size" not in json.dumps(run.fields)
    assert not Arrival.objects.exists()
    assert not Delivery.objects.filter(due_at__isnull=False).exists()


def test_what_is_late_has_not_drifted(store: Store, clock: time_machine.Traveller) -> None:
    late, gone, loser, winner, out = people(5)
    save(late, LEAVE)
    merge_contacts(loser, winner, actor=Actor(ActorType.ADMIN, "1"), source=Source(method="python"))
    run_once(limit=0)
    Delivery.objects.filter(contact=gone).update(checking=True)
    Delivery.objects.filter(contact__in=[loser, winner]).update(delivered=9, wanted=9, due_at=None)
    for contact in store.contacts.values():
        contact["opted_out"] = True
    run = compared(clock=clock)
    assert (run.checked, run.differing) == (2, 2)  # the winner, and one more
    assert set(run.fields["opted_out"]["contacts"]) == {str(winner), str(out)}


def test_more_mail_there_is_told_again_and_less_is_recorded(
    store: Store, clock: time_machine.Traveller
) -> None:
    more, less, both = people(3, JOIN, WEEKLY)
    store.contacts[str(more)]["choices"]["offers"] = {"email": SUBSCRIBED}
    store.contacts[str(less)]["opted_out"] = True
    store.contacts[str(both)]["choices"] = {"news": {"email": UNSUBSCRIBED}, "offers": {"email": SUBSCRIBED}}
    store.contacts[str(both)]["frequencies"] = {}
    run = compared(clock=clock, repairs=True)
    assert run.repaired == 3
    work_off_arrivals()
    assert row(more).restricts
    run_once()
    for contact in (more, both):
        assert "offers" not in store.contacts[str(contact)]["choices"]
    assert contacts.load_state(less).opted_out
    assert contacts.load_state(both).choices == {("news", "email"): UNSUBSCRIBED}
    assert store.contacts[str(both)]["choices"] == {"news": {"email": UNSUBSCRIBED}}
    assert store.contacts[str(both)]["frequencies"] == {"all": "weekly"}
    record = Record.objects.filter(contact_ref=less).latest("seq")
    assert record.actor == "backend"
    again = compared(clock=clock, repairs=True)
    assert (again.differing, again.repaired) == (0, 0)


def test_her_own_act_of_that_moment_wins(store: Store, clock: time_machine.Traveller) -> None:
    (contact,) = people(1, JOIN)
    store.contacts[str(contact)]["choices"]["news"]["email"] = UNSUBSCRIBED
    clock.shift(timedelta(hours=2))
    run = comparing.start("crm", repairs=True)
    comparing.step(run)
    save(contact, LEAVE)
    save(contact, JOIN)  # before anybody looked at what the platform had said
    work_off_arrivals()
    assert contacts.load_state(contact).choices == {("news", "email"): SUBSCRIBED}
    # Nor does what she did in the minute before the look yield to it.
    run_once()
    store.contacts[str(contact)]["choices"]["news"]["email"] = UNSUBSCRIBED
    clock.shift(timedelta(seconds=30))
    compared(repairs=True)
    work_off_arrivals()
    assert contacts.load_state(contact).choices == {("news", "email"): SUBSCRIBED}
    compared(clock=clock, repairs=True)  # but the next look counts
    work_off_arrivals()
    assert contacts.load_state(contact).choices == {("news", "email"): UNSUBSCRIBED}


def test_a_platform_that_asks_her_first_has_heard_no_no(
    esp: Callable[..., Told], clock: time_machine.Traveller
) -> None:
    told = esp()
    people(1)
    Delivery.objects.update(last_outcome=Outcome.NEEDS_CONFIRMATION)
    told.reads = RemoteState(choices={})
    run = compared("esp", clock, repairs=True)
    assert (counts(run), run.repaired) == ({NEWS: {"stricter_there": 1}}, 0)
    assert not Arrival.objects.exists()


def test_a_list_that_was_deleted_makes_nobody_leave(
    store: Store, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    for contact in people(30):
        store.contacts[str(contact)]["choices"] = {}
    run = compared(clock=clock, repairs=True, by=DriftRun.AUTOMATIC)
    assert (run.repaired, run.repairs, run.code, run.checked) == (0, False, "too-many", 30)
    assert not Arrival.objects.exists()
    assert "a person must look" in caplog.text
    assert compared(clock=clock, repairs=True).repaired == 30  # a person has looked, and says so


def test_it_waits_for_a_platform_that_is_away(
    esp: Callable[..., Told], clock: time_machine.Traveller
) -> None:
    told = esp()
    people(3)
    clock.shift(timedelta(hours=2))
    told.reads = PlatformError(Outcome.MISCONFIGURED, "http-401")
    run = comparing.start("esp")
    assert comparing.step(run)
    assert (run.checked, run.failed, run.code) == (0, 0, "http-401")
    assert run.busy_until == timezone.now() + comparing.MISCONFIGURED
    assert not comparing.step(run)
    assert len(told.read) == 1
    # Deliveries must not stop because nobody may read.
    assert not Lane.objects.filter(open_since__isnull=False).exists()
    told.reads = RemoteState(choices={("news", "email"): SUBSCRIBED}, opted_out=False)
    clock.shift(timedelta(minutes=16))
    Lane.objects.filter(backend="esp").update(open_since=timezone.now())
    comparing.step(run)
    assert (run.code, len(told.read)) == ("away", 1)
    Lane.objects.filter(backend="esp").update(open_since=None)
    clock.shift(timedelta(minutes=2))
    comparing.step(run)
    comparing.step(run)
    assert (run.checked, run.differing, run.code) == (3, 0, "")
    assert run.finished_at


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlatformError(Outcome.RETRY, "http-503"), "http-503"),
        (RuntimeError("anna@mail.example.org"), "crash-RuntimeError"),
    ],
)
def test_one_person_does_not_stop_it_for_ever(
    esp: Callable[..., Told],
    clock: time_machine.Traveller,
    error: Exception,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = esp()
    bad, *_ = people(3)
    fine = RemoteState(choices={("news", "email"): SUBSCRIBED}, opted_out=False)

    def reads(target: Any) -> Any:
        if target.state.id == bad:
            raise error
        return fine

    told.reads = reads
    clock.shift(timedelta(hours=2))
    run = comparing.start("esp")
    comparing.step(run)
    assert (run.checked, run.failed, run.code) == (0, 0, code)
    clock.shift(timedelta(minutes=2))
    comparing.step(run)
    comparing.step(run)
    assert (run.checked, run.failed, run.code) == (2, 1, "")
    assert run.finished_at
    assert "anna@" not in caplog.text


def test_who_is_refused_is_passed_and_who_cannot_be_read_ends_it(
    esp: Callable[..., Told], clock: time_machine.Traveller
) -> None:
    told = esp()
    people(2)
    told.reads = PlatformError(Outcome.REFUSED, "http-404")
    assert compared("esp", clock).failed == 2
    told.reads = Unsupported("nothing")
    assert compared("esp", clock).code == "cannot-be-read"
    told.reads = RemoteState(choices={("news", "email"): 7}, frequencies={"nonsense": 1})  # type: ignore[dict-item]
    assert compared("esp", clock).checked == 2


def test_a_platform_that_asked_to_wait_tells_the_deliveries(
    esp: Callable[..., Told], clock: time_machine.Traveller
) -> None:
    told = esp()
    people(1)
    told.reads = PlatformError(Outcome.RATE_LIMITED, "http-429", 90)
    run = comparing.start("esp")
    comparing.step(run)
    assert Lane.objects.get(backend="esp").paused_until == timezone.now() + timedelta(seconds=90)
    assert run.code == "http-429"


def test_a_rate_limit_is_kept(esp: Callable[..., Told], clock: time_machine.Traveller) -> None:
    told = esp(rate=Rate(1, 60))
    people(1)
    clock.shift(timedelta(hours=1))
    more = person("another", JOIN)
    Delivery.objects.filter(contact=more).update(delivered=1, due_at=None)
    clock.shift(timedelta(hours=2))
    told.reads = RemoteState(choices={("news", "email"): SUBSCRIBED})
    run = comparing.start("esp")
    comparing.step(run)
    assert (len(told.read), run.code) == (1, "rate")
    clock.shift(timedelta(minutes=1))
    comparing.step(run)
    assert len(told.read) == 2


def test_what_answers_late_is_not_asked_right_after(
    esp: Callable[..., Told], clock: time_machine.Traveller
) -> None:
    told = esp(read_back=ReadBack.EVENTUAL)
    people(1)
    told.reads = RemoteState(choices={})
    assert compared("esp").checked == 0
    assert compared("esp", clock).checked == 1


def test_it_goes_on_where_it_was_and_is_one_workers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(5)
    monkeypatch.setattr(comparing, "CHUNK", 2)
    run = comparing.start("crm")
    comparing.step(run)
    assert run.checked == 2
    DriftRun.objects.update(
        busy_until=timezone.now() + timedelta(minutes=1)
    )  # a worker that was killed, or is at it
    other = DriftRun.objects.get()
    assert not comparing.step(other)
    DriftRun.objects.update(busy_until=None)
    comparing.step(other)
    comparing.step(other)
    assert (other.checked, other.finished_at is not None) == (5, True)
    comparing.start("crm")
    with pytest.raises(comparing.Running):
        comparing.start("crm")
    assert comparing.stop("crm")
    assert not comparing.stop("crm")


def test_what_was_stopped_meanwhile_writes_nothing(store: Store, clock: time_machine.Traveller) -> None:
    (contact,) = people(1)
    store.contacts[str(contact)]["opted_out"] = True
    clock.shift(timedelta(hours=2))
    run = comparing.start("crm", repairs=True)
    whole = backends["crm"].read

    def stopped(target: Any) -> Any:
        comparing.stop("crm")
        return whole(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends["crm"], "read", stopped)
        comparing.step(run)
    assert (run.checked, run.code) == (0, "stopped")
    assert not Arrival.objects.exists()


def test_a_sample_is_drawn_from_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = people(40)
    monkeypatch.setattr(comparing, "PAGE", 15)
    monkeypatch.setattr(comparing, "CHUNK", 4)
    run = compared(sample=20)
    drawn = [one for one in found if comparing._drawn(run.pk, one, 0.5)]
    assert run.checked == len(drawn)
    assert compared(sample=999).checked == 40
    many = [UUID(int=number) for number in range(10_000)]
    assert 2_200 < sum(comparing._drawn(7, one, 0.25) for one in many) < 2_800


def test_a_step_costs_the_same_for_few_and_many(
    store: Store, clock: time_machine.Traveller, django_assert_num_queries: Any
) -> None:
    for contact in people(12):
        store.contacts[str(contact)]["choices"]["offers"] = {"email": SUBSCRIBED}
    clock.shift(timedelta(hours=2))

    def statements(size: int) -> int:
        run = comparing.start("crm", repairs=True)
        with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as queries:
            patch.setattr(comparing, "CHUNK", size)
            comparing.step(run)
        assert run.checked == size
        comparing.stop("crm")
        Delivery.objects.update(delivered=F("wanted"), due_at=None)
        return len(queries)

    assert statements(2) == statements(9) <= 14
    with django_assert_num_queries(1):
        comparing.compare_backends()


def test_two_platforms_are_compared_in_one_pass(store: Store, clock: time_machine.Traveller) -> None:
    same, differs, unknown = people(3)
    memory.store("old").contacts[str(differs)]["choices"] = {}
    del memory.store("crm").contacts[str(unknown)]
    del memory.store("old").contacts[str(same)]
    run = compared(clock=clock, against="old")
    assert (counts(run), run.checked, run.unknown) == ({NEWS: {"looser_there": 1}}, 3, 1)
    with pytest.raises(ValueError, match="none repaired"):
        comparing.start("crm", against="old", repairs=True)


# --- by itself --------------------------------------------------------------------------------------------------------


def test_a_sample_comes_every_night(store: Store, clock: time_machine.Traveller) -> None:
    people(2)
    assert comparing.begin_due(polled=False) == 0  # at noon
    clock.move_to(timezone.make_aware(datetime(2026, 11, 23, 2)))  # noqa: DTZ001 - the site's own time
    assert comparing.begin_due(polled=False) == 2
    assert comparing.begin_due(polled=False) == 0
    run = DriftRun.objects.get(backend="crm")
    assert (run.started_by, run.sample, run.repairs) == (DriftRun.AUTOMATIC, 1_000, True)
    comparing.compare_backends()
    assert not comparing.running().exists()
    assert comparing.begin_due(polled=False) == 0
    clock.shift(timedelta(days=1))
    assert comparing.begin_due(polled=False) == 2


def test_of_a_platform_that_tells_nothing_everybody_is_asked_once_a_day(
    esp: Callable[..., Told], clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = esp(inbound=Inbound.POLL, explicit_no=False)
    monkeypatch.setattr(platform.Platform, "poll", Backend.poll)
    (contact,) = people(1)
    told.reads = RemoteState(choices={})
    assert comparing.begin_due(polled=False) == 0
    clock.shift(timedelta(hours=2))
    assert comparing.begin_due(polled=True) == 1
    assert (DriftRun.objects.get().sample, DriftRun.objects.get().repairs) == (0, True)
    assert comparing.compare_backends() == 1
    work_off_arrivals()
    assert contacts.load_state(contact).choices == {("news", "email"): UNSUBSCRIBED}
    assert comparing.begin_due(polled=True) == 0
    clock.shift(timedelta(days=1))
    assert comparing.begin_due(polled=True) == 1


def test_what_is_wrong_with_one_backend_ends_no_chore(
    esp: Callable[..., Told], clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    esp(rate=Rate(0, 1))  # which nobody can mean
    contact = person("anna", JOIN)
    Delivery.objects.filter(contact=contact).update(delivered=1, due_at=None)
    comparing.start("esp")
    assert comparing.compare_backends() == 0
    run = DriftRun.objects.get()
    assert (run.code, run.busy_until) == (
        "failed-ZeroDivisionError",
        timezone.now() + comparing.MISCONFIGURED,
    )
    assert "ZeroDivisionError" in caplog.text


def test_what_cannot_be_read_is_not_begun(esp: Callable[..., Told], settings: Any) -> None:
    esp(read_back=ReadBack.NONE)
    with pytest.raises(comparing.NotReadable):
        comparing.start("esp")
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"esp": {"BACKEND": "no.such.Backend"}}}
    with pytest.raises(comparing.NotReadable):
        comparing.start("esp")
    assert comparing.begin_due(polled=True) == 0


# --- whatever drifts --------------------------------------------------------------------------------------------------

WISHES = st.lists(
    st.sampled_from(
        [
            JOIN,
            LEAVE,
            JOIN_OFFERS,
            OUT,
            BACK,
            WEEKLY,
            SetFrequency("news", "", "monthly"),
            SetAttribute("size", "M"),
        ]
    ),
    min_size=1,
    max_size=4,
)
PLANTS = st.lists(
    st.tuples(st.sampled_from(["out", "news", "offers", "cap", "pause", "size"]), st.booleans()),
    unique_by=lambda plant: plant[0],
    max_size=4,
)
UNTIL = START + timedelta(days=40)


def plant(held: Json, state: ContactState, what: str, flag: bool) -> tuple[str, str] | None:
    """Let a platform drift in one field, as its operator might; which difference that is."""
    match what:
        case "out":
            held["opted_out"] = not state.opted_out
            return "opted_out", "looser_there" if state.opted_out else "stricter_there"
        case "news" | "offers":
            said = state.choices.get((what, "email"))
            if said == SUBSCRIBED:
                held["choices"][what]["email"] = UNSUBSCRIBED
                return f"choice:{what}:email", "stricter_there"
            held["choices"].setdefault(what, {})["email"] = SUBSCRIBED
            return f"choice:{what}:email", "looser_there"
        case "cap":
            had = state.frequencies.get(("", ""))
            if flag and had:
                del held["frequencies"]["all"]
                return "frequency:all", "looser_there"
            held["frequencies"]["all"] = "quarterly"
            return "frequency:all", "stricter_there"
        case "pause":
            held["pauses"]["all"] = UNTIL.isoformat()
            return "pause:all", "stricter_there"
        case _:
            held["attributes"]["size"] = "XXL"
            return "attribute:size", "other"


def is_hidden(state: ContactState, held: Json, difference: tuple[str, str]) -> bool:
    """What is no difference because she gets nothing anyway: here, and if she is out there as well, there."""
    if not state.opted_out or not difference[0].startswith("choice:"):
        return False
    return bool(held["opted_out"]) or difference[1] == "stricter_there"


def mail(state: ContactState, at: datetime) -> tuple[Any, ...]:
    """How much somebody gets: bigger is more."""
    yes = (
        frozenset() if state.opted_out else frozenset(k for k, v in state.choices.items() if v == SUBSCRIBED)
    )
    cap = FREQUENCIES.index(state.frequencies.get(("", ""), FREQUENCIES[0]))
    paused = ("", "") in state.pauses and state.pauses["", ""].until > at
    return yes, -cap, not paused


@pytest.mark.property
@hypothesis_settings(examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WISHES, PLANTS), min_size=1, max_size=4))
def test_exactly_what_drifted_is_found_and_nobody_gets_more(
    store: Store, clock: time_machine.Traveller, cases: list[tuple[Any, Any]]
) -> None:
    for table in (Delivery, Lane, DriftRun, Arrival):
        table.objects.all().delete()
    memory.clear()
    clock.move_to(START)
    expected: dict[str, dict[str, int]] = {}
    drifted = []
    for wishes, plants in cases:
        contact = person(uuid4().hex, *wishes)
        run_once()
        state, held = contacts.load_state(contact), store.contacts.get(str(contact))
        drifted.append((contact, state))
        if held is None:
            continue  # she said nothing that was news
        differences = [plant(held, state, *one) for one in plants]
        for difference in differences:
            if difference and not is_hidden(state, held, difference):
                of_field = expected.setdefault(difference[0], {})
                of_field[difference[1]] = of_field.get(difference[1], 0) + 1
    assert counts(compared(clock=clock)) == expected
    compared(clock=clock, repairs=True)
    for _ in range(2):
        work_off_arrivals()
        run_once()
    after = compared(clock=clock)
    assert not [name for name, sums in counts(after).items() if sums.keys() - {"other"}]
    for contact, before in drifted:
        now = contacts.load_state(contact)
        (was_yes, was_cap, was_open), (yes, cap, is_open) = mail(before, START), mail(now, START)
        assert yes <= was_yes
        assert cap <= was_cap
        assert is_open <= was_open


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    out, code = StringIO(), 0
    try:
        call_command("prefs_drift", *arguments, "--json", stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_reports_and_repairs(store: Store, clock: time_machine.Traveller) -> None:
    contact, _ = people(2)
    clock.shift(timedelta(hours=2))
    code, (started, ended) = command("crm")
    assert (code, started["event"], ended["checked"]) == (0, "started", 2)
    store.contacts[str(contact)]["choices"]["offers"] = {"email": SUBSCRIBED}
    code, (_, ended) = command("crm")
    assert (code, ended["differing"], ended["repaired"]) == (1, 1, 0)
    code, (_, ended) = command("crm", "--repair")
    assert (code, ended["repaired"]) == (1, 1)
    run_once()
    assert command("crm", "--sample", "1000")[0] == 0
    assert command("crm", "--against", "old")[0] == 0
    out = StringIO()
    store.contacts[str(contact)]["choices"]["offers"] = {"email": SUBSCRIBED}
    with pytest.raises(SystemExit):
        call_command("prefs_drift", "crm", stdout=out)
    assert f"{OFFERS}: looser there 1\n    such as {contact}\n" in out.getvalue()
    assert (
        "ended: 2 looked at, 1 differ, 0 not known there, 0 could not be read, 0 put right" in out.getvalue()
    )


def test_the_command_says_what_cannot_be(store: Store, settings: Any) -> None:
    for wrong in (
        ["nobody"],
        ["crm", "--against", "crm"],
        ["crm", "--against", "old", "--repair"],
        ["crm", "--sample", "-1"],
    ):
        with pytest.raises(CommandError) as error:
            command(*wrong)
        assert error.value.returncode == 2
    comparing.start("crm", sample=7)
    with pytest.raises(CommandError, match="under way"):
        command("crm")
    assert command("crm", "--stop") == (0, [{"event": "stopped", "was_running": True}])
    assert command("crm", "--stop")[1][0]["was_running"] is False


def test_ctrl_c_leaves_it_to_be_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(5)
    monkeypatch.setattr(comparing, "CHUNK", 2)
    whole = comparing.step

    def pressed(*arguments: Any) -> bool:
        done = whole(*arguments)
        signal.raise_signal(signal.SIGINT)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(comparing, "step", pressed)
        code, (*_, ended) = command("crm")
    assert (code, ended["event"], ended["checked"]) == (1, "interrupted", 2)
    code, (started, *_, ended) = command("crm")
    assert (code, started["event"], ended["checked"]) == (0, "resumed", 5)
