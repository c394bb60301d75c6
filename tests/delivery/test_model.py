"""Two platforms, people who change their minds here and there, and everything that may go wrong between them.

Platforms that are away, answers that are lost, workers that die and workers that come too late, pauses that end, news of
the platforms late, twice and in any order. Whatever the order: in the end both platforms hold exactly the newest state;
at no moment did one get a yes where the newest word here was a no; and nobody who left is back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings as hypothesis_settings, strategies as st
from pytest_django import Settings

from tests.delivery.conftest import START
from tests.delivery.people import BACK, JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, save
from tests.delivery.platforms import PLATFORMS, Died, Platform, wanted
from tests.factories import make_topics
from tests.properties import examples
from wagtail_prefs.changes import Change, OptOut, Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts.services import load_state, load_target
from wagtail_prefs.delivery import drain
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.sync.arrivals import keep
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import SUBSCRIBED, InboundEvent

pytestmark = pytest.mark.django_db

#: Of the second the site is told when a pause begins and when it ends; the first keeps the date.
WAKES = {"alpha": False, "beta": True}
PEOPLE = 2
DAY = timedelta(days=1)
WISHES: dict[str, Change | None] = {
    "join": JOIN,
    "join offers": JOIN_OFFERS,
    "leave": LEAVE,
    "out": OUT,
    "back": BACK,
    "weekly": WEEKLY,
    "monthly": SetFrequency("", "", "monthly"),
    "pause": None,  # until when depends on the clock
}

ALIAS = st.sampled_from(sorted(WAKES))
WHO = st.integers(0, PEOPLE - 1)
WISH = st.sampled_from(sorted(WISHES))
STEP = st.one_of(
    st.tuples(st.just("wish"), WHO, WISH),
    st.tuples(st.just("wish"), WHO, WISH),
    st.tuples(st.just("deliver"), ALIAS),
    st.tuples(st.just("deliver"), ALIAS),
    st.tuples(st.just("outage"), ALIAS, st.booleans()),
    st.tuples(st.just("lose_answers"), ALIAS, st.integers(1, 3)),
    st.tuples(st.just("come_too_late"), ALIAS, WHO, WISH, WISH),
    st.tuples(st.just("die"), ALIAS, st.booleans()),
    st.tuples(st.just("leave_there"), ALIAS, WHO, st.sampled_from(["news", "offers"])),
    st.tuples(st.just("hear"), ALIAS, st.integers(0, 9), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 600, 90_000, 500_000])),
)


class Story:
    """One example: people, two platforms, a clock, and which paths must be a no by now."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock = clock
        self.people = [person(uuid4().hex) for _ in range(PEOPLE)]  # nobody from an example before
        self.left: set[tuple[UUID, str]] = set()

    def step(self, name: str, *arguments: Any) -> None:
        self.clock.shift(3)
        getattr(self, name)(*arguments)
        for platform in PLATFORMS.values():
            assert platform.wrong == []

    # --- people

    def wish(self, who: int, wish: str) -> None:
        contact = self.people[who]
        change = WISHES[wish] or Pause("", "", timezone.now() + DAY)
        save(contact, change)
        if isinstance(change, SetChoice):
            path = (contact, change.topic)
            (self.left.discard if change.value == SUBSCRIBED else self.left.add)(path)
        elif isinstance(change, OptOut):
            self.left |= {(contact, topic) for topic in ("news", "offers")}

    def leave_there(self, alias: str, who: int, topic: str) -> None:
        contact = self.people[who]
        heard = Delivery.objects.filter(backend=alias, contact=contact).exclude(remote_id="").exists()
        if heard and PLATFORMS[alias].leaves(contact, topic):
            self.left.add((contact, topic))

    # --- what goes wrong

    def outage(self, alias: str, away: bool) -> None:
        PLATFORMS[alias].away = away

    def lose_answers(self, alias: str, times: int) -> None:
        PLATFORMS[alias].loses_answers = times

    def come_too_late(self, alias: str, who: int, before: str, wish: str) -> None:
        """A call stands still until its lease is over; she wishes something else, and another worker delivers that."""

        def stand_still() -> None:
            self.clock.shift(3600)
            self.wish(who, wish)
            drain.drain(alias)
            self.clock.shift(1)

        self.wish(who, before)
        PLATFORMS[alias].first, PLATFORMS[alias].last = stand_still, None
        self.deliver(alias)

    def die(self, alias: str, before: bool) -> None:
        """A worker is gone in its call, and gives nothing back: its leases must end by themselves.

        Not one that came too late, here as there: where that ends before it can note it, nobody knows
        (docs/explanation/delivery.md).
        """
        PLATFORMS[alias].first = None

        def be_gone() -> None:
            Delivery.objects.filter(backend=alias).exclude(lease=None).update(lease=uuid4())
            raise Died

        setattr(PLATFORMS[alias], "first" if before else "last", be_gone)
        self.deliver(alias)

    # --- what goes on

    def deliver(self, alias: str) -> None:
        with suppress(Died):
            drain.drain(alias)

    def hear(self, alias: str, number: int, again: bool) -> None:
        """One of the events that wait, not the oldest first; `again`: it will be told once more."""
        events = PLATFORMS[alias].events
        if events:
            event = events[number % len(events)]
            if not again:
                events.remove(event)
            self._hear(alias, [event])

    def _hear(self, alias: str, events: Sequence[InboundEvent]) -> None:
        keep(alias, events)
        work_off_arrivals()

    def wait(self, seconds: int) -> None:
        self.clock.shift(seconds)

    # --- the end

    def settle(self) -> None:
        """All is well again, whatever is due is done, all news have come in, and all pauses are over."""
        for platform in PLATFORMS.values():
            platform.away, platform.loses_answers = False, 0
            platform.first = platform.last = None
        if Lane.objects.exclude(disabled_at=None).exists():
            drain.retry_now(list(WAKES))  # away for days: a person says that it is back
        for _ in range(12):
            self.clock.shift(2 * DAY)
            for alias, platform in PLATFORMS.items():
                events, platform.events = platform.events, []
                self._hear(alias, events)
                drain.drain(alias)
        assert not Arrival.objects.exclude(due_at=None).exists()
        assert not Delivery.objects.exclude(due_at=None).exists()
        assert not Delivery.objects.exclude(lease=None).exists()

    def check(self) -> None:
        for contact in self.people:
            target = load_target(contact)
            if not target.state.version:
                continue
            for alias, platform in PLATFORMS.items():
                assert platform.wrong == []
                assert platform.contacts[contact] == wanted(target, wakes=WAKES[alias])
            held = load_state(contact).choices
            back = {
                topic
                for who, topic in self.left
                if who == contact and held.get((topic, "email")) == SUBSCRIBED
            }
            assert back == set()


