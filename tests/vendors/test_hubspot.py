"""What the HubSpot backend plans, makes of answers, finds missing over there, and hears from there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import RequestFactory

from example_site.platforms.hubspot import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    PORTAL,
    WEBHOOK_URL,
    Hubspot,
    opted_out,
    signed,
)
from tests.vendors.bringing import (
    AT,
    EMAIL,
    HER,
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
from tests.vendors.test_hubspot_conformance import OPTIONS
from wagtail_prefs.backends.answers import Answer
from wagtail_prefs.backends.base import BadInbound, PlatformError, Unsupported
from wagtail_prefs.backends.hubspot import BATCH, HubspotBackend
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Effect,
    Identifiers,
    Inbound,
    Outcome,
    Support,
)

NEWS, OFFERS = ("news", "email"), ("offers", "email")
YES = {NEWS: SUBSCRIBED}
BOTH = {**YES, OFFERS: SUBSCRIBED}


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Hubspot]:
    with Hubspot() as platform:
        yield platform
        assert platform.violations == []
        assert platform.crashes == []


@pytest.fixture
def made(platform: Hubspot) -> Callable[..., HubspotBackend]:
    def make(**options: Any) -> HubspotBackend:
        return HubspotBackend("hubspot", {**OPTIONS, "URL": platform.url, **options})

    return make


@pytest.fixture
def backend(made: Callable[..., HubspotBackend]) -> HubspotBackend:
    return made()


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ACCESS_TOKEN": "with a space in it"}, "ACCESS_TOKEN"),
        ({"ACCESS_TOKEN": ""}, "ACCESS_TOKEN"),
        ({"VERSION": "v3"}, "VERSION"),
        ({"LEGAL_BASIS": "BECAUSE"}, "LEGAL_BASIS"),
        ({"TOPICS": {"news": "newsletter"}}, "numbers"),
        ({"ATTRIBUTES": {"mail": "email"}}, "HubSpot's own"),
        ({"PAUSE_FIELDS": {"all": "hs_email_optout"}}, "HubSpot's own"),
        ({"PAUSE_FIELDS": {"all": "Paused until"}}, "internal names"),
        ({"CLIENT_SECRETS": [""]}, "CLIENT_SECRETS"),
        ({"WEBHOOK_URL": "www.example.org"}, "WEBHOOK_URL"),
        ({"PORTAL": "mine"}, "PORTAL"),
        ({"FREQUENCY_FIELDS": {"channel:sms": "pref_freq"}}, "channels"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    made: Callable[..., HubspotBackend], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named) as error:
        made(**options)
    assert ACCESS_TOKEN not in str(error.value)


def test_where_it_stands_and_what_it_can(made: Callable[..., HubspotBackend]) -> None:
    assert made(URL="").base_url == "https://api.hubapi.com"
    bare = made(ATTRIBUTES={}, FREQUENCY_FIELDS={}, PAUSE_FIELDS={}, CLIENT_SECRETS=[])
    assert bare.capabilities.frequency is bare.capabilities.pause is Support.NONE
    assert bare.capabilities.inbound is Inbound.NONE
    assert made().capabilities.inbound is Inbound.SIGNED
    with pytest.raises(Unsupported):
        bare.parse_inbound(RequestFactory().post("/"))


def test_a_call_holds_a_hundred_inputs_and_no_more(made: Callable[..., HubspotBackend]) -> None:
    many = made(TOPICS={f"topic-{number}": number for number in range(1, 31)}, PAUSE_FIELDS={})
    assert made().most("join") == BATCH // 2
    assert many.most("leave") == 3
    assert many.most("opt-out") == many.most("profile") == many.most("former") == BATCH
    more = made(TOPICS={f"topic-{number}": number for number in range(1, 121)}, PAUSE_FIELDS={})
    her = somebody(choices={(f"topic-{number}", "email"): SUBSCRIBED for number in range(1, 121)})
    joins = [each for each in more.plan(her, []) if each.kind == "join"]
    assert [len(each.payload["inputs"]) for each in joins] == [100, 20]
    assert more.most("join") == 1
    assert len({each.key for each in joins}) == 2


# --- plan -------------------------------------------------------------------------------------------------------------


def test_a_yes_brings_her_contact_along(backend: HubspotBackend, platform: Hubspot) -> None:
    """With all that she ever said, as texts, and with the id by which webhooks name her."""
    her = somebody(
        version=3,
        choices=YES,
        frequencies={("", ""): "weekly"},
        pauses={("", ""): pause()},
        attributes={"city": "Zürich", "children": 3, "member": False, "interests": ["trees", "the sea"]},
        versions={
            "choice:news:email": 3,
            "frequency:all": 1,
            "pause:all": 2,
            "attribute:city": 1,
            "attribute:children": 1,
            "attribute:member": 1,
            "attribute:interests": 1,
        },
    )
    results = bring(backend, her, submission(3, said_yes("news")))
    assert {kind: result.outcome for kind, result in results.items()} == {
        "join": Outcome.DONE,
        "profile": Outcome.DONE,
    }
    assert platform.contact(EMAIL) == {
        "email": EMAIL,
        "city": "Zürich",
        "children": "3",
        "is_member": "false",
        "interests": "trees;the sea",
        "pref_freq": "weekly",
        "pref_pause": "2027-03-03",
    }
    assert platform.statuses == {EMAIL: {"101": "SUBSCRIBED"}}
    (remote,) = platform.contacts
    assert results["profile"].remote_id == remote


def test_a_status_names_the_record_that_it_stands_on(backend: HubspotBackend, platform: Hubspot) -> None:
    """And nobody: the explanation is free text over there."""
    bring(backend, somebody(version=3, choices=YES, versions={"choice:news:email": 2}))
    assert platform.evidence == {(EMAIL, "101"): ("CONSENT_WITH_NOTICE", f"prefs:{HER}#2")}


def test_a_yes_without_anything_else_makes_a_contact_all_the_same(
    backend: HubspotBackend, platform: Hubspot
) -> None:
    results = bring(backend, somebody(choices=YES))
    assert results["profile"].remote_id in platform.contacts
    assert platform.contact(EMAIL) == {"email": EMAIL}


def test_a_no_alone_makes_no_contact(backend: HubspotBackend, platform: Hubspot) -> None:
    results = bring(backend, somebody(choices={NEWS: UNSUBSCRIBED}))
    assert set(results) == {"leave"}
    assert platform.statuses == {EMAIL: {"101": "UNSUBSCRIBED"}}
    assert platform.contacts == {}


def test_only_what_is_new_goes_out(backend: HubspotBackend) -> None:
    her = somebody(
        version=5,
        choices=BOTH,
        frequencies={("", ""): "monthly"},
        attributes={"city": "Zürich"},
        versions={"choice:news:email": 1, "choice:offers:email": 1, "frequency:all": 5, "attribute:city": 2},
    )
    (operation,) = backend.plan(her, [submission(5, Effect("frequency:all", "weekly", "monthly", "set"))])
    assert operation.kind == "profile"
    assert operation.payload == {"email": EMAIL, "properties": {"pref_freq": "monthly"}}
    assert not operation.restricts


def test_a_no_goes_alone_and_first(backend: HubspotBackend) -> None:
    """A property that HubSpot does not take holds back no opt-out, and no yes."""
    her = somebody(
        version=2,
        choices={**YES, OFFERS: UNSUBSCRIBED},
        attributes={"city": "Zürich"},
        versions={"choice:news:email": 2, "choice:offers:email": 2, "attribute:city": 2},
    )
    operations = backend.plan(her, [submission(2, said_no("offers"), said_yes("news"))])
    assert [(each.kind, each.restricts) for each in operations] == [
        ("leave", True),
        ("join", False),
        ("profile", False),
    ]
    assert [(each["id"], each["state"]) for each in operations[0].payload["inputs"]] == [
        (102, "UNSUBSCRIBED")
    ]


def test_a_yes_that_was_taken_back_is_no_no(backend: HubspotBackend, platform: Hubspot) -> None:
    bring(backend, somebody(choices=YES))
    undone = somebody(version=2, versions={"choice:news:email": 2})
    bring(
        backend,
        undone,
        submission(2, Effect("choice:news:email", SUBSCRIBED, None, "restored", "news", "email")),
    )
    assert platform.statuses == {EMAIL: {"101": "NOT_SPECIFIED"}}


def test_who_waits_to_confirm_undoes_no_no_over_there(backend: HubspotBackend, platform: Hubspot) -> None:
    """Meanwhile she may have left by a link of HubSpot's: NOT_SPECIFIED would take that back."""
    platform.leave(EMAIL)
    waiting = somebody(version=1, pending=frozenset({NEWS}), versions={"choice:news:email": 1})
    bring(backend, waiting, submission(1, Effect("pending:news:email", None, True, "requested")))
    assert platform.statuses[EMAIL]["101"] == "UNSUBSCRIBED"


