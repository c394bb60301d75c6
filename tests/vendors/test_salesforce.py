"""What the Salesforce backend plans, makes of answers, finds missing over there, and hears when it asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from example_site.platforms.salesforce import CHANNEL, CONSENT, INDIVIDUAL, KEY, POINT, Salesforce
from tests.vendors.bringing import (
    EMAIL,
    HER,
    bring,
    left_all,
    said_no,
    said_yes,
    say,
    somebody,
    submission,
)
from tests.vendors.test_salesforce_conformance import OPTIONS
from wagtail_prefs.backends import salesforce_inbound
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.salesforce import SalesforceBackend, person_key
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Effect,
    Identifiers,
    InboundEvent,
    Outcome,
    Pause,
    Target,
)

YES = {("news", "email"): SUBSCRIBED}
BOTH = {**YES, ("offers", "email"): SUBSCRIBED}
ME = person_key(HER)
SOON = datetime(2031, 3, 3, tzinfo=UTC)


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
def made(platform: Salesforce) -> Callable[..., SalesforceBackend]:
    def make(**options: Any) -> SalesforceBackend:
        return SalesforceBackend("salesforce", {**OPTIONS, "URL": platform.url, **options})

    return make


@pytest.fixture
def backend(made: Callable[..., SalesforceBackend]) -> SalesforceBackend:
    return made()


def met(target: Target) -> Target:
    """Of whom Salesforce has answered with her key."""
    return replace(target, identifiers=replace(target.identifiers, remote={"salesforce": ME}))


def consent(platform: Salesforce, topic: str = "news") -> dict[str, Any]:
    return platform.records[CONSENT][f"{ME}.{topic}.email"]


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"INSTANCE": "https://my.salesforce.com.evil.example"}, "INSTANCE"),
        ({"INSTANCE": "http://copperlane.my.salesforce.com"}, "INSTANCE"),
        ({"VERSION": "62"}, "VERSION"),
        ({"ID_FIELD": "Key"}, "ID_FIELD"),
        ({"ID_FIELD": "K__c OR Id != null"}, "ID_FIELD"),
        ({"FREQUENCY_FIELDS": {"all": "Pref_Freq"}}, "custom fields"),
        ({"TOPICS": {"news": "News'"}}, "TOPICS"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    made: Callable[..., SalesforceBackend], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        made(**options)


def test_a_sandbox_is_an_instance_too(made: Callable[..., SalesforceBackend]) -> None:
    assert made(URL="", INSTANCE="https://copperlane--uat.sandbox.my.salesforce.com").base_url


# --- plan -------------------------------------------------------------------------------------------------------------


def test_a_first_yes_makes_her_and_her_evidence(backend: SalesforceBackend, platform: Salesforce) -> None:
    her = somebody(choices=YES, attributes={"city": "Ulm"}, frequencies={("", ""): "weekly"})
    operations = backend.plan(her, [submission(1, said_yes("news"))])
    assert [each.kind for each in operations] == ["person", "point", "consent", "profile"]
    assert not any(each.restricts for each in operations)
    results = bring(backend, her, submission(1, said_yes("news")))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert results["point"].remote_id == ME
    assert platform.records[POINT][ME]["EmailAddress"] == EMAIL
    assert platform.records[INDIVIDUAL][ME]["City__c"] == "Ulm"
    assert platform.records[INDIVIDUAL][ME]["Pref_Freq__c"] == "weekly"
    held = consent(platform)
    assert held["PrivacyConsentStatus"] == "OptIn"
    assert held["ConsentCapturedSource"] == f"prefs:{HER}#1 OptIn"
    assert held["ConsentCapturedDateTime"] == "2026-11-22T09:30:00.000Z"
    assert held["EffectiveFromDate"] == "2026-11-22"
    assert EMAIL not in held["ConsentCapturedSource"] + ME


def test_what_she_tells_later_makes_her_where_nothing_did_before(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    """A pause alone was nothing to tell: then her town is the first that Salesforce hears."""
    her = somebody(
        version=2,
        pauses={("", ""): Pause(SOON)},
        attributes={"city": "Ulm"},
        versions={"pause:all": 1, "attribute:city": 2},
    )
    assert backend.plan(somebody(pauses={("", ""): Pause(SOON)}), [submission(1)]) == []
    results = bring(backend, her, submission(2, Effect("attribute:city", None, "Ulm", "set")))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert platform.records[INDIVIDUAL][ME]["City__c"] == "Ulm"


def test_a_no_that_comes_first_is_urgent_with_all_that_it_needs(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    her = somebody(choices={("news", "email"): UNSUBSCRIBED}, attributes={"city": "x" * 300})
    operations = backend.plan(her, [submission(1, said_no("news"))])
    assert [(each.kind, each.restricts) for each in operations] == [
        ("person", True),
        ("point", True),
        ("leave", True),
        ("profile", False),
    ]
    results = bring(backend, her, submission(1, said_no("news")))
    assert results["leave"].outcome is Outcome.DONE
    assert (results["profile"].outcome, results["profile"].code) == (Outcome.REFUSED, "string_too_long")
    assert consent(platform)["PrivacyConsentStatus"] == "OptOut"


def test_later_only_what_changed_goes_out(backend: SalesforceBackend) -> None:
    her = somebody(
        version=3,
        choices={**YES, ("offers", "email"): UNSUBSCRIBED},
        versions={"choice:news:email": 1, "choice:offers:email": 3},
    )
    (operation,) = backend.plan(met(her), [submission(3, said_no("offers"))])
    assert (operation.kind, operation.restricts) == ("leave", True)
    assert [record[KEY] for record in operation.payload["records"]] == [f"{ME}.offers.email"]


def test_to_leave_everything_is_a_word_for_the_channel_and_each_topic(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    results = bring(backend, met(out), submission(2, left_all()))
    assert set(results) == {"channel-out", "leave"}
    assert platform.records[CHANNEL][f"{ME}.all.email"]["PrivacyConsentStatus"] == "OptOut"
    assert consent(platform)["PrivacyConsentStatus"] == "OptOut"
    back = somebody(
        version=3, choices=YES, versions={"opted_out": 3, "choice:news:email": 3, "choice:offers:email": 2}
    )
    results = bring(backend, met(back), submission(3, said_yes("news")))
    assert set(results) == {"channel-in", "consent"}
    assert platform.records[CHANNEL][f"{ME}.all.email"]["PrivacyConsentStatus"] == "OptIn"
    assert consent(platform, "offers")["PrivacyConsentStatus"] == "OptOut"


def test_a_pause_moves_the_day_and_nothing_else(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    before = dict(consent(platform))
    paused = somebody(
        version=2,
        choices=YES,
        pauses={("", ""): Pause(SOON)},
        versions={"choice:news:email": 1, "pause:all": 2},
    )
    results = bring(backend, met(paused), submission(2, Effect("pause:all", None, "2031", "set")))
    assert set(results) == {"window"}
    after = consent(platform)
    assert after["EffectiveFromDate"] == "2031-03-03"
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"EffectiveFromDate", "SystemModstamp"}
    known = backend.read(paused)
    assert known is not None
    assert known.pauses == {("", ""): SOON}
    assert known.choices == {("news", "email"): SUBSCRIBED}
    over = somebody(version=3, choices=YES, versions={"choice:news:email": 1, "pause:all": 3})
    bring(backend, over, submission(3, Effect("pause:all", "2031", None, "cleared")))
    assert consent(platform)["EffectiveFromDate"] == timezone.localdate().isoformat()
    assert backend.keeps("pause", ("news", ""), "news", "email")
    assert backend.describe_field("pause", "news", "email") == "EffectiveFromDate"


def test_a_pause_brings_nobody_back(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Who left over there stays out, and whose record somebody deleted is not made anew."""
    bring(backend, somebody(choices=BOTH), submission(1, said_yes("news")))
    consent(platform)["PrivacyConsentStatus"] = "OptOut"
    del platform.records[CONSENT][f"{ME}.offers.email"]
    paused = somebody(
        version=2,
        choices=BOTH,
        pauses={("", ""): Pause(SOON)},
        versions={"choice:news:email": 1, "choice:offers:email": 1, "pause:all": 2},
    )
    results = bring(backend, met(paused), submission(2, Effect("pause:all", None, "2031", "set")))
    assert results["window"].outcome is Outcome.DONE
    assert consent(platform)["PrivacyConsentStatus"] == "OptOut"
    assert f"{ME}.offers.email" not in platform.records[CONSENT]


