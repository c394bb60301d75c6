"""What the Mailchimp backend plans, makes of answers, finds missing over there, and hears from there."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import RequestFactory

from example_site.platforms.mailchimp import API_KEY, AUDIENCE, Mailchimp, digest_of
from tests.vendors.bringing import (
    AT,
    EMAIL,
    bring,
    just_now,
    left_all,
    pause,
    said_no,
    said_yes,
    say,
    somebody,
    submission,
)
from tests.vendors.test_mailchimp_conformance import OPTIONS
from wagtail_prefs.backends.base import BadInbound, PlatformError
from wagtail_prefs.backends.mailchimp import ALONE, BATCH, MailchimpBackend
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    ChangeBatch,
    Effect,
    Identifiers,
    Inbound,
    Outcome,
    Result,
    Support,
    Target,
)

NEWS, OFFERS = "1a2b3c4d5e", "2b3c4d5e6f"
YES = {("news", "email"): SUBSCRIBED}
BOTH = {**YES, ("offers", "email"): SUBSCRIBED}


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Mailchimp]:
    with Mailchimp() as platform:
        yield platform
        assert platform.violations == []
        assert platform.crashes == []


@pytest.fixture
def made(platform: Mailchimp) -> Callable[..., MailchimpBackend]:
    def make(**options: Any) -> MailchimpBackend:
        return MailchimpBackend("mailchimp", {**OPTIONS, "URL": platform.url, **options})

    return make


@pytest.fixture
def backend(made: Callable[..., MailchimpBackend]) -> MailchimpBackend:
    return made()


def member(platform: Mailchimp, email: str = EMAIL) -> dict[str, Any]:
    return platform.members[digest_of(email)]


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"API_KEY": "a-key-without-a-centre-evil.example"}, "API_KEY"),
        ({"API_KEY": "nokeyofanydatacentre"}, "API_KEY"),
        ({"AUDIENCE": "../other"}, "AUDIENCE"),
        ({"PAUSE_FIELDS": {"all": "paused_until"}}, "merge tags"),
        ({"FREQUENCY_FIELDS": {"all": "ELEVENCHARS"}}, "merge tags"),
        ({"FREQUENCY_FIELDS": {"all": "PPAUSE"}}, "twice"),
        ({"FREQUENCY_FIELDS": {"everything": "PFREQ"}}, "scopes"),
        ({"FREQUENCY_FIELDS": {"topic:weather": "PFREQ"}}, "weather"),
        ({"FREQUENCY_FIELDS": {"channel:sms": "PFREQ"}}, "channels"),
        ({"SIGNING_SECRETS": [""]}, "SIGNING_SECRETS"),
        ({"ENFORCES": ["weather"]}, "ENFORCES"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    made: Callable[..., MailchimpBackend], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named) as error:
        made(**options)
    assert API_KEY not in str(error.value)


def test_the_address_is_of_the_keys_data_centre(made: Callable[..., MailchimpBackend]) -> None:
    assert made(URL="").base_url == "https://us21.api.mailchimp.com/3.0"


def test_what_has_no_field_is_no_capability(made: Callable[..., MailchimpBackend]) -> None:
    full, bare = made(), made(ATTRIBUTES={}, FREQUENCY_FIELDS={}, PAUSE_FIELDS={})
    assert (full.capabilities.frequency, full.capabilities.pause) == (Support.STORES, Support.STORES)
    assert (bare.capabilities.frequency, bare.capabilities.pause) == (Support.NONE, Support.NONE)
    assert bare.capabilities.attributes is Support.NONE
    assert made(ENFORCES=["frequency"]).capabilities.frequency is Support.ENFORCES
    assert made(SIGNING_SECRETS=["a"]).capabilities.inbound is Inbound.SIGNED


# --- plan -------------------------------------------------------------------------------------------------------------


def test_a_yes_says_when_it_was_given_and_all_that_she_ever_said(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """Fields that she filled in before Mailchimp knew her must not be lost."""
    her = somebody(
        version=3,
        choices=YES,
        frequencies={("", ""): "weekly"},
        pauses={("", ""): pause()},
        attributes={"city": "Zürich"},
        versions={"choice:news:email": 3, "frequency:all": 1, "pause:all": 2, "attribute:city": 1},
    )
    results = bring(backend, her, submission(3, said_yes("news")))
    assert {kind: result.outcome for kind, result in results.items()} == {"join": Outcome.DONE}
    known = {
        name: value for name, value in member(platform).items() if name not in {"contact_id", "last_changed"}
    }
    assert known == {
        "id": digest_of(EMAIL),
        "email_address": EMAIL,
        "status": "subscribed",
        "by_herself": False,
        "interests": {NEWS: True},
        "merge_fields": {"CITY": "Zürich", "PFREQ": "weekly", "PPAUSE": "2027-03-03"},
        "timestamp_opt": f"{AT:%Y-%m-%d %H:%M:%S}",
    }


def test_only_what_is_new_goes_out(backend: MailchimpBackend) -> None:
    """A field that somebody mended over there is not overwritten by a change of something else."""
    her = somebody(
        version=5,
        choices=BOTH,
        frequencies={("", ""): "monthly"},
        attributes={"city": "Zürich", "children": 3},
        versions={
            "choice:news:email": 1,
            "choice:offers:email": 1,
            "frequency:all": 5,
            "attribute:city": 2,
            "attribute:children": 2,
        },
    )
    (operation,) = backend.plan(her, [submission(5, Effect("frequency:all", "weekly", "monthly", "set"))])
    assert operation.kind == "fields"
    assert operation.payload == {"email": EMAIL, "fields": {"PFREQ": "monthly"}}
    assert not operation.restricts


def test_what_she_takes_back_is_emptied(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=YES, attributes={"city": "Zürich"}, frequencies={("", ""): "weekly"}))
    gone = somebody(
        version=2,
        choices=YES,
        versions={"choice:news:email": 1, "attribute:city": 2, "frequency:all": 2},
    )
    bring(
        backend,
        gone,
        submission(
            2,
            Effect("attribute:city", "Zürich", None, "cleared"),
            Effect("frequency:all", "weekly", None, "cleared"),
        ),
    )
    assert member(platform)["merge_fields"] == {"CITY": "", "PFREQ": ""}


def test_a_no_goes_alone_and_first(backend: MailchimpBackend) -> None:
    """A field that Mailchimp does not take holds back no opt-out."""
    her = somebody(
        version=2,
        choices={**YES, ("offers", "email"): UNSUBSCRIBED},
        attributes={"children": "three"},
        versions={"choice:news:email": 1, "choice:offers:email": 2, "attribute:children": 2},
    )
    operations = backend.plan(her, [submission(2, said_no("offers"))])
    assert [(each.kind, each.restricts) for each in operations] == [("leave", True), ("fields", False)]
    assert operations[0].payload == {"email": EMAIL, "groups": {OFFERS: False}}


def test_a_pause_of_a_topic_has_a_field_where_one_is_named(made: Callable[..., MailchimpBackend]) -> None:
    """The field of a topic holds the longest pause that concerns it, and the rarest frequency."""
    backend = made(
        PAUSE_FIELDS={"all": "PPAUSE", "topic:news": "PPAUSENEWS"},
        FREQUENCY_FIELDS={"all": "PFREQ", "topic:news": "PFREQNEWS"},
    )
    her = somebody(
        choices=YES,
        pauses={("", ""): pause(2027, 1, 1), ("news", ""): pause(2027, 5, 5)},
        frequencies={("", ""): "quarterly", ("news", ""): "daily"},
    )
    fields = backend.field_values(her, [])
    assert fields == {
        "PPAUSE": "2027-01-01",
        "PPAUSENEWS": "2027-05-05",
        "PFREQ": "quarterly",
        "PFREQNEWS": "quarterly",
    }
    assert backend.keeps("pause", ("news", ""), "news", "email")
    assert not backend.keeps("pause", ("offers", ""), "offers", "email")
    assert backend.keeps("pause", ("", ""), "offers", "email")
    assert backend.describe_field("pause", "news", "email") == "PPAUSENEWS"
    assert backend.describe_field("pause", "offers", "email") == "PPAUSE"


def test_a_pause_ends_on_the_day_that_it_ends_where_she_lives(backend: MailchimpBackend) -> None:
    """It ends when a day begins: in Berlin the first of January begins while it is still December in UTC."""
    her = somebody(choices=YES, timezone="Europe/Berlin")
    until = datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert backend.field_values(
        somebody(timezone="Europe/Berlin", pauses={("", ""): type(pause())(until)}), []
    ) == {"PPAUSE": "2027-01-01"}
    assert backend.field_values(her, []) == {}


def test_opted_out_she_is_told_of_once_and_stays_so(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(
        version=2,
        opted_out=True,
        choices=dict.fromkeys(BOTH, UNSUBSCRIBED),
    )
    results = bring(backend, out, submission(2, left_all()))
    assert set(results) == {"opt-out"}
    assert member(platform)["status"] == "unsubscribed"
    assert set(member(platform)["interests"].values()) == {False}


def test_her_old_address_leaves(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody("old@mail.example.org", choices=YES))
    moved = somebody("new@mail.example.org", version=2, choices=YES, retired=["old@mail.example.org"])
    results = bring(backend, moved, submission(2))
    assert set(results) == {"former", "join"}
    assert member(platform, "old@mail.example.org")["status"] == "unsubscribed"
    assert member(platform, "new@mail.example.org")["interests"] == {NEWS: True}


def test_a_change_of_capitals_is_no_change_of_address(backend: MailchimpBackend) -> None:
    moved = somebody("reader@mail.example.org", choices=YES, retired=["Reader@Mail.example.org"])
    assert "former" not in {operation.kind for operation in backend.plan(moved, [])}


# --- who is there, and who is not -------------------------------------------------------------------------------------


def met(backend: MailchimpBackend, target: Target, results: dict[str, Result]) -> Target:
    """With what Mailchimp answered that it knows her by."""
    remote = next(result.remote_id for result in results.values() if result.remote_id)
    return replace(target, identifiers=replace(target.identifiers, remote={backend.alias: remote}))


NO_NEWS = {("news", "email"): UNSUBSCRIBED}


def test_an_audience_that_is_not_there_has_not_forgotten_anybody(
    made: Callable[..., MailchimpBackend], backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """It says 404 of everybody in it, which else would make every no, old address and erasure done."""
    bring(backend, somebody(choices=YES))
    wrong = made(AUDIENCE="zzz999zzz9")
    no = somebody(version=2, choices=NO_NEWS, retired=["old@mail.example.org"])
    results = bring(wrong, no, submission(2, said_no("news")))
    assert {kind: result.outcome for kind, result in results.items()} == {
        "former": Outcome.MISCONFIGURED,
        "leave": Outcome.MISCONFIGURED,
    }
    assert wrong.erase(Identifiers(email=EMAIL)).outcome is Outcome.MISCONFIGURED
    with pytest.raises(PlatformError):
        wrong.read(no)
    many = [
        wrong.plan(somebody(f"reader-{number}@mail.example.org", version=2, choices=NO_NEWS), [submission(2)])
        for number in range(3)
    ]
    calls = len(platform.calls)
    backend.execute([operation for (operation,) in many])
    asked = [call for call in platform.calls[calls:] if call[0] == "GET"]
    assert len(asked) == 1


def test_a_group_that_is_not_there_keeps_nobody_in(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=BOTH))
    del platform.groups[OFFERS]
    platform.groups["3c4d5e6f70"] = "Events"
    her = somebody(version=2, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    results = bring(backend, her, submission(2, said_no("news"), said_no("offers")))
    assert results["leave"].outcome is Outcome.REFUSED
    assert member(platform)["interests"][NEWS] is False
    out = somebody(version=3, choices=BOTH, opted_out=True)
    assert bring(backend, out, submission(3, left_all()))["opt-out"].outcome is Outcome.DONE
    assert member(platform)["status"] == "unsubscribed"


def test_a_field_that_is_asked_of_everybody_keeps_nobody_in_or_out(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    platform.required.add("CITY")
    assert bring(backend, somebody(choices=YES))["join"].outcome is Outcome.DONE
    no = somebody(version=2, choices=NO_NEWS)
    assert bring(backend, no, submission(2, said_no("news")))["leave"].outcome is Outcome.DONE
    out = somebody(version=3, choices=YES, opted_out=True)
    assert bring(backend, out, submission(3, left_all()))["opt-out"].outcome is Outcome.DONE
    assert member(platform)["status"] == "unsubscribed"


@pytest.mark.parametrize("what", ["leave", "opt-out", "erase", "read"])
def test_who_has_another_address_there_by_now_is_still_she(
    backend: MailchimpBackend, platform: Mailchimp, what: str
) -> None:
    first = somebody(choices=YES)
    her = met(backend, first, bring(backend, first))
    platform.change_address(EMAIL, "new@mail.example.org")
    (held,) = platform.members.values()
    if what == "leave":
        no = replace(her, state=somebody(version=2, choices=NO_NEWS).state)
        bring(backend, no, submission(2, said_no("news")))
        assert held["interests"][NEWS] is False
    elif what == "opt-out":
        out = replace(her, state=somebody(version=2, choices=YES, opted_out=True).state)
        assert bring(backend, out, submission(2, left_all()))["opt-out"].outcome is Outcome.DONE
        assert held["status"] == "unsubscribed"
        assert len(platform.members) == 1
    elif what == "read":
        known = backend.read(her)
        assert known is not None
        assert known.choices == YES
    else:
        assert backend.erase(her.identifiers).outcome is Outcome.DONE
        assert platform.members == {}


def test_no_e_mail_at_all_is_to_leave_the_audience(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """Also of whom we never asked about a group that she is in; and a later yes does not bring that one back."""
    bring(backend, somebody(choices=YES))
    member(platform)["interests"][OFFERS] = True
    said = {("", "email"): UNSUBSCRIBED}
    for choices in (said, {**NO_NEWS, **said}):
        member(platform)["status"] = "subscribed"
        left = somebody(version=2, choices=choices, versions={"choice::email": 2})
        results = bring(backend, left, submission(2))
        assert {kind: result.outcome for kind, result in results.items()} == {"opt-out": Outcome.DONE}
        assert member(platform)["status"] == "unsubscribed"
        assert member(platform)["interests"] == {NEWS: False, OFFERS: False}
    member(platform)["interests"][OFFERS] = True
    back = somebody(version=3, choices={**YES, **said}, versions={"choice::email": 2, "choice:news:email": 3})
    assert bring(backend, back, just_now(3, said_yes("news")))["join"].outcome is Outcome.DONE
    assert member(platform)["status"] == "subscribed"
    assert member(platform)["interests"] == {NEWS: True, OFFERS: False}
    known = backend.read(back)
    assert known is not None
    assert known.choices == YES


@pytest.mark.parametrize("by_herself", [True, False])
def test_an_old_yes_brings_back_nobody_who_left_since(
    backend: MailchimpBackend, platform: Mailchimp, *, by_herself: bool
) -> None:
    """Told once more, or for the first time where she left before we knew her: nobody is mailed."""
    for again in (0, 1):
        bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
        platform.leave(EMAIL)
        member(platform)["by_herself"] = by_herself
        her = replace(somebody(choices=YES), again=again)
        (result,) = backend.execute(backend.plan(her, [submission(1, said_yes("news"))]))
        assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
        assert member(platform)["status"] == "unsubscribed"
        assert platform.mailed == []
        platform.members.clear()


def test_a_newer_yes_brings_her_back(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    platform.leave(EMAIL)
    member(platform)["last_changed"] = "2026-11-20T09:30:00+00:00"
    (result,) = backend.execute(backend.plan(somebody(choices=YES), [submission(1, said_yes("news"))]))
    assert result.outcome is Outcome.NEEDS_CONFIRMATION
    assert platform.mailed == [EMAIL]
    (result,) = backend.execute(backend.plan(somebody(choices=YES), [submission(1, said_yes("news"))]))
    assert result.outcome is Outcome.NEEDS_CONFIRMATION
    assert platform.mailed == [EMAIL]  # once


def test_a_yes_that_is_late_brings_back_nobody_who_left_since(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """Mailchimp was away, or an answer was lost: nobody is mailed for it, either."""
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    platform.leave(EMAIL)
    her = somebody(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 2})
    results = bring(backend, her, submission(2, said_yes("offers")))
    assert results["join"].code == "left-over-there"
    assert member(platform)["status"] == "unsubscribed"
    assert platform.mailed == []
    assert OFFERS not in member(platform)["interests"]


def test_a_newer_yes_brings_back_that_one_and_none_of_before(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=BOTH))
    platform.leave(EMAIL)
    member(platform).update(by_herself=False, last_changed="2026-11-22T09:30:00+00:00")
    her = somebody(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 2})
    said = [
        replace(submission(1, said_yes("news")), at=AT - timedelta(days=1)),
        replace(submission(2, said_yes("offers")), at=AT + timedelta(hours=1)),
    ]
    assert bring(backend, replace(her, again=1), *said)["join"].code == "left-over-there"
    assert member(platform)["status"] == "subscribed"
    assert member(platform)["interests"] == {NEWS: False, OFFERS: True}


def moving(**state: Any) -> tuple[Target, ChangeBatch]:
    """Who has changed her address since, and when she did."""
    new = "new@mail.example.org"
    target = somebody(new, version=2, choices=YES, retired=[EMAIL], **state)
    return target, just_now(2, Effect("address:email", EMAIL, new, "set"))


def known_by(target: Target, results: dict[str, Result]) -> Target:
    """The same, with the id that Mailchimp answered."""
    remote = next(result.remote_id for result in results.values() if result.remote_id)
    return replace(target, identifiers=replace(target.identifiers, remote={"mailchimp": remote}))


@pytest.mark.parametrize("how", ["herself", "an admin", "deleted"])
def test_who_had_left_at_her_old_address_is_not_in_at_the_new_one(
    backend: MailchimpBackend, platform: Mailchimp, how: str
) -> None:
    """Nor once her old address has been told to leave, and all is tried again."""
    results = bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    if how == "deleted":
        platform.members.clear()
    else:
        platform.leave(EMAIL)
        member(platform).update(by_herself=how == "herself", last_changed="2026-11-22T11:30:00+00:00")
    her, move = moving(versions={"choice:news:email": 1})
    operations = backend.plan(known_by(her, results), [move])
    for _ in range(2):
        assert say(backend, operations)["join"].code == "left-over-there"
    assert platform.mailed == []
    assert "subscribed" not in {each["status"] for each in platform.members.values()}


def test_who_moves_and_had_not_left_is_in_at_the_new_address(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """Also the second time, when her old address is out by us."""
    results = bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    her, move = moving(versions={"choice:news:email": 1})
    operations = backend.plan(known_by(her, results), [move])
    for _ in range(2):
        assert {result.outcome for result in say(backend, operations).values()} == {Outcome.DONE}
    assert {each["email_address"]: each["status"] for each in platform.members.values()} == {
        EMAIL: "unsubscribed",
        "new@mail.example.org": "subscribed",
    }


def test_the_address_that_she_gave_there_gets_nothing_once_she_moved_here(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """And nothing of that is done to the new one, where the id is the new one's by then."""
    third = "third@mail.example.org"
    results = bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    platform.change_address(EMAIL, third)
    her, move = moving(versions={"choice:news:email": 1})
    results = bring(backend, known_by(her, results), move)
    statuses = {each["email_address"]: each["status"] for each in platform.members.values()}
    assert statuses[third] == "unsubscribed"
    if not any(result.remote_id for result in results.values()):
        results = bring(backend, somebody("new@mail.example.org", choices=YES), just_now(1, said_yes("news")))
    bring(backend, known_by(her, results), move)
    assert member(platform, "new@mail.example.org")["status"] == "subscribed"


