"""Her acts, our deliveries, and a platform that tells of everything, late, twice and in any order (security.md BK-02).

What must come out is computed here in the plainest way: of all that she did, here or there, the newest act on each
topic holds. Nothing that a platform says makes a yes, at any step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, strategies as st

from tests.delivery.crm import CrmBackend
from tests.delivery.people import BACK, OUT, person, save
from tests.factories import make_topics
from tests.properties import examples
from wagtail_prefs.backends.base import Option
from wagtail_prefs.changes import Change, OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.sync import arrivals
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    Identifiers,
    Inbound,
    InboundEvent,
    Key,
    Operation,
    ReadBack,
    RemoteState,
    Result,
    Target,
)

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYS: Sequence[Key] = [("news", "email"), ("offers", "email")]
WHO = Identifiers(email="anna@mail.example.org")
#: How late an event is at most: ten minutes are what the rules reckon with.
LATEST = timedelta(minutes=8)


@dataclass
class Queue:
    """The platform: what it holds of her, and what it has not told us yet."""

    dated: str = "exact"
    choices: dict[Key, str] = field(default_factory=dict)
    opted_out: bool = False
    events: list[tuple[datetime, InboundEvent]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def tell(self, *changes: Change) -> None:
        now = timezone.now()
        at = {"exact": now, "seconds": now.replace(microsecond=0), "never": None}[self.dated]
        event = InboundEvent(f"event-{next(self.numbers)}", WHO, changes, at)
        self.events.append((now, event))

    def write(self, opted_out: bool, choices: Mapping[Key, str]) -> None:
        """What we tell it; it tells us back, whatever of it was so already."""
        self.opted_out = opted_out
        self.choices.update(choices)
        for key, value in choices.items():
            self.tell(SetChoice(*key, value))
        if opted_out:
            self.tell(OptOut())


QUEUE = Queue()


class Echoing(CrmBackend):
    known_options: ClassVar[Mapping[str, Option]] = {
        **CrmBackend.known_options,
        "READ": Option(str, "how it can be read", default="strong"),
    }

    def __init__(self, alias: str, options: Any = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(
            echoes=True, inbound=Inbound.SIGNED, read_back=ReadBack(self.options["READ"])
        )

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        for operation in batch:
            said = operation.payload["choices"]
            QUEUE.write(
                operation.payload["opted_out"],
                {(topic, channel): value for topic, by in said.items() for channel, value in by.items()},
            )
        return super().execute(batch)

    def read(self, contact: Target) -> RemoteState | None:
        return RemoteState(opted_out=QUEUE.opted_out, choices=dict(QUEUE.choices))


READABLE = ("strong", "none")


def platform(readable: str) -> override_settings:
    entry = {"BACKEND": "tests.sync.test_inbound_model.Echoing", "OPTIONS": {"READ": readable}}
    return override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "BACKENDS": {"esp": entry}})


class Story:
    """One example: a person, the platform, a clock, and what should be so by now."""

    def __init__(self, dated: str, clock: time_machine.Traveller) -> None:
        self.clock = clock
        QUEUE.__dict__.update(replace(Queue(), dated=dated).__dict__)
        audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
        make_topics(audience)
        self.anna: UUID = person("anna")
        self.should: dict[Key, str] = {}
        self.told: list[InboundEvent] = []

    def choices(self) -> Mapping[Key, str]:
        return contacts.load_state(self.anna).choices

    # --- what she does here

    def yes(self, which: int) -> None:
        """What changes nothing is no act: who left there, and then leaves her tick here as it stands, has left."""
        before = contacts.load_state(self.anna).version
        if save(self.anna, SetChoice(*KEYS[which], SUBSCRIBED)) > before:
            self.should[KEYS[which]] = SUBSCRIBED

    def no(self, which: int) -> None:
        save(self.anna, SetChoice(*KEYS[which], UNSUBSCRIBED))
        self.should[KEYS[which]] = UNSUBSCRIBED

    def out(self, _: int) -> None:
        save(self.anna, OUT)
        self.should = dict.fromkeys(self.should, UNSUBSCRIBED)

    def back(self, _: int) -> None:
        save(self.anna, BACK)

    # --- what she does there

    def left(self, which: int) -> None:
        """She can leave there only what that platform would send her."""
        key = KEYS[which]
        if QUEUE.choices.get(key) == SUBSCRIBED and not QUEUE.opted_out:
            QUEUE.choices[key] = UNSUBSCRIBED
            QUEUE.tell(SetChoice(*key, UNSUBSCRIBED))
            self.should[key] = UNSUBSCRIBED

    def left_all(self, _: int) -> None:
        if not QUEUE.opted_out and SUBSCRIBED in QUEUE.choices.values():
            QUEUE.opted_out = True
            QUEUE.choices = dict.fromkeys(QUEUE.choices, UNSUBSCRIBED)
            QUEUE.tell(OptOut())
            self.should = dict.fromkeys(self.should, UNSUBSCRIBED)

    # --- what machines do

    def deliver(self, _: int) -> None:
        run_once()

    def hear(self, which: int) -> None:
        """One of the events arrives, whichever."""
        if QUEUE.events:
            self.arrive(which % len(QUEUE.events))

    def again(self, which: int) -> None:
        """One that arrived before arrives again."""
        if self.told:
            self.keep(self.told[which % len(self.told)])

    def wait(self, which: int) -> None:
        self.clock.shift(1 + 40.7 * which)

    def arrive(self, position: int) -> None:
        _moment, event = QUEUE.events.pop(position)
        self.told.append(event)
        self.keep(event)

    def keep(self, event: InboundEvent) -> None:
        arrivals.keep("esp", [event])
        self.work()

    def work(self) -> None:
        before = contacts.load_state(self.anna)
        work_off_arrivals()
        after = contacts.load_state(self.anna)
        yeses = [key for key, value in after.choices.items() if value == SUBSCRIBED]
        assert all(before.choices.get(key) == SUBSCRIBED for key in yeses)
        assert after.opted_out or not before.opted_out

    # --- the run

    def step(self, name: str, which: int) -> None:
        self.clock.shift(0.377)
        while late := [n for n, (at, _) in enumerate(QUEUE.events) if timezone.now() - at > LATEST]:
            self.arrive(late[0])
        getattr(self, name)(which)

    def end(self) -> None:
        """Everything arrives and is delivered."""
        for _ in range(20):
            while QUEUE.events:
                self.clock.shift(0.377)
                self.arrive(0)
            run_once()
            self.clock.shift(1)
            self.work()
            if not QUEUE.events:
                break
        assert not QUEUE.events
        assert set(Arrival.objects.values_list("state", flat=True)) <= {"done", "nothing"}


HERS_HERE = ["yes", "yes", "yes", "no", "out", "back"]
NAMES = [
    *HERS_HERE,
    "left",
    "left",
    "left_all",
    "deliver",
    "deliver",
    "deliver",
    "hear",
    "hear",
    "again",
    "wait",
]
steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 1) | st.integers(0, 12)), min_size=6, max_size=24
)


def tell_story(
    readable: str, dated: str, story: Sequence[tuple[str, int]]
) -> tuple[dict[Key, str], Mapping[Key, str]]:
    """What should be so at the end, and what is."""
    travel = time_machine.travel(START, tick=False)
    with platform(readable), transaction.atomic(), travel as clock:
        told = Story(dated, clock)
        for name, which in story:
            told.step(name, which % 2 if name in {"yes", "no", "left"} else which)
        told.end()
        found = told.should, told.choices()
        transaction.set_rollback(True)
    return found


@pytest.mark.property
@pytest.mark.django_db
@examples(8)
@given(readable=st.sampled_from(READABLE), story=steps)
def test_where_events_are_dated_the_newest_act_on_each_topic_holds(
    readable: str, story: list[tuple[str, int]]
) -> None:
    should, choices = tell_story(readable, "exact", story)
    assert dict(choices) == should


@pytest.mark.property
@pytest.mark.django_db
@examples(8)
@given(readable=st.sampled_from(READABLE), dated=st.sampled_from(["seconds", "never"]), story=steps)
def test_where_they_are_not_no_leaving_is_ever_lost(
    readable: str, dated: str, story: list[tuple[str, int]]
) -> None:
    """A yes of hers may be taken for left where nobody can tell; a no of hers is never taken for a yes."""
    should, choices = tell_story(readable, dated, story)
    assert set(choices) == set(should)
    assert [
        key for key, value in should.items() if value == UNSUBSCRIBED and choices[key] != UNSUBSCRIBED
    ] == []


@pytest.mark.django_db
@pytest.mark.parametrize("readable", READABLE)
def test_a_yes_that_changes_nothing_here_takes_back_no_leaving_there(readable: str) -> None:
    left = [("yes", 0), ("deliver", 0), ("left", 0)]
    should, choices = tell_story(readable, "exact", [*left, ("yes", 0)])
    assert dict(choices) == should == {KEYS[0]: UNSUBSCRIBED}
    # Once we have heard of it, it does.
    should, choices = tell_story(readable, "exact", [*left, *[("hear", 0)] * 2, ("yes", 0)])
    assert dict(choices) == should == {KEYS[0]: SUBSCRIBED}


@pytest.mark.django_db
@pytest.mark.parametrize("readable", READABLE)
@pytest.mark.parametrize("dated", ["exact", "seconds", "never"])
def test_leaving_all_of_it_there_ends_a_yes_that_the_platform_has_not_heard_of(
    readable: str, dated: str
) -> None:
    for before in (
        [("yes", 0), ("yes", 1), ("no", 0), ("deliver", 0)],
        [("yes", 1), ("deliver", 0), ("no", 1)],  # of what it had, she has left all here
        [("out", 0), ("deliver", 0), ("wait", 1), ("yes", 1), ("deliver", 0)],  # which may be its echo
    ):
        # heard of at once, and after we have told the platform of the yes
        for after in ([], [("deliver", 0)]):
            story = [*before, ("yes", 0), ("left_all", 0), *after]
            should, choices = tell_story(readable, dated, story)
            assert should == choices == dict.fromkeys(KEYS, UNSUBSCRIBED)


@pytest.mark.django_db
def test_leaving_in_the_second_of_a_delivery_counts() -> None:
    story = [("no", 0), ("yes", 0), ("no", 0), ("deliver", 0), ("yes", 0), ("deliver", 0), ("left", 0)]
    for readable in READABLE:
        should, choices = tell_story(readable, "seconds", story)
        assert should == choices == {("news", "email"): UNSUBSCRIBED}


LATE_ECHO = [("yes", 0), ("deliver", 0), ("no", 0), ("deliver", 0), ("wait", 1), ("yes", 0), ("deliver", 0)]


@pytest.mark.django_db
@pytest.mark.parametrize("readable", READABLE)
@pytest.mark.parametrize("dated", ["exact", "seconds", "never"])
def test_an_echo_of_an_older_no_after_her_yes_was_delivered(readable: str, dated: str) -> None:
    """The case that all of this is about: dropped, unless the platform neither dates its events nor can be asked."""
    should, choices = tell_story(readable, dated, LATE_ECHO)
    assert should == {("news", "email"): SUBSCRIBED}
    lost = dated == "never" and readable == "none"
    assert choices == {("news", "email"): UNSUBSCRIBED if lost else SUBSCRIBED}


@pytest.mark.django_db
@pytest.mark.parametrize("readable", READABLE)
@pytest.mark.parametrize("dated", ["exact", "seconds", "never"])
def test_leaving_what_the_platform_still_held_counts_though_her_newest_yes_was_under_way(
    readable: str, dated: str
) -> None:
    story = [
        ("yes", 0),
        ("deliver", 0),
        ("wait", 12),
        ("no", 0),
        ("yes", 0),
        ("wait", 1),
        ("left", 0),
        ("hear", 2),
    ]
    should, choices = tell_story(readable, dated, story)
    assert should == choices == {("news", "email"): UNSUBSCRIBED}
