"""What the Braze backend plans, makes of answers, finds missing over there, and hears when it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured

from example_site.platforms.braze import Braze
from example_site.platforms.server import Limit
from tests.vendors.bringing import (
    AT,
    EMAIL,
    bring,
    just_now,
    left_all,
    pause,
    said_no,
    said_yes,
    somebody,
    submission,
)
from tests.vendors.test_braze_conformance import OPTIONS
from wagtail_prefs.backends import braze
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.braze import BATCH, STATUS_BATCH, BrazeBackend
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Effect,
    Identifiers,
    InboundEvent,
    Outcome,
)

NEWS, OFFERS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
TEXTS = "44444444-4444-4444-8444-444444444444"
YES = {("news", "email"): SUBSCRIBED}
BOTH = {**YES, ("offers", "email"): SUBSCRIBED}


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Braze]:
    with Braze() as platform:
        yield platform
        assert platform.violations == []
        assert platform.crashes == []


@pytest.fixture
def made(platform: Braze) -> Callable[..., BrazeBackend]:
    def make(**options: Any) -> BrazeBackend:
        return BrazeBackend("braze", {**OPTIONS, "URL": platform.url, **options})

    return make


@pytest.fixture
def backend(made: Callable[..., BrazeBackend]) -> BrazeBackend:
    return made()


def held(platform: Braze, email: str = EMAIL) -> dict[str, Any]:
    person = platform.person(email)
    assert person is not None
    return person


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"INSTANCE": "https://rest.braze.example"}, "INSTANCE"),
        ({"INSTANCE": "https://rest.fra-01.braze.eu.evil.example"}, "INSTANCE"),
        ({"INSTANCE": "http://rest.fra-01.braze.eu"}, "INSTANCE"),
        ({"IDENTIFY_BY": "phone"}, "IDENTIFY_BY"),
        ({"TOPICS": {"news": {"email": "News"}}}, "TOPICS"),
        ({"TOPICS": {"news": {"post": NEWS}}}, "channels"),
        ({"PAUSE_FIELDS": {"all": "1st"}}, "custom attributes"),
        ({"ATTRIBUTES": {"mail": "email_subscribe"}}, "custom attributes"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    made: Callable[..., BrazeBackend], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        made(**options)


# --- plan -------------------------------------------------------------------------------------------------------------


def test_a_person_is_one_object(backend: BrazeBackend, platform: Braze) -> None:
    """Groups, states and attributes together: nothing says in which order two calls are processed."""
    her = somebody(
        choices=BOTH,
        frequencies={("", ""): "weekly"},
        pauses={("", ""): pause()},
        attributes={"city": "Zürich", "interests": ["trees"]},
    )
    (operation,) = backend.plan(her, [just_now(1, said_yes("news"), said_yes("offers"))])
    assert (operation.kind, operation.restricts) == ("track", False)
    (result,) = backend.execute([operation])
    assert result.outcome is Outcome.DONE
    person = held(platform)
    assert person["groups"] == {NEWS: "subscribed", OFFERS: "subscribed"}
    assert person["email_subscribe"] == "opted_in"
    assert person["custom_attributes"] == {
        "city": "Zürich",
        "interests": ["trees"],
        "pref_freq": "weekly",
        "pref_paused_until": "2027-03-03T00:00:00Z",
    }
    assert [path for _method, path, _status in platform.calls] == ["/users/track"]


def test_a_no_goes_in_a_lean_object_of_its_own(backend: BrazeBackend) -> None:
    her = somebody(
        version=2,
        choices={**YES, ("offers", "email"): UNSUBSCRIBED},
        attributes={"city": "Bonn"},
        versions={"choice:news:email": 1, "choice:offers:email": 2, "attribute:city": 2},
    )
    leave, track = backend.plan(her, [submission(2, said_no("offers"))])
    assert (leave.kind, leave.restricts) == ("leave", True)
    assert leave.payload == {"email": EMAIL, "groups": {OFFERS: "unsubscribed"}}
    assert (track.kind, track.restricts) == ("track", False)
    assert track.payload == {"email": EMAIL, "values": {"city": "Bonn"}}


def test_only_what_is_new_costs_a_data_point(backend: BrazeBackend) -> None:
    her = somebody(
        version=5,
        choices=BOTH,
        attributes={"city": "Bonn", "children": 2},
        versions={
            "choice:news:email": 1,
            "choice:offers:email": 1,
            "attribute:city": 5,
            "attribute:children": 2,
        },
    )
    (operation,) = backend.plan(her, [submission(5, Effect("attribute:city", "Ulm", "Bonn", "set"))])
    assert operation.payload == {"email": EMAIL, "values": {"city": "Bonn"}}


def test_a_channel_has_a_group_of_its_own(made: Callable[..., BrazeBackend], platform: Braze) -> None:
    backend = made(TOPICS={"news": {"email": NEWS, "sms": TEXTS}})
    her = somebody(choices={("news", "email"): UNSUBSCRIBED, ("news", "sms"): SUBSCRIBED})
    bring(backend, her, submission(1, said_no("news"), said_yes("news", "sms")))
    person = held(platform)
    assert person["groups"] == {NEWS: "unsubscribed", TEXTS: "subscribed"}
    assert person["email_subscribe"] == "subscribed"  # as it was: a text message opts nobody in to mail
    known = backend.read(her)
    assert known is not None
    assert known.choices == {("news", "email"): UNSUBSCRIBED, ("news", "sms"): SUBSCRIBED}


def test_everything_is_left_on_all_channels(backend: BrazeBackend, platform: Braze) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    results = bring(backend, out, submission(2, left_all()))
    assert set(results) == {"opt-out"}
    person = held(platform)
    assert (person["email_subscribe"], person["push_subscribe"]) == ("unsubscribed", "unsubscribed")
    assert set(person["groups"].values()) == {"unsubscribed"}


def test_what_she_takes_back_is_taken_away(backend: BrazeBackend, platform: Braze) -> None:
    bring(backend, somebody(choices=YES, attributes={"city": "Bonn"}))
    gone = somebody(version=2, choices=YES, versions={"choice:news:email": 1, "attribute:city": 2})
    bring(backend, gone, submission(2, Effect("attribute:city", "Bonn", None, "cleared")))
    assert held(platform)["custom_attributes"] == {}


def test_an_old_address_gets_no_mail_whoever_has_it(backend: BrazeBackend, platform: Braze) -> None:
    bring(backend, somebody("old@mail.example.org", choices=YES))
    moved = somebody(
        "new@mail.example.org",
        version=2,
        choices=YES,
        retired=["old@mail.example.org", "never.known@mail.example.org"],
    )
    operations = backend.plan(moved, [submission(2)])
    assert [each.kind for each in operations] == ["former", "former", "track"]
    assert [result.outcome for result in backend.execute(operations[:2])] == [Outcome.DONE] * 2
    assert platform.states["old@mail.example.org"]["state"] == "unsubscribed"
    assert platform.states["never.known@mail.example.org"]["state"] == "unsubscribed"
    assert len(platform.profiles) == 1


def test_known_by_her_id_her_address_moves_with_her(
    made: Callable[..., BrazeBackend], platform: Braze
) -> None:
    backend = made(IDENTIFY_BY="external_id")

    def her(email: str, **state: Any) -> Any:
        target = somebody(email, choices=YES, **state)
        return replace(target, identifiers=replace(target.identifiers, external_id="c-17"))

    bring(backend, her("old@mail.example.org"))
    moved = her("new@mail.example.org", version=2, retired=["old@mail.example.org"])
    bring(backend, moved, submission(2))
    assert len(platform.profiles) == 1
    assert held(platform, "new@mail.example.org")["email_subscribe"] == "opted_in"
    assert platform.states["old@mail.example.org"]["state"] == "unsubscribed"
    assert backend.erase(moved.identifiers).outcome is Outcome.DONE
    assert platform.profiles == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_late_yes_brings_back_nobody_who_left_since(
    backend: BrazeBackend, platform: Braze, monkeypatch: pytest.MonkeyPatch, *, listed: bool
) -> None:
    """Braze was away, or she is brought over for the first time; found in the list of the days, or by her address."""
    if not listed:
        monkeypatch.setattr(braze, "PAGES", 0)
    bring(backend, somebody(choices=YES), just_now(1, said_yes("news")))
    platform.leave(EMAIL)
    her = somebody(
        version=2,
        choices=BOTH,
        attributes={"city": "Ulm"},
        versions={"choice:news:email": 1, "choice:offers:email": 2, "attribute:city": 2},
    )
    result = bring(backend, her, submission(2, said_yes("offers")))["track"]
    assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
    assert held(platform)["email_subscribe"] == "unsubscribed"
    assert held(platform)["groups"] == {NEWS: "subscribed"}
    assert held(platform)["custom_attributes"]["city"] == "Ulm"
    # Of two yeses the one that is newer brings back itself alone.
    platform.states[EMAIL]["at"] = "2026-11-22T09:30:00.000000+00:00"
    said = [
        replace(submission(1, said_yes("news")), at=AT - timedelta(days=1)),
        replace(submission(2, said_yes("offers")), at=AT + timedelta(hours=1)),
    ]
    result = bring(backend, replace(her, again=1), *said)["track"]
    assert result.code == "left-over-there"
    assert held(platform)["email_subscribe"] == "opted_in"
    assert held(platform)["groups"] == {NEWS: "unsubscribed", OFFERS: "subscribed"}


def test_a_late_yes_of_somebody_without_an_address_is_told(
    made: Callable[..., BrazeBackend], platform: Braze
) -> None:
    """Known by her id alone: there is no address that could have left."""
    her = replace(somebody(choices=YES), identifiers=Identifiers(external_id="c-17"))
    result = bring(made(IDENTIFY_BY="external_id"), her, submission(1, said_yes("news")))["track"]
    assert result.outcome is Outcome.DONE
    assert platform.profiles[0]["groups"] == {NEWS: "subscribed"}


def test_a_group_that_she_left_over_there_stays_left_when_she_moves(
    made: Callable[..., BrazeBackend], platform: Braze
) -> None:
    """Known by her id she is the same person: her old yeses are not said again."""
    backend = made(IDENTIFY_BY="external_id")

    def her(email: str, **state: Any) -> Any:
        target = somebody(email, choices=YES, **state)
        return replace(target, identifiers=replace(target.identifiers, external_id="c-17"))

    bring(backend, her("old@mail.example.org"))
    groups = platform.profiles[0]["groups"]
    groups.update(dict.fromkeys(groups, "unsubscribed"))
    moved = her(
        "new@mail.example.org", version=2, retired=["old@mail.example.org"], versions={"choice:news:email": 1}
    )
    bring(backend, moved, submission(2))
    known = backend.read(moved)
    assert known is not None
    assert known.choices == {("news", "email"): UNSUBSCRIBED}


def test_she_moves_while_she_is_out_and_comes_back(
    made: Callable[..., BrazeBackend], platform: Braze
) -> None:
    """Her yes opts in the address that she has now, and none that is not hers any more."""
    backend = made(IDENTIFY_BY="external_id")

    def her(email: str, **state: Any) -> Any:
        target = somebody(email, **state)
        return replace(target, identifiers=replace(target.identifiers, external_id="c-17"))

    bring(backend, her("old@mail.example.org", choices=YES))
    no = {("news", "email"): UNSUBSCRIBED}
    bring(
        backend, her("old@mail.example.org", version=2, opted_out=True, choices=no), submission(2, left_all())
    )
    moved = her(
        "new@mail.example.org", version=3, opted_out=True, choices=no, retired=["old@mail.example.org"]
    )
    bring(backend, moved, submission(3))
    assert platform.person("old@mail.example.org") is None
    bring(backend, her("new@mail.example.org", version=4, choices=YES), just_now(4, said_yes("news")))
    assert held(platform, "new@mail.example.org")["email_subscribe"] == "opted_in"
    assert platform.states["old@mail.example.org"]["state"] == "unsubscribed"


# --- what Braze says --------------------------------------------------------------------------------------------------


def test_half_a_batch_fails_and_it_is_known_which(backend: BrazeBackend, platform: Braze) -> None:
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), attributes={"city": "Ulm"})
        for number in range(6)
    ]
    operations = [backend.plan(person, [])[0] for person in people]
    platform.faults.half()
    results = backend.execute(operations)
    assert [result.outcome for result in results] == [Outcome.REFUSED, Outcome.DONE] * 3
    assert len(platform.profiles) == 3


def test_a_refused_attribute_keeps_nobody_in_or_out(backend: BrazeBackend, platform: Braze) -> None:
    """Braze refuses the whole object: her groups go alone then, and staff see what was refused."""
    bring(backend, somebody(choices=YES))
    her = somebody(
        version=2,
        choices={("news", "email"): UNSUBSCRIBED, ("offers", "email"): SUBSCRIBED},
        attributes={"city": "x" * 300},
    )
    results = bring(backend, her, submission(2, said_no("news"), said_yes("offers")))
    assert results["leave"].outcome is Outcome.ACCEPTED_UNKNOWN
    assert (results["track"].outcome, results["track"].code) == (Outcome.REFUSED, "object-refused")
    assert held(platform)["groups"] == {NEWS: "unsubscribed", OFFERS: "subscribed"}
    assert held(platform)["custom_attributes"] == {}


def test_a_refused_attribute_holds_back_no_yes_after_an_opt_out(
    backend: BrazeBackend, platform: Braze
) -> None:
    bring(backend, somebody(opted_out=True, choices={("news", "email"): UNSUBSCRIBED}))
    back = somebody(version=2, choices=YES, attributes={"city": "x" * 300})
    bring(backend, back, just_now(2, said_yes("news")))
    assert held(platform)["email_subscribe"] == "opted_in"
    assert held(platform)["groups"] == {NEWS: "subscribed"}


def test_many_who_are_refused_cost_one_call_more(backend: BrazeBackend, platform: Braze) -> None:
    people = [
        somebody(
            f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES, attributes={"city": "x" * 300}
        )
        for number in range(20)
    ]
    said = just_now(1, said_yes("news"))
    results = backend.execute([backend.plan(person, [said])[0] for person in people])
    assert {result.outcome for result in results} == {Outcome.REFUSED}
    assert [path for _method, path, _status in platform.calls] == ["/users/track", "/users/track"]
    assert len(platform.profiles) == 20


def test_a_refused_no_is_said_in_another_way(backend: BrazeBackend, platform: Braze) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    operations = backend.plan(out, [submission(2, left_all())])
    platform.faults.half()
    (result,) = backend.execute(operations)
    assert result.outcome is Outcome.ACCEPTED_UNKNOWN
    assert held(platform)["email_subscribe"] == "unsubscribed"
    assert set(held(platform)["groups"].values()) == {"unsubscribed"}


def test_what_another_order_would_spoil_is_looked_up(backend: BrazeBackend) -> None:
    first = bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    assert first["track"].outcome is Outcome.DONE
    no = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    assert bring(backend, no, submission(2, said_no("news")))["leave"].outcome is Outcome.ACCEPTED_UNKNOWN
    again = bring(backend, somebody(version=3, choices=YES), submission(3, said_yes("news")))
    assert again["track"].outcome is Outcome.ACCEPTED_UNKNOWN


@pytest.mark.parametrize(
    ("happens", "outcome", "code"),
    [
        (lambda platform: platform.faults.status(429), Outcome.RATE_LIMITED, "http-429"),
        (lambda platform: platform.faults.status(500), Outcome.RETRY, "http-500"),
        (lambda platform: platform.faults.status(400), Outcome.REFUSED, "http-400"),
        (lambda platform: platform.permissions.remove("users.track"), Outcome.MISCONFIGURED, "http-401"),
        (lambda platform: platform.faults.drop(), Outcome.RETRY, "connection"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    backend: BrazeBackend,
    platform: Braze,
    happens: Callable[[Braze], None],
    outcome: Outcome,
    code: str,
) -> None:
    operations = backend.plan(somebody(choices=YES), [])
    happens(platform)
    (result,) = backend.execute(operations)
    assert (result.outcome, result.code) == (outcome, code)
    assert EMAIL not in repr(result)


def test_it_waits_until_the_limit_ends(backend: BrazeBackend, platform: Braze) -> None:
    """Braze says the moment, and has no Retry-After."""
    platform.limit = Limit(1, 60)
    operations = backend.plan(somebody(choices=YES), [just_now(1, said_yes("news"))])
    assert backend.execute(operations)[0].outcome is Outcome.DONE
    (result,) = backend.execute(operations)
    assert result.outcome is Outcome.RATE_LIMITED
    assert result.retry_after is not None
    assert 50 < result.retry_after <= 62


def test_calls_are_as_large_as_braze_takes(backend: BrazeBackend) -> None:
    assert backend.capabilities.batch_size == BATCH == backend.most("track") == backend.most("leave")
    assert backend.most("former") == STATUS_BATCH


# --- read -------------------------------------------------------------------------------------------------------------


def test_of_two_profiles_with_one_address_the_strictest_counts(
    backend: BrazeBackend, platform: Braze
) -> None:
    platform.profiles += [
        {
            "braze_id": name,
            "external_id": name,
            "email": EMAIL,
            "groups": {NEWS: state},
            "attributes": {},
            "push": "subscribed",
        }
        for name, state in (("a", "unsubscribed"), ("b", "subscribed"))
    ]
    known = backend.read(somebody(choices=YES))
    assert known is not None
    assert known.choices == {("news", "email"): UNSUBSCRIBED}


def test_who_left_mail_over_there_has_no_yes_to_mail(
    made: Callable[..., BrazeBackend], platform: Braze
) -> None:
    backend = made(TOPICS={"news": {"email": NEWS, "sms": TEXTS}})
    her = somebody(choices={**YES, ("news", "sms"): SUBSCRIBED})
    bring(backend, her)
    platform.leave(EMAIL)
    known = backend.read(her)
    assert known is not None
    assert (known.opted_out, known.choices) == (None, {("news", "sms"): SUBSCRIBED})


def test_no_answer_is_none(backend: BrazeBackend, platform: Braze) -> None:
    her = somebody(choices=YES)
    assert backend.read(her) is None
    platform.faults.status(500)
    with pytest.raises(PlatformError):
        backend.read(her)


# --- poll -------------------------------------------------------------------------------------------------------------


def test_who_left_is_asked_for_page_by_page(
    backend: BrazeBackend, platform: Braze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(braze, "PAGE", 2)
    with time_machine.travel(AT, tick=True):
        for number in range(5):
            platform.leave(f"reader-{number}@mail.example.org")
        found: list[InboundEvent] = []
        cursor, more = "", True
        while more:
            polled = backend.poll(cursor)
            found += polled.events
            cursor, more = polled.cursor, polled.more
        assert [event.identifiers.email for event in found] == [
            f"reader-{number}@mail.example.org" for number in range(5)
        ]
        assert {event.changes for event in found} == {(SetChoice("", "email", UNSUBSCRIBED),)}
        assert all(event.at is not None and event.at.tzinfo for event in found)
        assert len({event.event_id for event in found}) == 5
        # Asked again: the same, which is known by its ids, and what came meanwhile.
        platform.leave("late@mail.example.org")
        known = {event.event_id for event in found}
        new: list[InboundEvent] = []
        more = True
        while more:
            polled = backend.poll(cursor)
            new += [event for event in polled.events if event.event_id not in known]
            cursor, more = polled.cursor, polled.more
        assert [each.identifiers.email for each in new] == ["late@mail.example.org"]


def test_days_of_absence_are_made_up_for(backend: BrazeBackend, platform: Braze) -> None:
    """The worker stood still for a week: the whole week is told, also where somebody dropped off the list meanwhile."""
    with time_machine.travel(AT, tick=False):
        platform.leave("then@mail.example.org")
        cursor = backend.poll("").cursor
    with time_machine.travel(datetime(2026, 11, 25, 10, tzinfo=UTC), tick=False):
        platform.leave("between@mail.example.org")
    with time_machine.travel(datetime(2026, 11, 29, 10, tzinfo=UTC), tick=False):
        del platform.states["then@mail.example.org"]
        platform.leave("now@mail.example.org")
        polled = backend.poll(cursor)
        assert [event.identifiers.email for event in polled.events] == [
            "between@mail.example.org",
            "now@mail.example.org",
        ]
        assert json.loads(polled.cursor) == ["2026-11-28", 0]
        assert [each.identifiers.email for each in backend.poll(polled.cursor).events] == [
            "now@mail.example.org"
        ]


@pytest.mark.parametrize("cursor", ["", "junk", "[]", '["yesterday", 0]', '["2026-11-20", "x"]'])
def test_a_cursor_that_is_none_begins_with_yesterday(
    backend: BrazeBackend, platform: Braze, cursor: str
) -> None:
    with time_machine.travel(AT, tick=False):
        assert json.loads(backend.poll(cursor).cursor) == ["2026-11-21", 0]


# --- check ------------------------------------------------------------------------------------------------------------


def test_all_is_well(backend: BrazeBackend) -> None:
    assert backend.check() == []


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda platform: platform.groups.pop(OFFERS), 'no subscription group 2222.*"offers" by email'),
        (lambda platform: platform.permissions.remove("users.export.ids"), "users.export.ids"),
        (lambda platform: platform.permissions.remove("email.unsubscribe"), "email.unsubscribe.*not noticed"),
        (lambda platform: platform.permissions.remove("subscription.groups.get"), "subscription.groups.get"),
    ],
)
def test_what_is_missing_over_there_is_named(
    backend: BrazeBackend, platform: Braze, happens: Callable[[Braze], Any], words: str
) -> None:
    happens(platform)
    (problem,) = backend.check()
    assert problem.level == "error"
    assert re.search(words, problem.text)


def test_who_is_forgotten_is_gone_from_every_profile(backend: BrazeBackend, platform: Braze) -> None:
    bring(backend, somebody(choices=YES))
    platform.profiles += [
        {**platform.profiles[0], "braze_id": f"another-{number}"} for number in range(STATUS_BATCH + 1)
    ]
    for _ in range(2):
        assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert platform.profiles == []
    assert backend.erase(Identifiers()).outcome is Outcome.DONE
