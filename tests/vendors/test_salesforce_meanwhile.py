"""What happens in Salesforce between her wish and its writing: somebody leaves there, is deleted there, moves, is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from example_site.platforms.salesforce import CHANNEL, CONSENT, INDIVIDUAL, KEY, POINT, Salesforce
from tests.vendors.bringing import AT, EMAIL, HER, bring, say, somebody, submission
from tests.vendors.test_salesforce_conformance import OPTIONS
from wagtail_prefs.backends.salesforce import SalesforceBackend, person_key
from wagtail_prefs.backends.salesforce_answers import is_block
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.delivery.since import History, Since
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    ChangeBatch,
    Effect,
    Operation,
    Outcome,
    Pause,
    Result,
    Target,
)

NEWS, OFFERS = ("news", "email"), ("offers", "email")
YES = {NEWS: SUBSCRIBED}
BOTH = {**YES, OFFERS: SUBSCRIBED}
ME = person_key(HER)
OLD, NEW = "old@mail.example.org", "new@mail.example.org"
SPRING = datetime(2031, 3, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Salesforce]:
    with Salesforce() as platform:
        yield platform
        assert platform.violations == []
        assert platform.crashes == []


@pytest.fixture
def backend(platform: Salesforce) -> SalesforceBackend:
    return SalesforceBackend("salesforce", {**OPTIONS, "URL": platform.url})


class Known(History):
    """A history that knows these moments, and nothing of what was said."""

    def __init__(self, moments: dict[int, datetime]) -> None:
        super().__init__([])
        self._known = moments

    def of(self, _contact: UUID) -> list[ChangeBatch]:
        return []

    def moment(self, _contact: UUID, version: int) -> datetime | None:
        return self._known.get(version)


def since(target: Target, after: int, **moments: datetime) -> Since:
    """As the engine passes it: `v2=...` is when version 2 was made."""
    known = Known({int(name[1:]): at for name, at in moments.items()})
    state = target.state
    return Since(known, state.id, state.version, restricts=False, after=after, moved=bool(target.retired))


def met(email: str = EMAIL, **state: Any) -> Target:
    """Of whom Salesforce has answered with her key."""
    target = somebody(email, **state)
    return replace(target, identifiers=replace(target.identifiers, remote={"salesforce": ME}))


def moved(**state: Any) -> Target:
    """The same, after a change of her address."""
    return met(NEW, retired=[OLD], **state)


def consent(platform: Salesforce, topic: str = "news") -> dict[str, Any]:
    return platform.records[CONSENT][f"{ME}.{topic}.email"]


def status(platform: Salesforce, topic: str = "news") -> str:
    found: str = consent(platform, topic)["PrivacyConsentStatus"]
    return found


def channel(platform: Salesforce) -> dict[str, Any]:
    return platform.records[CHANNEL].get(f"{ME}.all.email", {})


def emails(platform: Salesforce) -> list[str]:
    return [point["EmailAddress"] for point in platform.records[POINT].values()]


def forget_all(platform: Salesforce) -> None:
    for records in platform.records.values():
        records.clear()


def of_kind(operations: Sequence[Operation], kind: str) -> Operation:
    return next(each for each in operations if each.kind == kind)


def outcomes(results: dict[str, Result]) -> dict[str, tuple[Outcome, str]]:
    return {kind: (result.outcome, result.code) for kind, result in results.items()}


# --- somebody leaves over there ---------------------------------------------------------------------------------------


def test_a_yes_that_is_tried_again_does_not_undo_a_no_of_meanwhile(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=YES))
    target = met(version=2, choices=YES)
    operation = of_kind(backend.plan(target, since(target, 1, v2=timezone.now())), "consent")
    platform.locked = 1  # somebody has her record open
    assert backend.execute([operation])[0].outcome is Outcome.RETRY
    platform.leave_topic(f"{ME}.news.email")
    (result,) = backend.execute([operation])
    assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
    assert status(platform) == "OptOut"
    assert len(backend.poll("").events) == 1  # and it is heard


def test_the_first_yes_of_somebody_is_no_exception(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Its answer may have been lost: then she is there, and may have left."""
    target = somebody(choices=YES)
    operations = backend.plan(target, since(target, 0, v1=timezone.now()))
    say(backend, operations)
    platform.leave_topic(f"{ME}.news.email")
    assert outcomes(say(backend, operations))["consent"] == (Outcome.REFUSED, "left-over-there")
    assert status(platform) == "OptOut"