def test_what_she_takes_back_is_emptied(backend: HubspotBackend, platform: Hubspot) -> None:
    bring(backend, somebody(choices=YES, attributes={"city": "Zürich"}, frequencies={("", ""): "weekly"}))
    gone = somebody(
        version=2, choices=YES, versions={"choice:news:email": 1, "attribute:city": 2, "frequency:all": 2}
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
    assert platform.contact(EMAIL) == {"email": EMAIL, "city": "", "pref_freq": ""}


def test_opted_out_she_is_unsubscribed_from_all(backend: HubspotBackend, platform: Hubspot) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    assert set(bring(backend, out, submission(2, left_all()))) == {"opt-out"}
    assert platform.out == {EMAIL}


def test_somebody_who_left_is_told_nothing_of_but_what_she_takes_back(backend: HubspotBackend) -> None:
    from dataclasses import replace

    out = somebody(
        version=3,
        opted_out=True,
        attributes={"children": 3},
        versions={"opted_out": 1, "attribute:city": 3, "attribute:children": 3},
    )
    since = submission(3, Effect("attribute:city", "Zürich", None, "cleared"))
    assert "profile" not in {each.kind for each in backend.plan(out, [since])}
    known = replace(out, identifiers=Identifiers(email=EMAIL, remote={"hubspot": "7"}))
    (profile,) = (each for each in backend.plan(known, [since]) if each.kind == "profile")
    assert profile.payload["properties"] == {"city": ""}


def test_a_yes_after_leaving_all_brings_one_topic(backend: HubspotBackend, platform: Hubspot) -> None:
    bring(backend, somebody(choices=BOTH))
    platform.leave(EMAIL)
    platform.changed[EMAIL] = "2026-11-20T09:30:00Z"
    again = somebody(version=3, choices=BOTH, versions={"choice:news:email": 3, "choice:offers:email": 1})
    results = bring(backend, again, submission(3, said_yes("news")))
    assert results["join"].outcome is Outcome.DONE
    assert platform.out == set()
    assert platform.statuses[EMAIL] == {"101": "SUBSCRIBED", "102": "UNSUBSCRIBED", "103": "UNSUBSCRIBED"}


@pytest.mark.parametrize("everything", [True, False])
def test_an_old_yes_brings_back_nobody_who_left_since(
    backend: HubspotBackend, platform: Hubspot, *, everything: bool
) -> None:
    """Told once more, or for the first time where she left before HubSpot was connected; what is newer does."""
    said = submission(1, said_yes("news"), said_yes("offers"))
    bring(backend, somebody(choices=BOTH), said)
    if everything:
        platform.leave(EMAIL)
    else:
        platform.statuses[EMAIL]["101"] = "UNSUBSCRIBED"
    for again in (0, 1):
        target = replace(somebody(choices=BOTH), again=again)
        (join,) = [each for each in backend.plan(target, [said]) if each.kind == "join"]
        (result,) = backend.execute([join])
        assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
        assert platform.statuses[EMAIL]["101"] == "UNSUBSCRIBED"
        assert (platform.statuses[EMAIL]["102"] == "SUBSCRIBED") is not everything
    platform.changed[EMAIL] = "2026-11-20T09:30:00Z"
    (result,) = backend.execute([join])
    assert result.outcome is Outcome.DONE
    assert [platform.statuses[EMAIL][key] for key in ("101", "102")] == ["SUBSCRIBED", "SUBSCRIBED"]


def test_a_yes_that_is_late_brings_back_nobody_who_left_since(
    backend: HubspotBackend, platform: Hubspot
) -> None:
    """Its answer was lost, or HubSpot was away; each yes has a moment of its own."""
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    her = somebody(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 2})
    (join,) = [each for each in backend.plan(her, [submission(2, said_yes("offers"))]) if each.kind == "join"]
    assert backend.execute([join])[0].outcome is Outcome.DONE
    platform.statuses[EMAIL]["102"] = "UNSUBSCRIBED"
    platform.changed[EMAIL] = "2026-11-22T11:30:00Z"
    (result,) = backend.execute([join])
    assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
    assert platform.statuses[EMAIL] == {"101": "SUBSCRIBED", "102": "UNSUBSCRIBED"}
    # Told once more, together with a yes of after that no.
    platform.statuses[EMAIL] = {"101": "UNSUBSCRIBED", "102": "UNSUBSCRIBED"}
    said = [
        replace(submission(1, said_yes("news")), at=AT - timedelta(days=1)),
        replace(submission(2, said_yes("offers")), at=AT + timedelta(hours=6)),
    ]
    (join,) = [each for each in backend.plan(replace(her, again=1), said) if each.kind == "join"]
    assert backend.execute([join])[0].code == "left-over-there"
    assert platform.statuses[EMAIL] == {"101": "UNSUBSCRIBED", "102": "SUBSCRIBED"}