def test_an_opt_out_stands_there_whatever_is_missing(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """A group of the mapping, or she herself: no import may bring her in."""
    del platform.groups[OFFERS]
    out = somebody(version=2, choices=YES, opted_out=True)
    assert bring(backend, out, submission(2, left_all()))["opt-out"].outcome is Outcome.DONE
    assert member(platform)["status"] == "unsubscribed"
    platform.members.clear()
    gone = replace(out, identifiers=replace(out.identifiers, remote={"mailchimp": "0" * 32}))
    assert bring(backend, gone, submission(2, left_all()))["opt-out"].outcome is Outcome.DONE
    assert member(platform)["status"] == "unsubscribed"


def test_her_id_is_known_where_a_field_was_refused(backend: MailchimpBackend, platform: Mailchimp) -> None:
    platform.fields["CITY"] = "date"
    result = bring(backend, somebody(choices=YES, attributes={"city": "Ulm"}))["join"]
    assert result.outcome is Outcome.REFUSED
    assert result.remote_id == member(platform)["contact_id"]


def test_many_who_are_there_already_are_looked_up_a_few_at_a_time(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(50)
    ]
    operations = [backend.plan(person, [])[0] for person in people]
    assert {result.outcome for result in backend.execute(operations)} == {Outcome.DONE}
    again = [result.outcome for result in backend.execute(operations)]
    assert again == [Outcome.DONE] * 40 + [Outcome.SPLIT] * 10


def test_what_an_answer_does_not_say_is_not_done(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=YES))
    member(platform)["status"] = "unsubscribed"
    platform.passes_over = True
    again = somebody(version=3, choices=YES)
    results = bring(backend, again, just_now(3, said_yes("news")))
    assert results["join"].outcome is Outcome.REFUSED
    assert results["join"].code == "member-in-compliance-state"


