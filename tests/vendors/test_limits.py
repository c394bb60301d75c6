"""Limits of platforms, at their real size: two workers together never make more calls than are documented.

How near they come to it is measured by `make bench`: no test looks at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import OperationalError, connection

from example_site.platforms.demo import PLATFORMS
from example_site.platforms.server import Limit
from tests.vendors.everybody import VENDORS, opened
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends import fields
from wagtail_prefs.backends.testing.driver import Driver, yes
from wagtail_prefs.delivery.engine import deliver
from wagtail_prefs.delivery.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

#: What each documents: calls in seconds. The others count a day's calls, or calls at the same time.
DOCUMENTED = {"customerio": (100, 1.0), "hubspot": (100, 10.0), "braze": (3000, 3.0)}
WORKERS = 2
#: So many people that there are more calls than go into a window: HubSpot has two of each.
PEOPLE = {"customerio": 130, "hubspot": 60, "braze": 130}


def backend_class(vendor: str) -> Any:
    module, _, name = PLATFORMS[vendor].backend.rpartition(".")
    return getattr(import_module(module), name)


@pytest.fixture(params=sorted(DOCUMENTED))
def harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorHarness]:
    # One person a call, so that there are many calls.
    cls = backend_class(request.param)
    monkeypatch.setattr(cls, "capabilities", replace(cls.capabilities, batch_size=1))
    with opened(request.param) as harnesses:
        yield harnesses[request.param]


def test_every_limit_is_known() -> None:
    """A platform says what it bears, or it is said here why it need not."""
    rated = {vendor for vendor in VENDORS if backend_class(vendor).capabilities.rate is not None}
    assert rated == set(DOCUMENTED)
    for vendor, (calls, seconds) in DOCUMENTED.items():
        rate = backend_class(vendor).capabilities.rate
        assert 0.9 <= (rate.calls / rate.seconds) / (calls / seconds) < 1


def test_two_workers_together_never_exceed_it(harness: VendorHarness, settings: Any) -> None:
    drain(harness, settings, PEOPLE[harness.alias])


def test_what_is_looked_up_before_a_late_yes_counts(
    harness: VendorHarness, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if harness.alias != "hubspot":
        pytest.skip("it looks nothing up, or by calls of another limit")
    monkeypatch.setattr(fields, "RECENT", timedelta(0))
    drain(harness, settings, 35)
    asked = [call for call in harness.platform.calls if call[1].endswith("/read")]
    assert len(asked) == 2 * 35


def drain(harness: VendorHarness, settings: Any, people: int) -> None:
    crm = Driver(harness, settings)
    harness.platform.limit = Limit(*DOCUMENTED[harness.alias])
    for number in range(people):
        crm.person(yes(harness.topics[0]), email=f"reader-{number}@mail.example.org")
    start = threading.Barrier(WORKERS)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            start.wait()
            while Delivery.objects.filter(due_at__isnull=False, delivered=0).exists():
                with suppress(OperationalError):  # SQLite lets one of them wait too long
                    deliver(harness.alias, 20)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert harness.platform.limit.refused == 0
    assert harness.people() == people
    assert 0 < harness.platform.limit.most_seen <= DOCUMENTED[harness.alias][0]