def test_each_yes_has_a_moment_of_its_own(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=BOTH))
    for topic in ("news", "offers"):
        platform.leave_topic(f"{ME}.{topic}.email")
        consent(platform, topic)["SystemModstamp"] = "2026-11-10T09:30:00.000+0000"
    target = replace(
        met(version=3, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 3}), again=1
    )
    heard = since(target, 0, v1=AT - timedelta(days=21), v3=AT)
    results = say(backend, backend.plan(target, heard))
    assert outcomes(results) == {"consent": (Outcome.REFUSED, "left-over-there")}
    assert (status(platform), status(platform, "offers")) == ("OptOut", "OptIn")


def test_our_own_no_that_got_there_late_is_no_news(backend: SalesforceBackend, platform: Salesforce) -> None:
    """She left, came back, and Salesforce was away meanwhile: the no was written after she had said yes again."""
    bring(backend, somebody(choices=YES))
    said = timezone.now() - timedelta(hours=1)
    left = met(version=2, choices={NEWS: UNSUBSCRIBED})
    say(backend, backend.plan(left, since(left, 1, v2=said - timedelta(hours=1))))
    back = met(version=3, choices=YES)
    results = say(backend, backend.plan(back, since(back, 2, v3=said)))
    assert outcomes(results) == {"consent": (Outcome.DONE, "")}
    assert status(platform) == "OptIn"
    out = met(version=4, choices=YES, opted_out=True)
    say(backend, backend.plan(out, since(out, 3, v4=said)))
    assert platform.has_left(ME)
    back = met(version=5, choices=YES, versions={"opted_out": 5, "choice:news:email": 5})
    results = say(backend, backend.plan(back, since(back, 4, v5=said)))
    assert outcomes(results) == {"channel-in": (Outcome.DONE, ""), "consent": (Outcome.DONE, "")}
    assert not platform.has_left(ME)


def test_a_no_of_the_same_second_stands(backend: SalesforceBackend, platform: Salesforce) -> None:
    """A moment over there has no fractions."""
    bring(backend, somebody(choices=YES))
    platform.leave_topic(f"{ME}.news.email")
    stamp = datetime.fromisoformat(consent(platform)["SystemModstamp"])
    target = met(version=2, choices=YES)
    results = say(backend, backend.plan(target, since(target, 1, v2=stamp + timedelta(milliseconds=900))))
    assert results["consent"].code == "left-over-there"


def test_a_consent_that_was_given_an_end_is_a_no(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=BOTH))
    consent(platform)["EffectiveToDate"] = "2026-11-01"
    consent(platform, "offers")["EffectiveToDate"] = "2031-11-01"
    known = backend.read(met(choices=BOTH))
    assert known is not None
    assert known.choices == {NEWS: UNSUBSCRIBED, OFFERS: SUBSCRIBED}
    assert [event.changes for event in backend.poll("").events] == [(SetChoice(*NEWS, UNSUBSCRIBED),)]
    again = replace(met(choices=BOTH), again=1)
    assert say(backend, backend.plan(again, since(again, 0)))["consent"].code == "left-over-there"
    new = met(version=2, choices=YES)
    say(backend, backend.plan(new, since(new, 1, v2=timezone.now() + timedelta(minutes=1))))
    assert consent(platform)["EffectiveToDate"] is None


# --- she moves --------------------------------------------------------------------------------------------------------


