"""Braze's traps: what somebody would write on a Friday does harm over there, visibly, and what we send does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from example_site.platforms.braze import Braze
from tests.vendors.bringing import EMAIL, bring, left_all, said_no, said_yes, somebody, submission
from tests.vendors.test_braze_conformance import OPTIONS
from wagtail_prefs.backends.braze import BrazeBackend
from wagtail_prefs.delivery.jobs import agrees
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Outcome

NEWS, OFFERS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
YES = {("news", "email"): SUBSCRIBED}
TRACK, SET = "/users/track", "/v2/subscription/status/set"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Braze]:
    with Braze() as platform:
        yield platform
        assert platform.crashes == []


@pytest.fixture
def ours(platform: Braze) -> BrazeBackend:
    return BrazeBackend("braze", {**OPTIONS, "URL": platform.url})


def her(platform: Braze) -> dict[str, Any]:
    person = platform.person(EMAIL)
    assert person is not None
    return person


def user(**values: Any) -> dict[str, Any]:
    return {"attributes": [{"email": EMAIL, "_update_existing_only": False, **values}]}


def group(remote: str, state: str) -> list[dict[str, str]]:
    return [{"subscription_group_id": remote, "subscription_state": state}]


def test_a_201_is_not_done(platform: Braze, ours: BrazeBackend) -> None:
    """Naive: 201 and "success". The one object of it was refused."""
    answer = ours.call("POST", TRACK, json=user(city="x" * 300))
    assert (answer.status, answer.json()["message"]) == (201, "success")
    assert platform.profiles == []
    (result,) = ours.execute(ours.plan(somebody(attributes={"city": "x" * 300}), []))
    assert result.outcome is Outcome.REFUSED


def test_an_attribute_that_is_refused_takes_the_no_with_it(platform: Braze, ours: BrazeBackend) -> None:
    """Naive: everything in one object. She goes on getting what she left, because her city is too long."""
    bring(ours, somebody(choices=YES))
    body = user(city="x" * 300, subscription_groups=group(NEWS, "unsubscribed"))
    ours.call("POST", TRACK, json=body)
    assert her(platform)["groups"] == {NEWS: "subscribed"}
    left = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED}, attributes={"city": "x" * 300})
    bring(ours, left, submission(2, said_no("news")))
    assert her(platform)["groups"] == {NEWS: "unsubscribed"}


def test_an_address_names_every_profile_that_has_it(platform: Braze, ours: BrazeBackend) -> None:
    """Naive: takes the address for a person. Two share it, and both get what one of them chose; an id tells them apart."""
    for name in ("mother", "son"):
        profile: dict[str, Any] = {
            "braze_id": name,
            "external_id": name,
            "email": EMAIL,
            "groups": {},
            "attributes": {},
        }
        platform.profiles.append({**profile, "push": "subscribed"})
    ours.call("POST", TRACK, json=user(city="Bonn"))
    assert [each["attributes"] for each in platform.profiles] == [{"city": "Bonn"}] * 2
    by_id = BrazeBackend("braze", {**OPTIONS, "URL": platform.url, "IDENTIFY_BY": "external_id"})
    from dataclasses import replace

    target = somebody(choices=YES)
    son = replace(target, identifiers=replace(target.identifiers, external_id="son"))
    bring(by_id, son)
    assert [each["groups"] for each in platform.profiles] == [{}, {NEWS: "subscribed"}]


def test_no_order_between_calls_is_promised(platform: Braze, ours: BrazeBackend) -> None:
    """Naive: yes by one call, no by the next, and done. The queue is worked off backwards, and she is back in."""
    platform.is_slow = True
    ours.call("POST", TRACK, json=user(subscription_groups=group(NEWS, "subscribed")))
    ours.call("POST", TRACK, json=user(subscription_groups=group(NEWS, "unsubscribed")))
    platform.process(backwards=True)
    assert her(platform)["groups"] == {NEWS: "subscribed"}
    platform.forget_everybody()
    platform.is_slow = True
    bring(ours, somebody(choices=YES), submission(1, said_yes("news")))
    left = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    results = bring(ours, left, submission(2, said_no("news")))
    assert results["leave"].outcome is Outcome.ACCEPTED_UNKNOWN  # the engine looks, a minute later
    platform.process(backwards=True)
    assert not agrees(left, ours.read(left), ours.capabilities, ours.maps)
    bring(ours, left)  # and says it again
    platform.process()
    assert agrees(left, ours.read(left), ours.capabilities, ours.maps)


def test_success_means_queued(platform: Braze, ours: BrazeBackend) -> None:
    """Naive: reads back at once, and takes what is queued for lost."""
    platform.is_slow = True
    bring(ours, somebody(choices=YES))
    assert ours.read(somebody(choices=YES)) is None
    platform.process()
    assert ours.read(somebody(choices=YES)) is not None
    assert ours.capabilities.read_back == "eventual"


def test_to_leave_mail_by_its_global_state_alone_leaves_text_messages(
    platform: Braze, ours: BrazeBackend
) -> None:
    """Naive: "unsubscribe from all" is `email_subscribe`. Her groups by other channels go on."""
    texts = "44444444-4444-4444-8444-444444444444"
    both = BrazeBackend(
        "braze", {**OPTIONS, "URL": platform.url, "TOPICS": {"news": {"email": NEWS, "sms": texts}}}
    )
    choices = {("news", "email"): SUBSCRIBED, ("news", "sms"): SUBSCRIBED}
    bring(both, somebody(choices=choices))
    both.call("POST", "/email/status", json={"email": [EMAIL], "subscription_state": "unsubscribed"})
    assert her(platform)["groups"][texts] == "subscribed"
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(choices, UNSUBSCRIBED))
    bring(both, out, submission(2, left_all()))
    assert set(her(platform)["groups"].values()) == {"unsubscribed"}


def test_seventy_six_are_refused_together(platform: Braze, ours: BrazeBackend) -> None:
    platform.strict = False
    one = user(city="Bonn")["attributes"]
    assert ours.call("POST", TRACK, json={"attributes": one * 76}, accept={400}).status == 400
    assert ours.call("POST", TRACK, json={"attributes": one * 75}).status == 201


@pytest.mark.parametrize(
    "body",
    [
        user(email_subscribe="yes"),
        user(subscription_groups=[{"subscription_group_id": NEWS, "state": "subscribed"}]),
        user(subscription_groups=[{"subscription_group_id": "News", "subscription_state": "subscribed"}]),
        user(profile={"city": "Bonn"}),
        {"attributes": [{"_update_existing_only": False, "city": "Bonn"}]},
        {"attributes": [], "events": []},
    ],
)
def test_a_slip_of_the_pen_breaks_the_contract(
    platform: Braze, ours: BrazeBackend, body: dict[str, Any]
) -> None:
    assert ours.call("POST", TRACK, json=body, accept={400}).status == 400
    assert platform.violations
    assert EMAIL not in " ".join(platform.violations)


def test_mails_and_groups_of_others_are_left_alone(platform: Braze, ours: BrazeBackend) -> None:
    """Groups that TOPICS does not name, and states of people who said nothing, stay as they are."""
    platform.groups[OFFERS] = "Offers"
    bring(ours, somebody(choices=YES))
    ours.call(
        "POST", SET, json={"subscription_groups": [{**group(OFFERS, "subscribed")[0], "emails": [EMAIL]}]}
    )
    left = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    bring(ours, left, submission(2, said_no("news")))
    assert her(platform)["groups"] == {NEWS: "unsubscribed", OFFERS: "subscribed"}
    assert her(platform)["email_subscribe"] == "opted_in"