def test_who_left_at_her_new_address_since_she_moved_stays_out(
    backend: HubspotBackend, platform: Hubspot
) -> None:
    """To move there is a word of hers for that address, and newer than what was there before."""
    new = "new@mail.example.org"
    moved = somebody(
        new, version=2, choices=YES, versions={"choice:news:email": 1}, retired=["old@mail.example.org"]
    )
    move = submission(2, Effect("address:email", "old@mail.example.org", new, "set"))
    (join,) = [each for each in backend.plan(moved, [move]) if each.kind == "join"]
    platform.leave(new)
    platform.changed[new] = "2026-11-22T11:30:00Z"
    (result,) = backend.execute([join])
    assert (result.outcome, result.code) == (Outcome.REFUSED, "left-over-there")
    platform.changed[new] = "2026-11-20T11:30:00Z"
    assert backend.execute([join])[0].outcome is Outcome.DONE
    assert new not in platform.out


@pytest.mark.parametrize("everything", [True, False])
def test_who_had_left_at_her_old_address_is_not_in_at_the_new_one(
    backend: HubspotBackend, platform: Hubspot, *, everything: bool
) -> None:
    """Nor when all is tried again, where she had left by the link for all."""
    new = "new@mail.example.org"
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    platform.changed[EMAIL] = "2026-11-22T11:30:00Z"
    her = somebody(new, version=2, choices=YES, versions={"choice:news:email": 1}, retired=[EMAIL])
    operations = backend.plan(her, [just_now(2, Effect("address:email", EMAIL, new, "set"))])
    if everything:
        platform.leave(EMAIL)
        platform.changed[EMAIL] = "2026-11-22T11:30:00Z"
        for _ in range(2):
            results = say(backend, operations)
            assert (results["former"].outcome, results["join"].code) == (Outcome.DONE, "left-over-there")
    else:
        platform.statuses[EMAIL]["101"] = "UNSUBSCRIBED"
        (join,) = [each for each in operations if each.kind == "join"]
        assert backend.execute([join])[0].code == "left-over-there"
    assert "SUBSCRIBED" not in platform.statuses.get(new, {}).values()


