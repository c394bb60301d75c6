"""The webhooks of vendors through the front door: theirs are kept at once and looked at later; nobody else's are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from example_site.platforms.server import Platform
from tests.vendors.everybody import VENDORS, opened, stand_in
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.backends.testing.driver import Driver, yes
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.values import SUBSCRIBED, Inbound

pytestmark = pytest.mark.django_db

SECRET = "nobody-guesses-this-word-of-the-tests"
EMAIL = "reader@mail.example.org"
FLOOD = 100


#: The vendors that have webhooks.
HOOKED = [vendor for vendor in VENDORS if type(stand_in(vendor)).hook is not Platform.hook]


@pytest.fixture(params=HOOKED)
def harness(request: pytest.FixtureRequest) -> Iterator[VendorHarness]:
    with opened(request.param) as harnesses:
        yield harnesses[request.param]


@pytest.fixture
def crm(harness: VendorHarness, settings: Any) -> Driver:
    from importlib import import_module

    driver = Driver(harness, settings)
    module = import_module(f"example_site.platforms.{harness.alias}")
    signed = module.demo_options("", {"news": {"email": "1"}})
    entry = harness.entry()
    # With the secret that the stand-in signs with.
    options = {
        **entry["OPTIONS"],
        **{name: signed[name] for name in signed if "SIGNING" in name or "CLIENT_SECRET" in name},
    }
    driver.use({**entry, "OPTIONS": options, "INBOUND_SECRETS": [SECRET]})
    assert backends[harness.alias].capabilities.inbound is Inbound.SIGNED
    return driver


def send(client: Client, harness: VendorHarness, hook: tuple[bytes, dict[str, str]] | None) -> int:
    assert hook is not None
    body, headers = hook
    rest = {name: value for name, value in headers.items() if name != "Content-Type"}
    answer = client.generic(
        "POST",
        f"/prefs/api/v1/inbound/{harness.alias}/{SECRET}/",
        body,
        content_type=headers["Content-Type"],
        headers=rest,
    )
    return answer.status_code


def left(crm: Driver, harness: VendorHarness) -> Any:
    person = crm.person(*map(yes, harness.topics), email=EMAIL)
    crm.deliver()
    harness.platform.leave(EMAIL)
    return person


def test_a_leave_is_kept_at_once_and_obeyed_later(
    crm: Driver, harness: VendorHarness, client: Client
) -> None:
    person = left(crm, harness)
    assert send(client, harness, harness.platform.hook(EMAIL)) == 204
    assert crm.target(person).state.choices[harness.topics[0]] == SUBSCRIBED
    work_off_arrivals()
    assert SUBSCRIBED not in crm.target(person).state.choices.values()


def test_a_replay_is_known(crm: Driver, harness: VendorHarness, client: Client) -> None:
    left(crm, harness)
    hook = harness.platform.hook(EMAIL)
    assert [send(client, harness, hook) for _ in range(3)] == [204] * 3
    assert Arrival.objects.count() == 1


def test_a_yes_of_hers_afterwards_outlives_a_replay(
    crm: Driver, harness: VendorHarness, client: Client
) -> None:
    person = left(crm, harness)
    hook = harness.platform.hook(EMAIL)
    send(client, harness, hook)
    work_off_arrivals()
    crm.save(person, yes(harness.topics[0]))
    send(client, harness, hook)
    work_off_arrivals()
    assert crm.target(person).state.choices[harness.topics[0]] == SUBSCRIBED


@pytest.mark.parametrize("what", ["tampered", "late", "early", "unsigned"])
def test_what_is_not_theirs_is_refused(
    crm: Driver, harness: VendorHarness, client: Client, what: str
) -> None:
    left(crm, harness)
    hook = harness.platform.hook(EMAIL)
    assert hook is not None
    body, headers = hook
    match what:
        case "tampered":
            body = body.replace(b"reader", b"riader") if b"reader" in body else body.replace(b"1", b"2")
            assert send(client, harness, (body, headers)) == 400
        case "late" | "early":
            with time_machine.travel(time.time() + (301 if what == "late" else -302)):
                assert send(client, harness, hook) == 400
        case _:
            bare = {name: value for name, value in headers.items() if "ignature" not in name}
            assert send(client, harness, (body, bare)) == 400
    assert not Arrival.objects.exists()


def test_a_flood_is_answered_without_looking_at_it(
    crm: Driver, harness: VendorHarness, client: Client
) -> None:
    """A statement or two for each, and nobody's row: whom it is about is looked up by the worker."""
    person = left(crm, harness)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for number in range(FLOOD):
            hook = harness.platform.hook(EMAIL if number == 0 else f"reader-{number}@mail.example.org")
            assert send(client, harness, hook) in {204, 429}
    assert len(queries) <= 4 * FLOOD
    assert not any("wagtail_prefs_contact" in query["sql"] for query in queries)
    assert crm.target(person).state.choices[harness.topics[0]] == SUBSCRIBED
    work_off_arrivals()
    assert SUBSCRIBED not in crm.target(person).state.choices.values()
