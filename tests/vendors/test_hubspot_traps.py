"""HubSpot's traps: what somebody would write on a Friday does harm over there, visibly, and what we send does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory

from example_site.platforms.hubspot import CLIENT_SECRET, Hubspot, opted_out, signed
from tests.vendors.bringing import EMAIL, bring, said_yes, somebody, submission
from tests.vendors.test_hubspot_conformance import OPTIONS
from wagtail_prefs.backends.base import BadInbound
from wagtail_prefs.backends.hubspot import HubspotBackend
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Effect, Identifiers, Json, Outcome

NEWS, OFFERS = ("news", "email"), ("offers", "email")
YES = {NEWS: SUBSCRIBED}
STATUSES = "/communication-preferences/v4/statuses/batch"
CONTACTS = "/crm/v3/objects/contacts"
OTHER = "other@mail.example.org"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Hubspot]:
    with Hubspot() as platform:
        yield platform
        assert platform.crashes == []


@pytest.fixture
def ours(platform: Hubspot) -> HubspotBackend:
    return HubspotBackend("hubspot", {**OPTIONS, "URL": platform.url})


def status(email: str = EMAIL, state: str = "SUBSCRIBED", topic: int = 101, **said: Any) -> Json:
    return {
        "subscriberIdString": email,
        "subscriptionId": topic,
        "channel": "EMAIL",
        "statusState": state,
        "legalBasis": "CONSENT_WITH_NOTICE",
        "legalBasisExplanation": "prefs:0#1",
        **said,
    }


def contact(email: str = EMAIL, trace: str = "a", **properties: Any) -> Json:
    return {"idProperty": "email", "id": email, "properties": properties, "objectWriteTraceId": trace}


def test_a_200_is_not_done(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: the status of the answer is all that is looked at. One of two was refused, and it was a no."""
    platform.refused.add(EMAIL)
    inputs = [status(state="UNSUBSCRIBED"), status(OTHER, "UNSUBSCRIBED")]
    assert ours.call("POST", f"{STATUSES}/write", json={"inputs": inputs}).status == 200
    assert set(platform.statuses) == {OTHER}
    (leave,) = ours.plan(somebody(choices={NEWS: UNSUBSCRIBED}), [])
    (result,) = ours.execute([leave])
    assert result.outcome is Outcome.REFUSED