def test_her_address_changes_in_its_place(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody("old@mail.example.org", choices=YES))
    moved = somebody("new@mail.example.org", version=2, choices=YES, retired=["old@mail.example.org"])
    operations = backend.plan(moved, [submission(2)])
    assert [(each.kind, each.restricts) for each in operations if each.kind == "point"] == [("point", True)]
    bring(backend, moved, submission(2))
    assert [point["EmailAddress"] for point in platform.records[POINT].values()] == ["new@mail.example.org"]


def test_who_was_deleted_over_there_comes_back_by_her_own_yes_only(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=BOTH))
    for records in platform.records.values():
        records.clear()
    moves = [
        met(somebody(version=2, choices={**BOTH, ("offers", "email"): UNSUBSCRIBED})),
        met(somebody(version=2, choices=BOTH, opted_out=True)),
        met(somebody(version=2, choices=BOTH, attributes={"city": "Ulm"})),
        met(somebody(version=2, choices=BOTH, pauses={("", ""): Pause(SOON)})),
    ]
    for number, target in enumerate(moves):
        versions = {path: 1 for path in target.state.versions if path.startswith("choice:news")}
        state = replace(target.state, versions={**target.state.versions, **versions})
        if number > 1:
            state = replace(
                state, versions={path: 1 if "choice" in path else 2 for path in target.state.versions}
            )
        results = bring(backend, replace(target, state=state), submission(2))
        assert results
        assert {result.outcome for result in results.values()} == {Outcome.DONE}
        assert not any(platform.records.values())
    again = met(somebody(version=3, choices=YES))
    results = bring(backend, again, submission(3, said_yes("news")))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert consent(platform)["PrivacyConsentStatus"] == "OptIn"
    assert [point["EmailAddress"] for point in platform.records[POINT].values()] == [EMAIL]


