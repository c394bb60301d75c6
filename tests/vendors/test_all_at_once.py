"""All platforms at once, on the same people, and everything that may go wrong between: they all end at what she wishes.

Platforms that are away, answers that are lost or make no sense, calls that are held up, half a batch that fails, and
people who change their minds meanwhile. What one of them does holds up none of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.properties import examples
from tests.vendors.everybody import VENDORS, opened
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.backends.testing.arriving import crm_choices
from wagtail_prefs.backends.testing.driver import Driver
from wagtail_prefs.changes import Change, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED

pytestmark = pytest.mark.django_db

WHO = st.integers(0, 1)
WISHES: dict[str, Change | None] = {
    "join": SetChoice("news", "email", SUBSCRIBED),
    "join offers": SetChoice("offers", "email", SUBSCRIBED),
    "leave": SetChoice("news", "email", UNSUBSCRIBED),
    "leave offers": SetChoice("offers", "email", UNSUBSCRIBED),
    "out": OptOut(),
    "weekly": SetFrequency("", "", "weekly"),
    "city": SetAttribute("city", "Zürich"),
    "pause": None,
}
VENDOR = st.sampled_from(VENDORS)
STEP = st.one_of(
    st.tuples(st.just("wish"), WHO, st.sampled_from(sorted(WISHES))),
    st.tuples(st.just("wish"), WHO, st.sampled_from(sorted(WISHES))),
    st.tuples(st.just("deliver")),
    st.tuples(
        st.just("fault"),
        VENDOR,
        st.sampled_from(["away", "drop", "lose", "garble", "half", "status", "slow"]),
    ),
    st.tuples(st.just("heal"), VENDOR),
    st.tuples(st.just("wait"), st.sampled_from([1, 60, 3600, 90_000])),
)


@pytest.fixture
def everybody() -> Iterator[dict[str, VendorHarness]]:
    with opened(*VENDORS) as harnesses:
        yield harnesses


class Story:
    """One example: two people, and every platform."""

    def __init__(self, harnesses: dict[str, VendorHarness], settings: Any) -> None:
        self.harnesses = harnesses
        for harness in harnesses.values():
            harness.faults.heal()
            harness.platform.faults.heal()
            harness.reset()
        first = next(iter(harnesses.values()))
        self.driver = Driver(first, settings)
        entries = {vendor: harness.entry() for vendor, harness in harnesses.items()}
        settings.WAGTAIL_PREFS = {
            **settings.WAGTAIL_PREFS,
            "ALLOW_PRIVATE_HOSTS": True,
            "BACKENDS": entries,
        }
        backends.reset()
        # Nobody from an example before.
        self.people = [self.driver.person(email=f"{uuid4().hex}@mail.example.org") for _ in range(2)]

    def step(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)

    def wish(self, who: int, wish: str) -> None:
        change = WISHES[wish] or Pause("", "", timezone.now() + timedelta(days=3))
        self.driver.save(self.people[who], change)

    def deliver(self) -> None:
        run_once()

    def fault(self, vendor: str, kind: str) -> None:
        harness = self.harnesses[vendor]
        match kind:
            case "half":
                harness.platform.faults.half()
            case "status":
                harness.platform.faults.status(500)
            case "slow":
                harness.faults.slow_down(30, times=1)
            case "drop" | "lose" | "garble":
                getattr(harness.faults, kind)()
            case _:
                harness.faults.away()

    def heal(self, vendor: str) -> None:
        self.harnesses[vendor].faults.heal()
        self.harnesses[vendor].platform.faults.heal()

    def wait(self, seconds: int) -> None:
        self.driver.pass_time(timedelta(seconds=seconds))

    def end(self) -> None:
        """All is well again, and time passes: everything must have arrived then."""
        for vendor in self.harnesses:
            self.heal(vendor)
        for _ in range(12):
            self.wait(90_000)
            # What was refused for good waits for somebody who presses the button.
            Delivery.objects.exclude(delivered=F("wanted")).update(due_at=timezone.now())
            Lane.objects.update(paused_until=None, open_since=None, failures=0)
            run_once()
            if not Delivery.objects.exclude(delivered__gte=F("wanted"), checking=False).exists():
                break
        for vendor, harness in self.harnesses.items():
            for person in self.people:
                self._agrees(vendor, harness, person)
            assert harness.platform.violations == []
            assert harness.platform.crashes == []

    def _agrees(self, vendor: str, harness: VendorHarness, person: UUID) -> None:
        row = Delivery.objects.filter(backend=vendor, contact=person).first()
        assert row is None or row.delivered >= row.wanted, (vendor, row.last_code)
        seen = harness.seen(self.driver.email(person))
        wanted = crm_choices(self.driver, person)
        assert (seen.subscribed if seen else frozenset()) == wanted, vendor
        state = self.driver.target(person).state
        if seen is not None and (state.opted_out or wanted):
            assert seen.opted_out == state.opted_out, vendor
        if wanted and (said := state.frequencies.get(("", ""))):
            assert seen is not None
            assert seen.frequencies == {("", ""): said}, vendor
        if wanted and (city := state.attributes.get("city")):
            assert seen is not None
            assert seen.attributes.get("city") == city, vendor


@pytest.mark.property
@hypothesis_settings(examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=2, max_size=14))
def test_whatever_happens_all_end_at_what_she_wishes(
    everybody: dict[str, VendorHarness], settings: Any, steps: list[tuple[Any, ...]]
) -> None:
    story = Story(everybody, settings)
    for step in steps:
        story.step(*step)
    story.end()


def test_one_that_is_away_holds_up_none_of_the_others(
    everybody: dict[str, VendorHarness], settings: Any
) -> None:
    story = Story(everybody, settings)
    away = VENDORS[0]
    story.fault(away, "away")
    story.wish(0, "join")
    story.wish(0, "city")
    story.deliver()
    for _ in range(3):
        story.wait(120)
        story.deliver()
    for vendor, harness in everybody.items():
        seen = harness.seen(story.driver.email(story.people[0]))
        expected = frozenset() if vendor == away else {("news", "email")}
        assert (seen.subscribed if seen else frozenset()) == expected, vendor
    story.end()
