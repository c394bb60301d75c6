"""Whatever goes wrong at a platform: no log, no error, no page for staff and no check says whose it was, or a secret."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from example_site.platforms.demo import _ID
from tests.factories import make_editor
from tests.vendors.everybody import VENDORS, opened
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.driver import Driver, yes
from wagtail_prefs.changes import ChangeAddress, OptOut, SetAttribute
from wagtail_prefs.delivery.models import Delivery

pytestmark = pytest.mark.django_db

EMAIL, MOVED, CITY = "very.secretive@mail.example.org", "moved.away@mail.example.org", "Llanfairpwllgwyngyll"
FAULTS = ("away", "drop", "lose", "garble")


@pytest.fixture(params=VENDORS)
def harness(request: pytest.FixtureRequest) -> Iterator[VendorHarness]:
    with opened(request.param) as harnesses:
        yield harnesses[request.param]


@pytest.fixture
def crm(harness: VendorHarness, settings: Any) -> Driver:
    return Driver(harness, settings)


def test_nothing_personal_and_no_secret_comes_out(
    crm: Driver, harness: VendorHarness, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.force_login(make_editor())
    said = []
    person = crm.person(*map(yes, harness.topics), email=EMAIL)
    crm.save(person, SetAttribute("city", CITY))
    for kind in FAULTS:
        getattr(harness.faults, kind)()
        crm.deliver()
        harness.faults.heal()
        crm.pass_time(timedelta(days=1))
    harness.refuse(EMAIL)
    crm.save(person, OptOut())
    crm.deliver()
    harness.platform.faults.status(400)
    crm.pass_time(timedelta(days=1))
    crm.deliver()
    row = Delivery.objects.get(backend=harness.alias)
    pages = [
        reverse("prefs_backends:index"),
        reverse("prefs_deliveries:index"),
        reverse("prefs_deliveries:inspect", args=[row.pk]),
    ]
    said += [client.get(page).content.decode() for page in pages]
    harness.accept()
    crm.save(person, ChangeAddress(MOVED))
    crm.pass_time(timedelta(days=1))
    crm.deliver()
    harness.faults.drop()
    with suppress(Exception):
        crm.backend.read(crm.target(person))
    wrong = harness.wrong_entry()
    assert wrong is not None
    for entry in (wrong, harness.entry()):
        crm.use(entry)
        output = io.StringIO()
        with suppress(SystemExit):
            call_command("prefs_check", stdout=output, no_color=True)
        said += [output.getvalue(), *(problem.text for problem in crm.backend.check())]
    said += [record.getMessage() for record in caplog.records if not record.name.startswith("django_tasks")]
    said += [str(record.exc_info) for record in caplog.records if record.exc_info]
    said += [repr(row.log), repr(row.parked), row.last_code]
    said += [repr(asked.error) for asked in crm.asked if asked.error]
    hidden = [EMAIL, MOVED, "very.secretive", CITY, *harness.secrets()]
    told = [
        (number, hidden.index(text))  # not the texts: a failing test must not tell them either
        for number, line in enumerate(said)
        for text in hidden
        if text.casefold() in line.casefold()
    ]
    assert told == []


def test_what_is_missing_over_there_is_said_with_its_name(crm: Driver, harness: VendorHarness) -> None:
    """`prefs_check` takes secrets out of what a backend says: what somebody must make over there is none."""
    missing = _ID[harness.alias](99)
    entry = harness.entry()
    topics = {**entry["OPTIONS"]["TOPICS"]}
    topics["offers"] = {"email": missing} if isinstance(topics["offers"], dict) else missing
    crm.use({**entry, "OPTIONS": {**entry["OPTIONS"], "TOPICS": topics}})
    output = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("prefs_check", stdout=output, no_color=True)
    assert missing in output.getvalue()
    assert '"offers"' in output.getvalue()