def test_told_once_more_a_no_does_not_share_the_fate_of_a_yes(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=BOTH))
    del platform.groups[NEWS]
    mixed = replace(somebody(version=2, choices={**YES, ("offers", "email"): UNSUBSCRIBED}), again=1)
    results = bring(backend, mixed)
    assert results["leave"].outcome is Outcome.DONE
    assert results["join"].outcome is Outcome.REFUSED
    assert member(platform)["interests"][OFFERS] is False


# --- what Mailchimp says ----------------------------------------------------------------------------------------------


def test_whoever_left_over_there_is_asked_by_mailchimp(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=YES))
    platform.leave(EMAIL)
    again = somebody(version=3, choices=YES)
    results = bring(backend, again, just_now(3, said_yes("news")))
    assert results["join"].outcome is Outcome.NEEDS_CONFIRMATION
    assert results["join"].code == "asked-by-mailchimp"
    assert platform.mailed == [EMAIL]
    assert member(platform)["status"] == "pending"
    known = backend.read(again)
    assert known is not None
    assert known.choices == {}
    platform.confirm(EMAIL)
    known = backend.read(again)
    assert known is not None
    assert known.choices == {("news", "email"): SUBSCRIBED}


def test_a_field_does_not_bring_back_who_left_over_there(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=YES))
    platform.leave(EMAIL)
    her = somebody(
        version=2,
        choices=YES,
        attributes={"city": "Zürich"},
        versions={"choice:news:email": 1, "attribute:city": 2},
    )
    results = bring(backend, her, submission(2, Effect("attribute:city", None, "Zürich", "set")))
    assert results["fields"].outcome is Outcome.DONE
    assert member(platform)["status"] == "unsubscribed"
    assert member(platform)["merge_fields"] == {"CITY": "Zürich"}
    assert platform.mailed == []