def test_what_a_rule_of_theirs_refuses_is_said(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=YES))
    platform.types.pop("0eB000000000002AAA")
    target = met(
        somebody(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 2})
    )
    results = bring(backend, target, submission(2, said_yes("offers")))
    assert results["consent"].outcome is Outcome.REFUSED
    assert results["consent"].code == "invalid_cross_reference_key"
    left = met(somebody(version=2, choices={("offers", "email"): UNSUBSCRIBED}))
    assert bring(backend, left, submission(2, said_no("offers")))["leave"].outcome is Outcome.REFUSED
    platform.custom.discard("City__c")
    told = met(somebody(version=3, choices=YES, attributes={"city": "Ulm"}, versions={"attribute:city": 3}))
    assert bring(backend, told, submission(3))["profile"].outcome is Outcome.REFUSED


def test_told_once_more_an_old_yes_brings_back_nobody_who_left_since(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=BOTH))
    platform.records[CONSENT][f"{ME}.news.email"]["PrivacyConsentStatus"] = "OptOut"
    platform.leave(EMAIL)
    versions = {"choice:news:email": 1, "choice:offers:email": 1, "choice::email": 1}
    her = replace(met(somebody(choices=BOTH, versions=versions)), again=1)
    results = bring(backend, her)
    assert results["consent"].code == results["channel-in"].code == "left-over-there"
    assert consent(platform)["PrivacyConsentStatus"] == "OptOut"
    assert consent(platform, "offers")["PrivacyConsentStatus"] == "OptIn"
    assert platform.has_left(ME)
    # A yes of hers that is newer does.
    for record in (consent(platform), platform.records[CHANNEL][f"{ME}.all.email"]):
        record["SystemModstamp"] = "2026-11-20T09:30:00.000+0000"
    since = submission(1, said_yes("news"))  # of 22 November
    results = say(backend, backend.plan(her, [since]))
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert consent(platform)["PrivacyConsentStatus"] == "OptIn"
    assert not platform.has_left(ME)