def test_a_change_of_address_says_no_old_yes_again(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(OLD, choices=BOTH))
    platform.leave_topic(f"{ME}.news.email")
    before = dict(consent(platform, "offers"))
    target = moved(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 1})
    operations = backend.plan(target, since(target, 1, v2=timezone.now()))
    assert [(each.kind, each.restricts) for each in operations] == [("point", True)]
    assert outcomes(say(backend, operations)) == {"point": (Outcome.DONE, "")}
    assert emails(platform) == [NEW]
    assert status(platform) == "OptOut"
    assert consent(platform, "offers") == before


def test_a_change_of_address_makes_nobody_anew(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(OLD, choices=YES))
    forget_all(platform)
    target = moved(version=2, choices=YES, versions={"choice:news:email": 1})
    results = say(backend, backend.plan(target, since(target, 1)))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert not any(platform.records.values())


def test_a_refused_address_leaves_nobody_at_the_old_one(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(OLD, choices=YES))
    platform.refused.add(NEW)
    versions = {"choice:news:email": 1, "choice:offers:email": 2}
    target = moved(version=2, choices=BOTH, versions=versions)
    heard = since(target, 1, v2=timezone.now())
    results = say(backend, backend.plan(target, heard))
    assert outcomes(results) == {
        "point": (Outcome.REFUSED, "invalid_email_address"),
        "consent": (Outcome.REFUSED, "address-refused"),
    }
    assert emails(platform) == [OLD]
    assert platform.has_left(ME)
    assert f"{ME}.offers.email" not in platform.records[CONSENT]
    # It is no word of hers: not when it is asked for, not when it is read.
    assert backend.poll("").events == ()
    known = backend.read(target)
    assert known is not None
    assert (known.opted_out, known.choices) == (False, YES)
    # When the address is taken, after all, that is over.
    platform.refused.clear()
    assert {each.outcome for each in say(backend, backend.plan(target, heard)).values()} == {Outcome.DONE}
    assert emails(platform) == [NEW]
    assert not channel(platform)
    assert status(platform, "offers") == "OptIn"


def test_a_refused_address_does_not_hide_that_she_left(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(OLD, choices=YES))
    platform.leave(OLD)
    platform.refused.add(NEW)
    target = moved(version=2, choices=YES, versions={"choice:news:email": 1})
    say(backend, backend.plan(target, since(target, 1)))
    assert not is_block(channel(platform)["CaptureSource"])
    platform.refused.clear()
    say(backend, backend.plan(target, since(target, 1)))
    assert platform.has_left(ME)
    assert len(backend.poll("").events) == 1


def test_who_comes_back_with_a_refused_address_gets_nothing_at_the_old_one(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(OLD, choices=YES))
    out = met(OLD, version=2, opted_out=True, choices=YES)
    say(backend, backend.plan(out, since(out, 1)))
    platform.refused.add(NEW)
    back = moved(version=3, choices=YES, versions={"opted_out": 3, "choice:news:email": 3})
    results = say(backend, backend.plan(back, since(back, 2, v3=timezone.now())))
    assert results["channel-in"].code == results["consent"].code == "address-refused"
    assert platform.has_left(ME)
    assert status(platform) == "OptOut"


def test_a_block_that_cannot_be_written_is_tried_again(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(OLD, choices=YES))
    platform.refused.add(NEW)
    platform.failing[f"{ME}.all.email"] = "UNABLE_TO_LOCK_ROW"
    target = moved(version=2, choices=YES, versions={"choice:news:email": 1})
    results = say(backend, backend.plan(target, since(target, 1)))
    assert outcomes(results) == {"point": (Outcome.RETRY, "unable_to_lock_row")}


# --- somebody deletes her over there ----------------------------------------------------------------------------------