def test_the_profile_beside_such_a_yes_arrives_without_a_second_mail(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=YES))
    platform.leave(EMAIL)
    again = somebody(version=3, choices=YES, attributes={"city": "Zürich"})
    results = bring(backend, again, just_now(3, said_yes("news")))
    assert results["join"].outcome is Outcome.NEEDS_CONFIRMATION
    assert member(platform)["merge_fields"] == {"CITY": "Zürich"}
    assert platform.mailed == [EMAIL]


def test_half_a_batch_fails_and_it_is_known_which(backend: MailchimpBackend, platform: Mailchimp) -> None:
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(6)
    ]
    operations = [backend.plan(person, [])[0] for person in people]
    platform.faults.half()
    results = backend.execute(operations)
    assert [result.outcome for result in results] == [Outcome.REFUSED, Outcome.DONE] * 3
    assert {result.code for result in results[::2]} == {"error_generic"}
    assert len(platform.members) == 3


def test_a_field_that_is_refused_keeps_nobody_out(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """Mailchimp refuses the whole person: her groups go alone then, and staff see what was refused."""
    platform.fields["CITY"] = "date"
    her = somebody(choices=YES, attributes={"city": "Ulm"})
    (result,) = backend.execute(backend.plan(her, []))
    assert (result.outcome, result.code) == (Outcome.REFUSED, "error_generic")
    assert member(platform)["interests"] == {NEWS: True}
    assert member(platform)["merge_fields"] == {}


def test_nor_does_it_keep_from_being_asked_who_left_over_there(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=YES))
    platform.leave(EMAIL)
    platform.fields["CITY"] = "date"
    again = somebody(version=3, choices=YES, attributes={"city": "Ulm"})
    results = bring(backend, again, just_now(3, said_yes("news")))
    assert results["join"].outcome is Outcome.REFUSED
    assert member(platform)["status"] == "pending"
    assert platform.mailed == [EMAIL]