def test_who_moves_and_had_not_left_is_in_at_the_new_address(
    backend: HubspotBackend, platform: Hubspot
) -> None:
    """Also the second time, when her old address is out by us."""
    new = "new@mail.example.org"
    bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    her = somebody(new, version=2, choices=YES, versions={"choice:news:email": 1}, retired=[EMAIL])
    operations = backend.plan(her, [just_now(2, Effect("address:email", EMAIL, new, "set"))])
    for _ in range(2):
        assert {result.outcome for result in say(backend, operations).values()} == {Outcome.DONE}
    assert platform.out == {EMAIL}
    assert platform.statuses[new] == {"101": "SUBSCRIBED"}


def test_her_old_address_leaves(backend: HubspotBackend, platform: Hubspot) -> None:
    bring(backend, somebody("old@mail.example.org", choices=YES))
    moved = somebody("new@mail.example.org", version=2, choices=YES, retired=["old@mail.example.org"])
    results = bring(backend, moved, submission(2))
    assert set(results) == {"former", "join", "profile"}
    assert results["former"].remote_id == ""
    assert platform.out == {"old@mail.example.org"}
    assert platform.statuses["new@mail.example.org"] == {"101": "SUBSCRIBED"}


def test_a_change_of_capitals_is_no_change_of_address(backend: HubspotBackend) -> None:
    moved = somebody("reader@mail.example.org", choices=YES, retired=["Reader@Mail.example.org"])
    assert "former" not in {operation.kind for operation in backend.plan(moved, [])}


def test_a_list_whose_items_have_semicolons_is_not_told(backend: HubspotBackend, platform: Hubspot) -> None:
    """It would become another list. All else arrives, and somebody is told."""
    results = bring(backend, somebody(choices=YES, attributes={"city": "Zürich", "interests": ["a;b", "c"]}))
    assert results["join"].outcome is Outcome.DONE
    assert (results["profile"].outcome, results["profile"].code) == (Outcome.REFUSED, "attribute-interests")
    assert platform.contact(EMAIL) == {"email": EMAIL, "city": "Zürich"}


# --- what HubSpot says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["join", "profile"])
@pytest.mark.parametrize("silent", [False, True])
def test_half_a_batch_fails_and_it_is_known_which(
    backend: HubspotBackend, platform: Hubspot, kind: str, silent: bool
) -> None:
    """Where errors name nobody, those that were not done are said again in smaller calls; the others are done."""
    platform.silent = silent
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(6)
    ]
    operations = [each for person in people for each in backend.plan(person, []) if each.kind == kind]
    platform.faults.half()
    results = backend.execute(operations)
    failed = Outcome.SPLIT if silent else Outcome.REFUSED
    assert [result.outcome for result in results] == [failed, Outcome.DONE] * 3
    assert {result.code for result in results[::2]} == {"unmatched-error" if silent else "generic"}