def test_who_is_made_anew_has_all_that_she_refused_and_told(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    her: dict[str, Any] = {
        "choices": {**YES, OFFERS: UNSUBSCRIBED},
        "attributes": {"city": "Ulm"},
        "frequencies": {("", ""): "weekly"},
    }
    bring(backend, somebody(**her))
    forget_all(platform)
    old = ["choice:offers:email", "attribute:city", "frequency:all"]
    target = met(version=3, **her, versions={"choice:news:email": 3, **dict.fromkeys(old, 1)})
    results = say(backend, backend.plan(target, since(target, 2, v3=AT)))
    assert outcomes(results) == {"consent": (Outcome.DONE, "")}
    assert (status(platform), status(platform, "offers")) == ("OptIn", "OptOut")
    person = platform.records[INDIVIDUAL][ME]
    assert (person["City__c"], person["Pref_Freq__c"]) == ("Ulm", "weekly")


def test_making_her_anew_is_tried_again(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=YES))
    forget_all(platform)
    platform.failing[ME] = "UNABLE_TO_LOCK_ROW"
    target = met(version=3, choices=YES)
    operations = backend.plan(target, since(target, 2, v3=AT))
    assert outcomes(say(backend, operations)) == {"consent": (Outcome.RETRY, "unable_to_lock_row")}
    platform.failing.clear()
    assert outcomes(say(backend, operations)) == {"consent": (Outcome.DONE, "")}
    assert emails(platform) == [EMAIL]


def test_a_name_that_somebody_gave_her_there_stays(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Only her contact point was deleted."""
    bring(backend, somebody(choices=YES))
    platform.records[INDIVIDUAL][ME]["LastName"] = "Reader"
    platform.records[POINT].clear()
    platform.records[CONSENT].clear()
    target = met(version=2, choices=YES)
    say(backend, backend.plan(target, since(target, 1, v2=AT)))
    assert platform.records[INDIVIDUAL][ME]["LastName"] == "Reader"
    assert status(platform) == "OptIn"


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_told_once_more_evidence_keeps_its_moment(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Also where nobody knows any more when she said so; a new record is of today then."""
    her = somebody(choices={**YES, OFFERS: UNSUBSCRIBED}, opted_out=False)
    say(backend, backend.plan(her, since(her, 0, v1=AT)))
    del platform.records[CONSENT][f"{ME}.offers.email"]
    again = replace(met(choices={**YES, OFFERS: UNSUBSCRIBED}), again=1)
    results = say(backend, backend.plan(again, since(again, 0)))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    held = consent(platform)
    assert held["ConsentCapturedDateTime"] == "2026-11-22T09:30:00.000Z"
    assert held["EffectiveFromDate"] == "2026-11-22"
    assert consent(platform, "offers")["EffectiveFromDate"] == timezone.localdate().isoformat()


def test_who_left_everything_did_so_at_her_moment_and_once(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=YES))
    out = met(version=2, opted_out=True, choices=YES)
    say(backend, backend.plan(out, since(out, 1, v2=AT)))
    held = channel(platform)
    assert held["CaptureDate"] == held["EffectiveFrom"] == "2026-11-22T09:30:00.000Z"
    assert held["CaptureSource"] == f"prefs:{HER}#2 OptOut"
    later = met(
        version=3,
        opted_out=True,
        choices=YES,
        attributes={"city": "Ulm"},
        versions={"opted_out": 2, "choice:news:email": 2, "attribute:city": 3},
    )
    operations = backend.plan(later, since(later, 2, v3=timezone.now()))
    assert [each.kind for each in operations] == ["profile"]