def test_a_no_of_whom_it_deleted_for_good_needs_nobody(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    """Nothing is there that it could stop: no alarm of an opt-out that was refused."""
    bring(backend, somebody(choices=YES))
    backend.erase(Identifiers(email=EMAIL))
    out = somebody(version=2, choices=YES, opted_out=True)
    assert bring(backend, out, submission(2, left_all()))["opt-out"].outcome is Outcome.DONE
    assert platform.members == {}


def test_one_address_twice_in_a_batch_is_said_apart(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """Contacts of two audiences may share one; the first would win without a word."""
    operations = [
        *backend.plan(somebody(choices=YES), []),
        *backend.plan(somebody(choices={("offers", "email"): SUBSCRIBED}), []),
    ]
    assert {result.outcome for result in backend.execute(operations)} == {Outcome.SPLIT}


@pytest.mark.parametrize(
    ("happens", "outcome", "code"),
    [
        (lambda platform: setattr(platform, "stressed", True), Outcome.RATE_LIMITED, "http-403"),
        (lambda platform: platform.faults.status(429), Outcome.RATE_LIMITED, "too-many-requests"),
        (lambda platform: platform.faults.status(500), Outcome.RETRY, "internal-server-error"),
        (lambda platform: platform.faults.drop(), Outcome.RETRY, "connection"),
        (lambda platform: platform.refused.add(EMAIL), Outcome.REFUSED, "error_generic"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    backend: MailchimpBackend,
    platform: Mailchimp,
    happens: Callable[[Mailchimp], None],
    outcome: Outcome,
    code: str,
) -> None:
    operations = backend.plan(somebody(choices=YES), [])
    happens(platform)
    (result,) = backend.execute(operations)
    assert (result.outcome, result.code) == (outcome, code)
    assert EMAIL not in repr(result)


def test_whom_it_deleted_for_good_no_api_brings_back(backend: MailchimpBackend, platform: Mailchimp) -> None:
    bring(backend, somebody(choices=YES))
    assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert platform.members == {}
    (result,) = bring(backend, somebody(choices=YES)).values()
    assert result.outcome is Outcome.REFUSED
    # Whom it does not know it mails nothing: a no of hers is told already.
    gone = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    assert bring(backend, gone, submission(2, said_no("news")))["leave"].outcome is Outcome.DONE


def test_five_hundred_go_into_a_call_and_no_more(backend: MailchimpBackend) -> None:
    assert backend.capabilities.batch_size == BATCH == backend.most("join")
    assert backend.most("opt-out") == backend.most("leave") < BATCH
    assert backend.most("leave") == backend.most("fields") == backend.most("former") == ALONE


# --- read -------------------------------------------------------------------------------------------------------------


def test_who_left_over_there_has_no_yes_there(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """And no opt-out of ours either: what she wants by other ways is none of Mailchimp's business."""
    her = somebody(choices=YES)
    bring(backend, her)
    platform.leave(EMAIL)
    known = backend.read(her)
    assert known is not None
    assert (known.opted_out, known.choices) == (None, {})
    out = somebody(version=2, opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    known = backend.read(out)
    assert known is not None
    assert known.opted_out is True


def test_no_answer_is_none(backend: MailchimpBackend, platform: Mailchimp) -> None:
    her = somebody(choices=YES)
    assert backend.read(her) is None
    platform.faults.status(500)
    with pytest.raises(PlatformError):
        backend.read(her)


# --- check ------------------------------------------------------------------------------------------------------------


def hook(**values: Any) -> dict[str, Any]:
    return {
        "url": "https://www.example.org/prefs/api/v1/inbound/mailchimp/secret/",
        "events": {"unsubscribe": True, "cleaned": True},
        "sources": {"user": True, "admin": True, "api": False},
        **values,
    }


def test_all_is_well(backend: MailchimpBackend, platform: Mailchimp) -> None:
    platform.webhooks.append(hook())
    assert backend.check() == []


@pytest.mark.parametrize(
    ("happens", "level", "words"),
    [
        (
            lambda platform: platform.groups.pop(OFFERS),
            "error",
            'no group 2b3c4d5e6f.*TOPICS names for "offers"',
        ),
        (lambda platform: platform.fields.pop("CITY"), "error", 'no merge field CITY.*attribute "city"'),
        (
            lambda platform: platform.fields.pop("PPAUSE"),
            "error",
            "no merge field PPAUSE.*the day a pause ends",
        ),
        (lambda platform: platform.fields.update(PPAUSE="number"), "error", "PPAUSE as number.*type date"),
        (lambda platform: platform.required.add("FNAME"), "error", "asks for FNAME of everybody"),
        (lambda platform: platform.webhooks.clear(), "warning", "no webhook that leads here"),
        (
            lambda platform: platform.webhooks[0].update(events={"unsubscribe": False}),
            "warning",
            "without the event unsubscribe",
        ),
        (lambda platform: platform.webhooks[0].update(sources={"user": False}), "warning", "source user"),
    ],
)
def test_what_is_missing_over_there_is_named(
    backend: MailchimpBackend,
    platform: Mailchimp,
    happens: Callable[[Mailchimp], Any],
    level: str,
    words: str,
) -> None:
    platform.webhooks.append(hook())
    happens(platform)
    (problem,) = backend.check()
    assert problem.level == level
    assert re.search(words, problem.text)


def test_credentials_and_audience_are_told_apart(made: Callable[..., MailchimpBackend]) -> None:
    (problem,) = made(API_KEY="ffffffffffffffffffffffffffffffff-us21").check()
    assert "does not take API_KEY" in problem.text
    (problem,) = made(AUDIENCE="zzz999").check()
    assert "no audience zzz999" in problem.text


# --- inbound ----------------------------------------------------------------------------------------------------------

SECRET = "test-secret"
FORM = "application/x-www-form-urlencoded"


def told(
    body: bytes, *, stamp: int | None = None, secret: str = SECRET, signature: str | None = None
) -> HttpRequest:
    moment = int(time.time()) if stamp is None else stamp
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    given = {"X-Mailchimp-Signature": f"t={moment},v1={mac}" if signature is None else signature}
    return RequestFactory().post("/", body, content_type=FORM, headers=given)


def form(**values: str) -> bytes:
    said = {
        "type": "unsubscribe",
        "fired_at": "2026-09-21 14:13:20",
        "data[email]": EMAIL,
        "data[list_id]": AUDIENCE,
        "data[reason]": "manual",
        **{name.replace("__", "[") + "]" if "__" in name else name: value for name, value in values.items()},
    }
    return urlencode(said).encode()


def test_who_left_over_there_said_no_to_mail(made: Callable[..., MailchimpBackend]) -> None:
    (event,) = made(SIGNING_SECRETS=["older", SECRET]).parse_inbound(told(form()))
    assert event.identifiers == Identifiers(email=EMAIL)
    assert event.changes == (SetChoice("", "email", UNSUBSCRIBED),)
    assert event.at == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    assert not event.dead
    assert event.evidence is None


@pytest.mark.parametrize(
    ("values", "changes", "dead"),
    [
        ({"data__reason": "abuse"}, (OptOut(),), True),
        ({"type": "cleaned", "data__reason": "hard"}, (), True),
        ({"type": "cleaned", "data__reason": "abuse"}, (OptOut(),), True),
    ],
)
def test_what_else_it_says(
    backend: MailchimpBackend, values: dict[str, str], changes: tuple[Any, ...], dead: bool
) -> None:
    (event,) = backend.parse_inbound(told(form(**values)))
    assert (event.changes, event.dead) == (changes, dead)


@pytest.mark.parametrize(
    "values",
    [{"type": "subscribe"}, {"type": "profile"}, {"type": "upemail"}, {"data__list_id": "another1"}],
)
def test_what_makes_nothing_stricter_is_left_aside(backend: MailchimpBackend, values: dict[str, str]) -> None:
    assert backend.parse_inbound(told(form(**values))) == []


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (lambda: told(form(), secret="another"), "signature"),
        (lambda: told(form(), stamp=int(time.time()) - 301), "timestamp"),
        (lambda: told(form(), stamp=int(time.time()) + 301), "timestamp"),
        (lambda: told(form(), signature=""), "headers"),
        (lambda: told(form(), signature="t=soon,v1=00"), "headers"),
        (lambda: told(form(), signature=f"t={int(time.time())}"), "signature"),
        (lambda: told(b"{}"), "form"),
        (lambda: told(form(data__email="")), "email"),
        (lambda: RequestFactory().post("/", form(), content_type=FORM), "headers"),
    ],
)
def test_what_is_not_mailchimps_is_refused(
    made: Callable[..., MailchimpBackend], request_: Callable[[], HttpRequest], code: str
) -> None:
    with pytest.raises(BadInbound, match=f"^{code}$"):
        made(SIGNING_SECRETS=[SECRET]).parse_inbound(request_())


def test_a_byte_that_was_changed_is_noticed(made: Callable[..., MailchimpBackend]) -> None:
    request = told(form())
    request._body = form(data__email="other@mail.example.org")
    with pytest.raises(BadInbound, match="signature"):
        made(SIGNING_SECRETS=[SECRET]).parse_inbound(request)


def test_the_vector_of_the_documentation(made: Callable[..., MailchimpBackend]) -> None:
    """crm-contracts.md s3.5."""
    body = b"type=unsubscribe&fired_at=2026-09-21+14%3A13%3A20&data%5Bemail%5D=a%40example.org&data%5Blist_id%5D=abc"
    header = "t=1790000000,v1=f538183c4d12472182ebd379bde3292139941b8b75742eb4d74ff59a39917a81"
    request = RequestFactory().post("/", body, content_type=FORM, headers={"X-Mailchimp-Signature": header})
    with time_machine.travel(datetime.fromtimestamp(1790000000, UTC) + timedelta(seconds=200)):
        assert made(SIGNING_SECRETS=[SECRET]).parse_inbound(request) == []  # of another audience


def test_with_the_first_yes_goes_the_first_no(backend: MailchimpBackend, platform: Mailchimp) -> None:
    """Whom Mailchimp has never heard of there is nothing to stop for; later a no goes by itself."""
    her = somebody(choices={**YES, ("offers", "email"): UNSUBSCRIBED})
    (operation,) = backend.plan(her, [submission(1, said_yes("news"), said_no("offers"))])
    assert (operation.kind, operation.restricts) == ("join", True)
    assert operation.payload["groups"] == {NEWS: True, OFFERS: False}
    later = somebody(version=3, choices=her.state.choices)
    kinds = [each.kind for each in backend.plan(later, [submission(3, said_yes("news"), said_no("offers"))])]
    assert kinds == ["leave", "join"]


def test_one_at_a_time_where_only_that_keeps_the_status(
    backend: MailchimpBackend, platform: Mailchimp
) -> None:
    bring(backend, somebody(choices=BOTH))
    platform.calls.clear()
    left = somebody(
        version=2,
        choices={**YES, ("offers", "email"): UNSUBSCRIBED},
        versions={"choice:news:email": 1, "choice:offers:email": 2},
    )
    say(backend, backend.plan(left, [submission(2, said_no("offers"))]))
    assert [(method, status) for method, _path, status in platform.calls] == [("PATCH", 200)]
    assert member(platform)["interests"] == {NEWS: True, OFFERS: False}
