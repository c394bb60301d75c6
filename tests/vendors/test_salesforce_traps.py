"""Salesforce's traps: what somebody would write on a Friday does harm over there, visibly, and what we send does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from example_site.platforms.salesforce import CONSENT, KEY, POINT, Salesforce
from tests.vendors.bringing import HER, bring, said_no, said_yes, somebody, submission
from tests.vendors.test_salesforce_conformance import OPTIONS
from wagtail_prefs.backends.salesforce import SalesforceBackend, person_key
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Outcome

YES = {("news", "email"): SUBSCRIBED}
ME = person_key(HER)
UPSERT = f"/services/data/v62.0/composite/sobjects/{CONSENT}/{KEY}"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Salesforce]:
    with Salesforce() as platform:
        yield platform
        assert platform.crashes == []


@pytest.fixture
def ours(platform: Salesforce) -> SalesforceBackend:
    return SalesforceBackend("salesforce", {**OPTIONS, "URL": platform.url})


def record(**values: Any) -> dict[str, Any]:
    return {
        "attributes": {"type": CONSENT},
        KEY: f"{ME}.news.email",
        "EffectiveFromDate": "2026-11-22",
        **values,
    }


def body(*records: dict[str, Any]) -> dict[str, Any]:
    return {"allOrNone": False, "records": list(records)}


def test_a_200_is_not_done(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: 200. The record is locked by somebody, and her no is not there."""
    bring(ours, somebody(choices=YES))
    platform.locked = 1
    answer = ours.call("PATCH", UPSERT, json=body(record(PrivacyConsentStatus="OptOut")))
    assert answer.status == 200
    assert platform.records[CONSENT][f"{ME}.news.email"]["PrivacyConsentStatus"] == "OptIn"
    left = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    platform.locked = 1
    operations = [each for each in ours.plan(left, [submission(2, said_no("news"))]) if each.kind == "leave"]
    assert ours.execute(operations)[0].outcome is Outcome.RETRY
    assert ours.execute(operations)[0].outcome is Outcome.DONE


def test_a_no_before_the_person_is_refers_to_nobody(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: the opt-out alone and first, of somebody whom Salesforce has never heard of. There is nothing to hang it on."""
    left = somebody(choices={("news", "email"): UNSUBSCRIBED})
    leave = next(each for each in ours.plan(left, []) if each.kind == "leave")
    (result,) = ours.execute([leave])
    assert result.outcome is Outcome.REFUSED
    results = bring(ours, left, submission(1, said_no("news")))
    assert results["leave"].outcome is Outcome.DONE


def test_a_pause_as_an_opt_out_destroys_the_consent(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: OptOut until spring. Her yes and its moment are gone; ours moves the day from which it counts."""
    from tests.vendors.bringing import pause

    bring(ours, somebody(choices=YES), submission(1, said_yes("news")))
    given = platform.records[CONSENT][f"{ME}.news.email"]["ConsentCapturedDateTime"]
    paused = somebody(
        version=2,
        choices=YES,
        pauses={("", ""): pause(2031)},
        versions={"choice:news:email": 1, "pause:all": 2},
    )
    bring(ours, paused, submission(2))
    held = platform.records[CONSENT][f"{ME}.news.email"]
    assert (held["PrivacyConsentStatus"], held["ConsentCapturedDateTime"]) == ("OptIn", given)
    assert held["EffectiveFromDate"].startswith("2031-03-03")


def test_the_whole_record_with_a_pause_brings_her_back(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: writes the consent anew with every change. She had left over there, and is in again."""
    bring(ours, somebody(choices=YES), submission(1, said_yes("news")))
    platform.records[CONSENT][f"{ME}.news.email"]["PrivacyConsentStatus"] = "OptOut"
    ours.call("PATCH", UPSERT, json=body(record(PrivacyConsentStatus="OptIn")))
    assert platform.records[CONSENT][f"{ME}.news.email"]["PrivacyConsentStatus"] == "OptIn"


def test_an_address_as_a_key_makes_two_of_her(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: found by her address, and that changes. Ours is found by a key that holds nothing of hers."""
    bring(ours, somebody("old@mail.example.org", choices=YES))
    moved = somebody("new@mail.example.org", version=2, choices=YES, retired=["old@mail.example.org"])
    bring(ours, moved, submission(2))
    assert list(platform.records[POINT]) == [ME]
    assert "@" not in ME


def test_a_403_is_the_days_pool_and_no_missing_right(platform: Salesforce, ours: SalesforceBackend) -> None:
    """Naive: 403 means that somebody must mend permissions. It ends by itself, hours later."""
    operations = ours.plan(somebody(choices=YES), [])[:1]
    ours.headers()
    platform.used_up = True
    (result,) = ours.execute(operations)
    assert (result.outcome, result.retry_after) == (Outcome.RATE_LIMITED, 3600)


@pytest.mark.parametrize(
    "wrong",
    [
        {"allOrNone": True, "records": [record()]},
        body(record(Id="0eC000000000001AAA")),
        body(record(PrivacyConsentStatus="No")),
        body(record(EffectiveFromDate="2026-11-22T09:30:00.000Z")),
        body(record(EffectiveToDate="2026-11-22")),
        body(record(EffectivFromDate="2026-11-22")),
        body(*([record()] * 201)),
    ],
)
def test_a_slip_of_the_pen_breaks_the_contract(
    platform: Salesforce, ours: SalesforceBackend, wrong: dict[str, Any]
) -> None:
    assert ours.call("PATCH", UPSERT, json=wrong, accept={400}).status == 400
    assert platform.violations