@pytest.mark.parametrize(
    ("zone", "until", "day"),
    [
        ("Europe/Berlin", "2031-03-03T00:00:00+01:00", "2031-03-03"),
        ("Pacific/Auckland", "2031-03-03T00:00:00+13:00", "2031-03-03"),
        ("America/Los_Angeles", "2031-03-03T00:00:00-08:00", "2031-03-03"),
    ],
    ids=["Berlin", "Auckland", "Los Angeles"],
)
def test_a_pause_ends_on_her_day(
    backend: SalesforceBackend, platform: Salesforce, zone: str, until: str, day: str
) -> None:
    end = datetime.fromisoformat(until)
    her = somebody(choices=YES, timezone=zone, pauses={("", ""): Pause(end)})
    bring(backend, her)
    assert consent(platform)["EffectiveFromDate"] == day
    known = backend.read(her)
    assert known is not None
    assert known.pauses == {("", ""): end}


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_record_that_is_not_there_hides_none_that_is_refused(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=BOTH))
    del platform.records[CONSENT][f"{ME}.news.email"]
    platform.failing[f"{ME}.offers.email"] = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    versions = {"choice:news:email": 1, "choice:offers:email": 1, "pause:all": 2}
    paused = met(version=2, choices=BOTH, pauses={("", ""): Pause(SPRING)}, versions=versions)
    results = bring(backend, paused, submission(2, Effect("pause:all", None, "2031", "set")))
    assert outcomes(results) == {"window": (Outcome.REFUSED, "field_custom_validation_exception")}


@pytest.mark.parametrize(
    "code",
    [
        "DUPLICATE_VALUE",
        "UNKNOWN_EXCEPTION",
        "STORAGE_LIMIT_EXCEEDED",
        "REQUEST_RUNNING_TOO_LONG",
        "INSUFFICIENT_ACCESS_OR_READONLY",
    ],
)
def test_what_passes_is_tried_again(backend: SalesforceBackend, platform: Salesforce, code: str) -> None:
    bring(backend, somebody(choices=YES))
    platform.failing[f"{ME}.news.email"] = code
    target = met(version=2, choices={NEWS: UNSUBSCRIBED})
    results = say(backend, backend.plan(target, since(target, 1)))
    assert outcomes(results) == {"leave": (Outcome.RETRY, code.lower())}


def test_a_crowd_is_over_in_seconds(backend: SalesforceBackend, platform: Salesforce) -> None:
    backend.headers()
    operations = backend.plan(somebody(choices=YES), [])[:1]
    platform.crowded = True
    (result,) = backend.execute(operations)
    assert (result.outcome, result.retry_after) == (Outcome.RATE_LIMITED, 10)


def test_more_topics_than_a_call_has_place_for(platform: Salesforce) -> None:
    topics = {f"topic-{number:03d}": f"0eB{number:012d}AAA" for number in range(1, 260)}
    platform.types = {remote: topic for topic, remote in topics.items()}
    backend = SalesforceBackend("salesforce", {**OPTIONS, "URL": platform.url, "TOPICS": topics})
    choices = {(topic, "email"): SUBSCRIBED for topic in topics}
    her = somebody(choices=choices)
    assert {each.outcome for each in bring(backend, her).values()} == {Outcome.DONE}
    known = backend.read(her)
    assert known is not None
    assert known.choices == choices


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_what_was_written_before_her_address_was_refused_is_forgotten_too(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    platform.refused.add(EMAIL)
    her = somebody(choices={NEWS: UNSUBSCRIBED}, opted_out=True, attributes={"city": "Ulm"})
    results = bring(backend, her)
    assert results["point"].outcome is Outcome.REFUSED
    assert platform.records[INDIVIDUAL]
    remote = {"salesforce": backend.known_as(HER)}
    assert backend.erase(replace(her.identifiers, remote=remote)).outcome is Outcome.DONE
    assert not any(platform.records.values())


def test_nothing_reads_a_record_of_another_key(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Somebody of another audience, with the same address, has left everything there."""
    other = uuid4()
    bring(backend, somebody(contact=other, choices={NEWS: UNSUBSCRIBED}, opted_out=True))
    results = bring(backend, somebody(choices=YES))
    assert {each.outcome for each in results.values()} == {Outcome.DONE}
    assert backend.erase(replace(somebody().identifiers, remote={"salesforce": ME})).outcome is Outcome.DONE
    assert platform.has_left(person_key(other))
    assert platform.records[INDIVIDUAL][person_key(other)][KEY] == person_key(other)