def test_one_address_twice_in_a_batch_is_said_apart(backend: HubspotBackend, platform: Hubspot) -> None:
    operations = [
        *backend.plan(somebody(choices=YES), []),
        *backend.plan(somebody(contact=uuid4(), choices=YES), []),
    ]
    for kind in ("join", "profile"):
        assert {
            result.outcome for result in backend.execute([each for each in operations if each.kind == kind])
        } == {Outcome.SPLIT}
    assert platform.calls == []


@pytest.mark.parametrize(
    ("happens", "outcome", "code", "wait"),
    [
        (lambda platform: platform.faults.status(429), Outcome.RATE_LIMITED, "rate_limits", 10),
        (lambda platform: platform.faults.status(477), Outcome.RATE_LIMITED, "account-migrating", 10),
        (lambda platform: platform.faults.status(423), Outcome.RETRY, "locked", None),
        (lambda platform: platform.faults.status(500), Outcome.RETRY, "internal_error", None),
        (lambda platform: platform.faults.status(502), Outcome.RETRY, "internal_error", None),
        (lambda platform: platform.faults.drop(), Outcome.RETRY, "connection", None),
        (lambda platform: platform.refused.add(EMAIL), Outcome.REFUSED, "invalid_email", None),
        (lambda platform: platform.types.pop("101"), Outcome.REFUSED, "subscription_not_found", None),
        (lambda platform: setattr(platform, "keeps_noes", True), Outcome.DONE, "", None),
    ],
)
def test_what_goes_wrong_is_told_apart(
    backend: HubspotBackend,
    platform: Hubspot,
    happens: Callable[[Hubspot], Any],
    outcome: Outcome,
    code: str,
    wait: float | None,
) -> None:
    (join,) = (each for each in backend.plan(somebody(choices=YES), []) if each.kind == "join")
    happens(platform)
    (result,) = backend.execute([join])
    assert (result.outcome, result.code, result.retry_after) == (outcome, code, wait)
    assert EMAIL not in repr(result)


@pytest.mark.parametrize(
    ("status", "headers", "body", "wait"),
    [
        (477, {"retry-after": "36000"}, b"", 36_000),
        (477, {"retry-after": "9999999"}, b"", 86_400),
        (429, {"x-hubspot-ratelimit-interval-milliseconds": "10000"}, b"{}", 10),
        (429, {}, b'{"policyName": "DAILY"}', 3600),
        (429, {"retry-after": "3"}, b'{"policyName": "DAILY"}', 3),
        (429, {}, b"too many", 10),
    ],
)
def test_how_long_to_wait(
    backend: HubspotBackend, status: int, headers: dict[str, str], body: bytes, wait: float
) -> None:
    answer = Answer(status, headers, body)
    outcome, _code = backend.classify(answer)
    assert outcome is Outcome.RATE_LIMITED
    assert backend.retry_after(answer, outcome) == wait


def test_a_property_that_is_not_there_holds_back_neither_yes_nor_no(
    backend: HubspotBackend, platform: Hubspot
) -> None:
    del platform.properties["city"]
    her = somebody(choices={**YES, OFFERS: UNSUBSCRIBED}, attributes={"city": "Zürich"})
    results = bring(backend, her)
    assert results["leave"].outcome is results["join"].outcome is Outcome.DONE
    assert (results["profile"].outcome, results["profile"].code) == (Outcome.REFUSED, "property_doesnt_exist")


def test_a_yes_that_hubspot_keeps_as_a_no_is_not_done(backend: HubspotBackend, platform: Hubspot) -> None:
    platform.keeps_noes = True
    bring(backend, somebody(choices={NEWS: UNSUBSCRIBED}))
    platform.changed[EMAIL] = "2026-11-20T09:30:00Z"
    again = somebody(version=2, choices=YES)
    result = bring(backend, again, submission(2, said_yes("news")))["join"]
    assert (result.outcome, result.code) == (Outcome.REFUSED, "not-set")