def test_an_error_may_name_nobody(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: errors are looked up by address, and what has none is done. Every field of an error is optional."""
    platform.silent = True
    platform.refused.add(EMAIL)
    answer = ours.call("POST", f"{STATUSES}/write", json={"inputs": [status()]}).json()
    assert "context" not in answer["errors"][0]
    (join, _profile) = ours.plan(somebody(choices=YES), [])
    (result,) = ours.execute([join])
    assert (result.outcome, result.code) == (Outcome.REFUSED, "invalid_email")


def test_an_answer_about_leaving_is_empty(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: waits for results that never come, or takes nothing for everything. Ours asks for all of it."""
    query = {"channel": "EMAIL"}
    path = f"{STATUSES}/unsubscribe-all"
    assert ours.call("POST", path, json={"inputs": [EMAIL]}, query=query).json()["results"] == []
    assert platform.out == {EMAIL}
    platform.forget_everybody()
    out = somebody(opted_out=True)
    assert bring(ours, out)["opt-out"].outcome is Outcome.DONE
    assert platform.out == {EMAIL}
    # Those of whom the answer does not speak are not done.
    platform.faults.half()
    assert bring(ours, out)["opt-out"].outcome is Outcome.REFUSED


def test_leaving_all_needs_a_channel(platform: Hubspot, ours: HubspotBackend) -> None:
    answer = ours.call("POST", f"{STATUSES}/unsubscribe-all", json={"inputs": [EMAIL]}, accept={400})
    assert answer.status == 400
    assert platform.out == set()
    assert any("channel" in violation for violation in platform.violations)


def test_erasing_a_stranger_by_address_blocks_it_for_ever(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: deletes by address, whoever it is. She never gets in any more, not even by her own wish."""
    ours.call("POST", f"{CONTACTS}/gdpr-delete", json={"objectId": EMAIL, "idProperty": "email"})
    assert platform.blocked == {EMAIL}
    (_join, profile) = ours.plan(somebody(choices=YES), [])
    assert ours.execute([profile])[0].outcome is Outcome.REFUSED
    assert ours.erase(Identifiers(email=OTHER)).outcome is Outcome.DONE
    assert platform.blocked == {EMAIL}


def test_a_status_that_is_not_said_is_no_no(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: every topic of the mapping is written, UNSUBSCRIBED where we know nothing. She had joined one over there."""
    platform.statuses[EMAIL] = {"102": "SUBSCRIBED"}
    bring(ours, somebody(choices=YES))
    assert platform.statuses[EMAIL] == {"101": "SUBSCRIBED", "102": "SUBSCRIBED"}
    ours.call(
        "POST", f"{STATUSES}/write", json={"inputs": [status(), status(state="UNSUBSCRIBED", topic=102)]}
    )
    assert platform.statuses[EMAIL]["102"] == "UNSUBSCRIBED"


def test_a_yes_that_is_said_again_brings_back_who_left(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: the whole state with every change. HubSpot lets that resubscribe her. Ours says yes once."""
    bring(ours, somebody(choices=YES))
    platform.leave(EMAIL)
    weekly = somebody(
        version=2,
        choices=YES,
        frequencies={("", ""): "weekly"},
        versions={"choice:news:email": 1, "frequency:all": 2},
    )
    bring(ours, weekly, submission(2, Effect("frequency:all", None, "weekly", "set")))
    assert platform.out == {EMAIL}
    assert platform.contact(EMAIL)["pref_freq"] == "weekly"
    answer = ours.call("POST", f"{STATUSES}/write", json={"inputs": [status()]}).json()
    assert answer["results"][0]["setStatusSuccessReason"] == "RESUBSCRIBE_OCCURRED"
    assert platform.out == set()


def test_not_specified_takes_a_no_back(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: a yes that waits for its confirmation is NOT_SPECIFIED. Where she left meanwhile her no is gone."""
    platform.leave(EMAIL)
    ours.call("POST", f"{STATUSES}/write", json={"inputs": [status(state="NOT_SPECIFIED")]})
    assert platform.statuses[EMAIL]["101"] == "NOT_SPECIFIED"
    platform.leave(EMAIL)
    waiting = somebody(pending=frozenset({NEWS}), versions={"choice:news:email": 1})
    bring(ours, waiting, submission(1, Effect("pending:news:email", None, True, "requested")))
    assert platform.statuses[EMAIL]["101"] == "UNSUBSCRIBED"


def test_every_value_is_a_text(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: numbers, truths and lists as JSON has them."""
    for value in (3, True, ["trees"], None):
        answer = ours.call(
            "POST", f"{CONTACTS}/batch/upsert", json={"inputs": [contact(children=value)]}, accept={400}
        )
        assert answer.status == 400
    platform.violations.clear()
    bring(ours, somebody(choices=YES, attributes={"children": 3, "member": True, "interests": ["trees"]}))
    assert platform.violations == []
    assert platform.contact(EMAIL)["children"] == "3"


def test_a_null_is_no_clearing(platform: Hubspot, ours: HubspotBackend) -> None:
    """An empty text empties a property."""
    bring(ours, somebody(choices=YES, attributes={"city": "Zürich"}))
    gone = somebody(version=2, choices=YES, versions={"choice:news:email": 1, "attribute:city": 2})
    bring(ours, gone, submission(2, Effect("attribute:city", "Zürich", None, "cleared")))
    assert platform.contact(EMAIL)["city"] == ""


def test_one_contact_twice_refuses_all(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: two audiences, one address, one call, and nobody's properties arrive."""
    inputs = [contact(trace="a", city="Zürich"), contact(trace="b"), contact(OTHER, trace="c")]
    answer = ours.call("POST", f"{CONTACTS}/batch/upsert", json={"inputs": inputs}, accept={400})
    assert answer.status == 400
    assert platform.contacts == {}


def test_without_a_trace_nobody_knows_whose_error_it_is(platform: Hubspot, ours: HubspotBackend) -> None:
    inputs = [{name: value for name, value in contact().items() if name != "objectWriteTraceId"}]
    assert ours.call("POST", f"{CONTACTS}/batch/upsert", json={"inputs": inputs}, accept={400}).status == 400
    assert any("objectWriteTraceId" in violation for violation in platform.violations)


def test_a_207_is_not_done(platform: Hubspot, ours: HubspotBackend) -> None:
    answer = ours.call(
        "POST", f"{CONTACTS}/batch/upsert", json={"inputs": [contact(no_such_thing="1"), contact(OTHER, "b")]}
    )
    assert answer.status == 207
    assert len(platform.contacts) == 1
    del platform.properties["city"]
    assert (
        bring(ours, somebody(choices=YES, attributes={"city": "Zürich"}))["profile"].outcome
        is Outcome.REFUSED
    )


def test_an_error_says_her_address(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: logs the message. Ours knows errors by their codes."""
    platform.refused.add(EMAIL)
    said = ours.call("POST", f"{STATUSES}/write", json={"inputs": [status()]})
    assert EMAIL in json.dumps(said.json()["errors"])
    for result in bring(ours, somebody(choices=YES)).values():
        assert EMAIL not in repr(result)
        assert result.code == "invalid_email"


def test_a_timestamp_of_the_future_is_no_now(ours: HubspotBackend) -> None:
    """Naive: only refuses what is old, as HubSpot's own library does. What was signed for next year works until then."""
    body = json.dumps([opted_out(7)]).encode()
    stamp = int(time.time() * 1000) + 365 * 86_400_000
    headers = signed(body, url="http://testserver/hook", stamp=stamp)
    assert time.time() * 1000 - stamp < 300_000  # all that a naive receiver looks at
    request = RequestFactory().post("/hook", body, content_type="application/json", headers=headers)
    with pytest.raises(BadInbound, match="timestamp"):
        ours.parse_inbound(request)


def test_another_address_makes_another_signature(ours: HubspotBackend) -> None:
    """Naive: signs what Django sees behind a proxy, and refuses all that HubSpot sends."""
    body = json.dumps([opted_out(7)]).encode()
    outer = "https://www.example.org/hook"
    headers = signed(body, url=outer)
    request = RequestFactory().post("/hook", body, content_type="application/json", headers=headers)
    with pytest.raises(BadInbound, match="signature"):
        ours.parse_inbound(request)
    told = HubspotBackend("hubspot", {**OPTIONS, "CLIENT_SECRETS": [CLIENT_SECRET], "WEBHOOK_URL": outer})
    assert len(told.parse_inbound(request)) == 1


def test_events_come_in_any_order_and_only_a_no_counts(ours: HubspotBackend) -> None:
    """Naive: the last event of the array is the truth. It may be the older one; and no event makes a yes."""
    events = [opted_out(7, occurredAt=2000), opted_out(7, occurredAt=1000, propertyValue="false")]
    body = json.dumps(events).encode()
    headers = signed(body, url="http://testserver/hook")
    request = RequestFactory().post("/hook", body, content_type="application/json", headers=headers)
    (event,) = ours.parse_inbound(request)
    assert event.at is not None
    assert event.at.timestamp() == 2


def test_an_old_address_is_a_subscriber_of_its_own(platform: Hubspot, ours: HubspotBackend) -> None:
    """Naive: writes the new address into the contact. The old one stays subscribed, for whoever gets it next."""
    bring(ours, somebody("old@mail.example.org", choices=YES))
    platform.contact("old@mail.example.org")["email"] = EMAIL
    assert platform.statuses == {"old@mail.example.org": {"101": "SUBSCRIBED"}}
    moved = somebody(version=2, choices=YES, retired=["old@mail.example.org"])
    bring(ours, moved, submission(2, said_yes("news")))
    assert platform.out == {"old@mail.example.org"}
    assert platform.statuses[EMAIL] == {"101": "SUBSCRIBED"}


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/write", {"inputs": [status(channel="SMS")]}, "enum"),
        ("/write", {"inputs": [status(state="subscribed")]}, "enum"),
        ("/write", {"inputs": [status(subscriptionId="101")]}, "type"),
        ("/write", {"inputs": [status(subscribtionId=101)]}, "subscribtionId"),
        ("/write", {"inputs": [status(legalBasisExplanation=f"said so: {EMAIL}")]}, "pattern"),
        ("/write", {"inputs": [status()] * 101}, "maxItems"),
        ("/write", {"inputs": []}, "minItems"),
        ("/write", [status()], "type"),
    ],
)
def test_a_slip_of_the_pen_breaks_the_contract(
    platform: Hubspot, ours: HubspotBackend, path: str, body: Any, wrong: str
) -> None:
    """What the platform might take without a word, the contract does not."""
    answer = ours.call("POST", f"{STATUSES}{path}", json=body, accept={400})
    assert answer.status == 400
    assert wrong in " ".join(platform.violations)
    assert EMAIL not in " ".join(platform.violations)
    assert platform.statuses == {}


def test_a_missing_legal_basis_breaks_the_contract(platform: Hubspot, ours: HubspotBackend) -> None:
    """Accounts with privacy settings refuse it, others do not: so it always goes along."""
    bare = {name: value for name, value in status().items() if not name.startswith("legal")}
    answer = ours.call("POST", f"{STATUSES}/write", json={"inputs": [bare]}, accept={400})
    assert answer.status == 400
    assert any("legalBasis" in violation for violation in platform.violations)