def test_a_question_about_many_is_asked_in_parts(backend: SalesforceBackend, platform: Salesforce) -> None:
    """It stands in the address of a call, and an address of more than 16 KiB is refused."""
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(240)
    ]
    known = [
        replace(
            each,
            again=1,
            identifiers=replace(each.identifiers, remote={"salesforce": person_key(each.state.id)}),
        )
        for each in people
    ]
    operations = [
        operation for each in known for operation in backend.plan(each, []) if operation.kind == "consent"
    ]
    calls = len(platform.calls)
    results = backend.execute(operations)  # nobody of them is there
    assert {result.outcome for result in results} == {Outcome.DONE}
    asked = [call for call in platform.calls[calls:] if call[0] == "GET"]
    assert len(asked) == 6
    assert len(platform.records[CONSENT]) == 240


# --- what Salesforce says ---------------------------------------------------------------------------------------------


def test_half_a_batch_fails_and_it_is_known_which(backend: SalesforceBackend, platform: Salesforce) -> None:
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(6)
    ]
    operations = [backend.plan(person, [])[0] for person in people]
    platform.faults.half()
    results = backend.execute(operations)
    assert [result.outcome for result in results] == [Outcome.REFUSED, Outcome.DONE] * 3
    assert len(platform.records[INDIVIDUAL]) == 3


def test_of_several_records_of_a_person_the_worst_counts(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=YES))
    her = somebody(version=2, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    operations = backend.plan(met(her), [submission(2, said_no("news"), said_no("offers"))])
    platform.locked = 1
    (result,) = backend.execute(operations)
    assert (result.outcome, result.code) == (Outcome.RETRY, "unable_to_lock_row")
    (result,) = backend.execute(operations)
    assert result.outcome is Outcome.DONE
    assert backend.most("leave") == 100
    assert backend.most("point") == 200


def test_a_token_that_ended_is_replaced_once(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=YES))
    platform.tokens.clear()
    operations = backend.plan(somebody(version=2, choices=YES), [])
    assert backend.execute(operations[:1])[0].outcome is Outcome.DONE
    assert len(platform.tokens) == 1