@pytest.fixture
def platforms(settings: Settings) -> Iterator[None]:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {
            alias: {"BACKEND": "tests.delivery.platforms.PlainBackend", "OPTIONS": {"WAKES": wakes}}
            for alias, wakes in WAKES.items()
        },
    }
    PLATFORMS.update({alias: Platform(alias) for alias in WAKES})
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)
    yield
    PLATFORMS.clear()


@pytest.mark.property
@hypothesis_settings(examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("wish", 0, "join"), ("wish", 0, "pause"), ("deliver", "beta")])
@example([("come_too_late", "alpha", 0, "join", "out")])
@example([("wish", 0, "join"), ("wish", 0, "pause"), ("deliver", "beta"), ("die", "beta", False)])
@example([("die", "alpha", False), ("come_too_late", "alpha", 0, "join", "join offers")])
@example(
    [
        ("come_too_late", "alpha", 1, "join", "leave"),
        ("wish", 1, "join"),
        ("leave_there", "alpha", 1, "news"),
        ("deliver", "alpha"),
    ]
)
@given(st.lists(STEP, min_size=8, max_size=25))
def test_both_platforms_end_at_the_newest_state(platforms: None, steps: list[tuple[Any, ...]]) -> None:
    for platform in PLATFORMS.values():
        platform.reset()
    for model in (Delivery, Lane, Arrival):
        model.objects.all().delete()
    with time_machine.travel(START + timedelta(milliseconds=500), tick=False) as clock:
        story = Story(clock)
        for step in steps:
            story.step(*step)
        story.settle()
        story.check()