@pytest.mark.parametrize("body", [b"[]", b'{"status": "COMPLETE"}', b'{"results": 3}', b"nothing"])
def test_an_answer_without_results_is_none(
    backend: HubspotBackend, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(backend, "_exchange", lambda *_, **__: Answer(200, {}, body))
    for operation in backend.plan(somebody(choices={**YES, OFFERS: UNSUBSCRIBED}), []):
        (result,) = backend.execute([operation])
        assert result.outcome is Outcome.RETRY
    with pytest.raises(PlatformError):
        backend.read(somebody())
    assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.RETRY


# --- read and erase ---------------------------------------------------------------------------------------------------


def test_what_it_reads(backend: HubspotBackend, platform: Hubspot) -> None:
    her = somebody(
        choices={**YES, OFFERS: UNSUBSCRIBED},
        attributes={"city": "Zürich", "children": 3, "member": True, "interests": ["trees"]},
        pauses={("", ""): pause()},
    )
    assert backend.read(her) is None
    bring(backend, her)
    known = backend.read(her)
    assert known is not None
    assert known.opted_out is False
    assert known.choices == {NEWS: SUBSCRIBED, OFFERS: UNSUBSCRIBED}
    assert known.attributes == her.state.attributes
    assert known.pauses == {("", ""): pause().until}


def test_what_somebody_changed_over_there_is_read_by_the_type_of_the_mapping(
    made: Callable[..., HubspotBackend], platform: Hubspot
) -> None:
    types = {"city": "text", "children": "number", "member": "boolean", "interests": "list"}
    fields = {"city": "city", "children": "children", "member": "is_member", "interests": "interests"}
    backend = made(ATTRIBUTES={name: {"name": fields[name], "type": kind} for name, kind in types.items()})
    bring(backend, somebody(choices=YES))
    platform.contact(EMAIL).update(city="Genf", children="4", is_member="false", interests="a;b")
    known = backend.read(somebody(choices=YES, attributes={"children": 3}))
    assert known is not None
    assert known.attributes == {"city": "Genf", "children": 4, "member": False, "interests": ["a", "b"]}


def test_who_left_all_over_there_has_no_yes(backend: HubspotBackend, platform: Hubspot) -> None:
    """It is a no to e-mail, and not to whatever else she wants: drift makes a no of each topic."""
    bring(backend, somebody(choices=BOTH))
    platform.leave(EMAIL)
    platform.statuses[EMAIL]["101"] = "SUBSCRIBED"
    known = backend.read(somebody(choices=BOTH))
    assert known is not None
    assert known.opted_out is None
    assert known.choices == dict.fromkeys(BOTH, UNSUBSCRIBED)
    known = backend.read(somebody(opted_out=True))
    assert known is not None
    assert known.opted_out is True


def test_no_address_stands_in_an_address(backend: HubspotBackend, platform: Hubspot) -> None:
    """Paths end in logs, of proxies too."""
    her = somebody(choices=YES)
    bring(backend, her)
    backend.read(her)
    backend.erase(Identifiers(email=EMAIL))
    assert not any("mail.example.org" in path or "%40" in path for _method, path, _status in platform.calls)


def test_it_forgets_by_address_and_by_id(backend: HubspotBackend, platform: Hubspot) -> None:
    remote = bring(backend, somebody(choices=YES))["profile"].remote_id
    bring(backend, somebody("other@mail.example.org", contact=uuid4(), choices=YES))
    platform.contact(EMAIL)["email"] = "changed@mail.example.org"  # a colleague did that over there
    who = Identifiers(email=EMAIL, remote={"hubspot": remote})
    assert backend.erase(who).outcome is Outcome.DONE
    assert [each["properties"]["email"] for each in platform.contacts.values()] == ["other@mail.example.org"]
    assert backend.erase(who).outcome is Outcome.DONE
    assert platform.blocked == set()
    platform.is_away = True
    assert backend.erase(who).outcome is Outcome.RETRY


def test_who_is_forgotten_leaves_no_subscription_behind(backend: HubspotBackend, platform: Hubspot) -> None:
    """Subscriptions are kept by address, with or without a contact."""
    platform.statuses[EMAIL] = {"101": "SUBSCRIBED"}
    platform.faults.half()
    result = backend.erase(Identifiers(email=EMAIL))
    assert (result.outcome, result.code) == (Outcome.RETRY, "not-unsubscribed")
    assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert platform.out == {EMAIL}
    assert backend.erase(Identifiers(email="stranger@mail.example.org")).outcome is Outcome.DONE
    assert platform.out == {EMAIL}
    assert platform.blocked == set()


# --- check ------------------------------------------------------------------------------------------------------------


def test_all_is_well(backend: HubspotBackend) -> None:
    assert backend.check() == []


@pytest.mark.parametrize(
    ("happens", "level", "words"),
    [
        (lambda platform: platform.types.pop("101"), "error", 'no subscription type 101.*"news".*Make one'),
        (lambda platform: platform.archived.add("102"), "error", "archived the subscription type 102"),
        (lambda platform: platform.internal.add("102"), "error", "102.*its own use"),
        (lambda platform: platform.properties.pop("city"), "error", 'no contact property city.*"city"'),
        (
            lambda platform: platform.properties.pop("pref_pause"),
            "error",
            "no contact.*pref_pause.*type date",
        ),
        (
            lambda platform: platform.properties.update(pref_pause="number"),
            "error",
            "pref_pause as number.*type date",
        ),
        (lambda platform: platform.properties.update(pref_freq="date"), "error", "pref_freq as date"),
        (
            lambda platform: (
                platform.properties.update(pref_freq="enumeration"),
                platform.options.update(pref_freq=["daily", "weekly"]),
            ),
            "warning",
            "pref_freq without the options as_it_happens",
        ),
        (
            lambda platform: platform.scopes.remove("communication_preferences.statuses.batch.write"),
            "error",
            r"add the scopes communication_preferences\.statuses\.batch\.write",
        ),
    ],
)
def test_what_is_missing_over_there_is_named(
    backend: HubspotBackend,
    platform: Hubspot,
    happens: Callable[[Hubspot], Any],
    level: str,
    words: str,
) -> None:
    happens(platform)
    (problem,) = backend.check()
    assert problem.level == level
    assert re.search(words, problem.text)
    assert ACCESS_TOKEN not in problem.text


def test_credentials_account_and_webhook_are_told_apart(made: Callable[..., HubspotBackend]) -> None:
    (problem,) = made(ACCESS_TOKEN="pat-eu1-ffffffff-1111-2222-3333-444444444444").check()
    assert "does not take ACCESS_TOKEN" in problem.text
    (problem,) = made(PORTAL=1).check()
    assert f"account {PORTAL}" in problem.text
    (problem,) = made(CLIENT_SECRETS=[]).check()
    assert problem.level == "warning"
    assert "CLIENT_SECRETS" in problem.text


# --- inbound ----------------------------------------------------------------------------------------------------------

PATH = "/prefs/api/v1/inbound/hubspot/word/"
URL = f"https://prefs.example.org{PATH}"


def told(*events: Any, headers: dict[str, str] | None = None, body: bytes | None = None) -> HttpRequest:
    content = json.dumps(list(events)).encode() if body is None else body
    given = signed(content, url=URL) if headers is None else headers
    return RequestFactory().post(
        PATH,
        content,
        content_type="application/json",
        headers=given,
        secure=True,
        HTTP_HOST="prefs.example.org",
    )


@pytest.fixture(autouse=True)
def _host(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]


def test_who_left_all_over_there_said_no_to_mail(made: Callable[..., HubspotBackend]) -> None:
    backend = made(CLIENT_SECRETS=["older", CLIENT_SECRET])
    (event,) = backend.parse_inbound(told(opted_out(7, occurredAt=1790000000123)))
    assert event.identifiers == Identifiers(remote={"hubspot": "7"})
    assert event.changes == (SetChoice("", "email", UNSUBSCRIBED),)
    assert event.at == datetime(2026, 9, 21, 14, 13, 20, 123000, tzinfo=UTC)
    assert event.evidence is None


def test_who_left_a_topic_over_there(backend: HubspotBackend) -> None:
    found = backend.parse_inbound(
        told(
            opted_out(7, "hs_email_optout_102"),
            opted_out(8, "hs_email_optout_999"),
            opted_out(9, subscriptionType="object.propertyChange", objectTypeId="0-1"),
            opted_out(10, subscriptionType="object.propertyChange", objectTypeId="0-2"),
            opted_out(11, subscriptionType="contact.privacyDeletion", propertyName=None, propertyValue=None),
        )
    )
    assert [(event.identifiers.remote["hubspot"], event.changes) for event in found] == [
        ("7", (SetChoice("offers", "email", UNSUBSCRIBED),)),
        ("9", (SetChoice("", "email", UNSUBSCRIBED),)),
        ("11", (OptOut(),)),
    ]


@pytest.mark.parametrize(
    "event",
    [
        opted_out(7, propertyValue="false"),
        opted_out(7, propertyValue=""),
        opted_out(7, "lastname"),
        opted_out(7, subscriptionType="contact.creation"),
        opted_out(7, "hs_email_optout_"),
    ],
)
def test_what_makes_nothing_stricter_is_left_aside(backend: HubspotBackend, event: Any) -> None:
    assert backend.parse_inbound(told(event)) == []


def test_a_second_attempt_is_the_same_event(backend: HubspotBackend) -> None:
    """HubSpot says that eventId is not unique, so another contact of the same number is another event."""
    first = opted_out(7, occurredAt=1790000000123)
    found = backend.parse_inbound(
        told(first, {**first, "attemptNumber": 3}, {**first, "objectId": 8}, {**first, "occurredAt": 1})
    )
    ids = [event.event_id for event in found]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_events_of_another_account_are_left_aside(made: Callable[..., HubspotBackend]) -> None:
    """The same number is somebody else over there."""
    assert made(PORTAL=1).parse_inbound(told(opted_out(7))) == []
    assert len(made(PORTAL=str(PORTAL)).parse_inbound(told(opted_out(7)))) == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (lambda body: signed(body, url=URL, secret="another"), "signature"),
        (lambda body: signed(body, url=URL.replace("word", "other")), "signature"),
        (lambda body: signed(body, url=URL.replace("https", "http")), "signature"),
        (lambda body: signed(body, url=URL, stamp=int(time.time() * 1000) - 301_000), "timestamp"),
        (lambda body: signed(body, url=URL, stamp=int(time.time() * 1000) + 301_000), "timestamp"),
        (lambda body: {**signed(body, url=URL), "X-HubSpot-Request-Timestamp": "soon"}, "headers"),
        (lambda body: {"X-HubSpot-Request-Timestamp": "1790000000000"}, "headers"),
        (lambda body: {}, "headers"),
        (lambda body: {**signed(body, url=URL), "X-HubSpot-Signature-v3": "ü"}, "signature"),
    ],
)
def test_what_is_not_hubspots_is_refused(
    backend: HubspotBackend, headers: Callable[[bytes], dict[str, str]], code: str
) -> None:
    body = json.dumps([opted_out(7)]).encode()
    with pytest.raises(BadInbound, match=f"^{code}$"):
        backend.parse_inbound(told(body=body, headers=headers(body)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no-json"),
        (b"{}", "form"),
        (b'["event"]', "event"),
        (json.dumps([opted_out(7)] * 101).encode(), "form"),
        (json.dumps([opted_out(7, objectId="7")]).encode(), "event"),
        (json.dumps([opted_out(7, eventId=None)]).encode(), "event"),
    ],
    ids=[
        "nothing",
        "an object",
        "a text",
        "too many",
        "an id as text",
        "no id",
    ],  # moments stand in the bodies
)
def test_what_makes_no_sense_is_refused(backend: HubspotBackend, body: bytes, code: str) -> None:
    with pytest.raises(BadInbound, match=f"^{code}$"):
        backend.parse_inbound(told(body=body))