@pytest.mark.parametrize(
    ("happens", "outcome", "code"),
    [
        (lambda platform: setattr(platform, "used_up", True), Outcome.RATE_LIMITED, "request_limit_exceeded"),
        (lambda platform: platform.faults.status(500), Outcome.RETRY, "unknown_exception"),
        (lambda platform: platform.faults.status(400), Outcome.REFUSED, "json_parser_error"),
        (lambda platform: platform.hidden.add(INDIVIDUAL), Outcome.MISCONFIGURED, "not_found"),
        (lambda platform: platform.faults.drop(), Outcome.RETRY, "connection"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    backend: SalesforceBackend,
    platform: Salesforce,
    happens: Callable[[Salesforce], None],
    outcome: Outcome,
    code: str,
) -> None:
    backend.headers()
    operations = backend.plan(somebody(choices=YES), [])[:1]
    happens(platform)
    (result,) = backend.execute(operations)
    assert (result.outcome, result.code) == (outcome, code)
    if outcome is Outcome.RATE_LIMITED:
        assert result.retry_after == 3600


def test_wrong_credentials_name_no_secret(made: Callable[..., SalesforceBackend]) -> None:
    (result, *_) = made(CLIENT_SECRET="another-0123").execute(made().plan(somebody(choices=YES), [])[:1])
    assert (result.outcome, result.code) == (Outcome.MISCONFIGURED, "invalid_client")


def test_no_answer_is_none(backend: SalesforceBackend, platform: Salesforce) -> None:
    her = somebody(choices=YES)
    assert backend.read(her) is None
    platform.faults.status(500)
    with pytest.raises(PlatformError):
        backend.read(her)


def test_who_is_forgotten_leaves_nothing_of_ours(backend: SalesforceBackend, platform: Salesforce) -> None:
    """By our key: an address is nobody's alone, and what is no key asks for nobody."""
    other = uuid4()
    bring(backend, somebody(choices=YES))
    bring(backend, somebody(contact=other, choices=YES))
    for junk in ("", "' OR Id != null", EMAIL):
        known = Identifiers(email=EMAIL, remote={"salesforce": junk})
        assert backend.erase(known).outcome is Outcome.DONE
    assert len(platform.records[INDIVIDUAL]) == 2
    assert backend.erase(Identifiers(remote={"salesforce": ME})).outcome is Outcome.DONE
    assert list(platform.records[INDIVIDUAL]) == [backend.known_as(other)]
    gone = Identifiers(remote={"salesforce": backend.known_as(other)})
    assert backend.erase(gone).outcome is Outcome.DONE
    assert not any(platform.records.values())
    assert backend.erase(gone).outcome is Outcome.DONE


def test_who_is_forgotten_by_one_audience_stays_in_the_other(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    bring(backend, somebody(choices=YES))
    bring(backend, somebody(contact=uuid4(), choices=YES))
    known = Identifiers(email=EMAIL, remote={"salesforce": ME})
    assert backend.erase(known).outcome is Outcome.DONE
    assert len(platform.records[INDIVIDUAL]) == 1
    assert ME not in platform.records[INDIVIDUAL]


def test_what_cannot_be_deleted_is_not_forgotten(backend: SalesforceBackend, platform: Salesforce) -> None:
    """Also where another record of the same call was gone already."""
    bring(backend, somebody(choices=BOTH))
    first, second = platform.records[CONSENT].values()
    platform.vanishing, platform.kept = {first["Id"]}, {second["Id"]}
    result = backend.erase(Identifiers(remote={"salesforce": ME}))
    assert (result.outcome, result.code) == (Outcome.RETRY, "delete_failed")
    platform.kept.clear()
    assert backend.erase(Identifiers(remote={"salesforce": ME})).outcome is Outcome.DONE
    assert not any(platform.records.values())


# --- poll -------------------------------------------------------------------------------------------------------------


def test_who_left_is_asked_for_page_by_page(
    backend: SalesforceBackend, platform: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salesforce_inbound, "PAGE", 2)
    people = [uuid4() for _ in range(5)]
    for number, contact in enumerate(people):
        bring(backend, somebody(f"reader-{number}@mail.example.org", contact=contact, choices=BOTH))
        platform.leave(f"reader-{number}@mail.example.org")
    left = platform.records[CONSENT][f"{person_key(people[0])}.news.email"]
    left["PrivacyConsentStatus"] = "OptOut"
    found: list[InboundEvent] = []
    cursor, more = "", True
    while more:
        polled = backend.poll(cursor)
        found += polled.events
        cursor, more = polled.cursor, polled.more
    channel = [event for event in found if event.changes == (SetChoice("", "email", UNSUBSCRIBED),)]
    assert [event.identifiers.remote for event in channel] == [
        {"salesforce": person_key(contact)} for contact in people
    ]
    topics = [event for event in found if event.changes == (SetChoice("news", "email", UNSUBSCRIBED),)]
    assert [event.identifiers.remote["salesforce"] for event in topics] == [person_key(people[0])]
    assert len(found) == 6
    assert len({event.event_id for event in found}) == 6
    assert all(event.at is not None for event in found)
    with time_machine.travel(timezone.now() + timedelta(minutes=20)):
        cursor = cursor_at_the_end(backend, cursor)
        assert backend.poll(cursor).events == ()


def cursor_at_the_end(backend: SalesforceBackend, cursor: str) -> str:
    polled = backend.poll(cursor)
    while polled.more:
        polled = backend.poll(polled.cursor)
    return polled.cursor


def test_who_turns_up_later_with_an_earlier_moment_is_heard(
    backend: SalesforceBackend, platform: Salesforce
) -> None:
    """What is written in one go can be seen when all of it is done; and a moment over there is a whole second."""
    emails = {uuid4(): f"reader-{number}@mail.example.org" for number in range(3)}
    for contact, email in emails.items():
        bring(backend, somebody(email, contact=contact, choices=YES))
    early, late, soon = emails.values()
    platform.leave(late)
    cursor = cursor_at_the_end(backend, "")
    again = cursor_at_the_end(backend, cursor)
    platform.leave(early)
    platform.leave(soon)
    channels = list(platform.records[CHANNEL].values())
    moment = datetime.now(UTC) - timedelta(seconds=90)
    channels[1]["SystemModstamp"] = moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    channels[2]["SystemModstamp"] = channels[0]["SystemModstamp"]
    channels[2]["Id"] = "0ZZ000000000000AAA"
    heard = {event.identifiers.remote["salesforce"] for event in backend.poll(again).events}
    assert heard == {person_key(contact) for contact in emails}


def test_what_is_written_while_pages_are_read_is_heard(
    backend: SalesforceBackend, platform: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of many pages may take long: the next one begins where that one did."""
    monkeypatch.setattr(salesforce_inbound, "PAGE", 2)
    for number in range(3):
        email = f"reader-{number}@mail.example.org"
        bring(backend, somebody(email, contact=uuid4(), choices=YES))
        platform.leave(email)
    start = timezone.now()
    polled = backend.poll("")
    assert polled.more
    with time_machine.travel(start + timedelta(hours=2), tick=False):
        cursor = cursor_at_the_end(backend, polled.cursor)
    (stamp, last), begun = salesforce_inbound.positions(cursor)[0][CHANNEL], start - timedelta(minutes=15)
    assert abs(datetime.fromisoformat(stamp) - begun) < timedelta(seconds=2)
    assert last == ""
    assert salesforce_inbound.positions(cursor)[1] == ""


def test_its_own_clock_counts_where_ours_is_fast(
    backend: SalesforceBackend, platform: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timezone.now() + timedelta(hours=1)
    with monkeypatch.context() as fast:
        fast.setattr(timezone, "now", lambda: ahead)
        cursor = cursor_at_the_end(backend, "")
    bring(backend, somebody(choices=YES))
    platform.leave(EMAIL)
    assert len(backend.poll(cursor).events) == 1


def test_what_is_not_ours_is_left_aside(backend: SalesforceBackend, platform: Salesforce) -> None:
    bring(backend, somebody(choices=YES))
    record = {**consent(platform), "PrivacyConsentStatus": "OptOut"}
    platform.records[CONSENT] = {
        "x": {**record, KEY: "somebody-elses"},
        "y": {**record, KEY: f"{ME}.weather.email", "Id": "0eC000000000099AAA"},
        "z": {**record, KEY: None, "Id": "0eC000000000098AAA"},
    }
    assert backend.poll("").events == ()


@pytest.mark.parametrize(
    "cursor",
    ["", "junk", "[]", '{"CommSubscriptionConsent": ["now", ""], "ContactPointTypeConsent": ["now", ""]}'],
)
def test_a_cursor_that_is_none_begins_a_day_ago(backend: SalesforceBackend, cursor: str) -> None:
    stamp, last = salesforce_inbound.positions(cursor)[0][CONSENT]
    moment = datetime.fromisoformat(stamp)
    assert abs(timezone.now() - moment - timedelta(days=1)) < timedelta(minutes=1)
    assert last == ""
    assert backend.poll(cursor).events == ()


# --- check ------------------------------------------------------------------------------------------------------------


def test_all_is_well(backend: SalesforceBackend) -> None:
    assert backend.check() == []


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (
            lambda platform: platform.hidden.add(CONSENT),
            "does not show CommSubscriptionConsent.*Data Protection",
        ),
        (lambda platform: platform.unkeyed.add(POINT), "no field Prefs_Key__c on ContactPointEmail"),
        (lambda platform: platform.custom.remove("City__c"), 'no field City__c.*attribute "city"'),
        (lambda platform: platform.custom.remove("Pref_Freq__c"), "no field Pref_Freq__c.*how often"),
        (
            lambda platform: platform.read_only.add(CONSENT),
            "does not let the integration user create, edit, delete records of CommSubscriptionConsent",
        ),
        (
            lambda platform: platform.read_only.update({f"{INDIVIDUAL}.City__c", f"{CHANNEL}.Name"}),
            "does not let the integration user edit City__c of Individual",
        ),
        (lambda platform: platform.types.pop("0eB000000000002AAA"), '0eB000000000002AAA.*for "offers"'),
    ],
)
def test_what_is_missing_over_there_is_named(
    backend: SalesforceBackend, platform: Salesforce, happens: Callable[[Salesforce], Any], words: str
) -> None:
    happens(platform)
    (problem,) = backend.check()
    assert problem.level == "error"
    assert re.search(words, problem.text)


def test_wrong_credentials_are_named(made: Callable[..., SalesforceBackend]) -> None:
    (problem,) = made(CLIENT_SECRET="another-0123456789").check()
    assert "CLIENT_ID and CLIENT_SECRET" in problem.text