def test_a_byte_that_was_changed_is_noticed(backend: HubspotBackend) -> None:
    request = told(opted_out(7))
    request._body = request.body.replace(b'"objectId": 7', b'"objectId": 8')
    with pytest.raises(BadInbound, match="signature"):
        backend.parse_inbound(request)


def test_behind_a_proxy_the_outer_address_is_said(made: Callable[..., HubspotBackend]) -> None:
    """All of it, or how it begins."""
    body = json.dumps([opted_out(7)]).encode()
    inner = RequestFactory().post(
        PATH, body, content_type="application/json", headers=signed(body, url=URL), HTTP_HOST="10.0.0.7"
    )
    with pytest.raises(BadInbound, match="signature"):
        made().parse_inbound(inner)
    for outer in (URL, "https://prefs.example.org", "https://prefs.example.org/"):
        assert len(made(WEBHOOK_URL=outer).parse_inbound(inner)) == 1
    with pytest.raises(BadInbound, match="signature"):
        made(WEBHOOK_URL=WEBHOOK_URL).parse_inbound(inner)


def test_an_address_is_signed_decoded(made: Callable[..., HubspotBackend]) -> None:
    """HubSpot decodes some characters of it before it signs."""
    body = json.dumps([opted_out(7)]).encode()
    request = RequestFactory().post(
        "/hooks",
        body,
        content_type="application/json",
        headers=signed(body, url="https://a.example.org/a!b@c"),
    )
    assert len(made(WEBHOOK_URL="https://a.example.org/a%21b%40c").parse_inbound(request)) == 1


def test_the_vector_of_the_documentation(made: Callable[..., HubspotBackend]) -> None:
    """crm-contracts.md s3.5: the formula, on an address of its own."""
    headers = {
        "X-HubSpot-Request-Timestamp": "1790000000000",
        "X-HubSpot-Signature-v3": "6drHUQ0mK06EG5jvgsxJ/zyF+2SWqjOD0xh18eCo0Ys=",
    }
    request = RequestFactory().post(
        "/hooks/hubspot",
        b'{"a":1}',
        content_type="application/json",
        headers=headers,
        secure=True,
        HTTP_HOST="prefs.example.org",
    )
    moment = datetime.fromtimestamp(1790000000, UTC) + timedelta(seconds=200)
    with time_machine.travel(moment), pytest.raises(BadInbound, match=r"^form$"):  # signed well, and no array
        made(CLIENT_SECRETS=["test-secret"]).parse_inbound(request)
