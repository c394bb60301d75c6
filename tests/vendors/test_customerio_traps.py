"""Customer.io's traps: what somebody would write on a Friday does harm over there, visibly, and what we send does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from example_site.platforms.customerio import PREFERENCES, Customerio
from tests.vendors.bringing import EMAIL, bring, said_no, said_yes, somebody, submission
from tests.vendors.test_customerio_conformance import OPTIONS
from wagtail_prefs.backends.customerio import CustomerioBackend
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Capabilities, Outcome, RemoteState, Target

YES = {("news", "email"): SUBSCRIBED}
BATCH = "/api/v2/batch"
TOPIC = f"{PREFERENCES}.topics."


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Customerio]:
    with Customerio() as platform:
        yield platform
        assert platform.crashes == []


@pytest.fixture
def ours(platform: Customerio) -> CustomerioBackend:
    return CustomerioBackend("customerio", {**OPTIONS, "URL": platform.url})


def her(platform: Customerio, email: str = EMAIL) -> dict[str, Any]:
    person = platform.person(email)
    assert person is not None
    attributes: dict[str, Any] = person["attributes"]
    return attributes


def identify(attributes: dict[str, Any], **identifiers: str) -> dict[str, Any]:
    who = identifiers or {"email": EMAIL}
    item = {"type": "person", "action": "identify", "identifiers": who, "attributes": attributes}
    return {"batch": [item]}


def test_an_object_replaces_all_that_she_chose(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: preferences as an object. Her other topics are gone; the contract has no place for it."""
    bring(ours, somebody(choices={**YES, ("offers", "email"): SUBSCRIBED}))
    platform.strict = False
    ours.call("POST", BATCH, json=identify({PREFERENCES: {"topics": {"topic_1": False}}}))
    assert her(platform)[PREFERENCES] == {"topics": {"topic_1": False}}
    platform.strict = True
    answer = ours.call("POST", BATCH, json=identify({PREFERENCES: {"topics": {}}}), accept={400})
    assert answer.status == 400
    platform.forget_everybody()
    bring(ours, somebody(choices={**YES, ("offers", "email"): SUBSCRIBED}))
    left = somebody(
        version=2,
        choices={("news", "email"): UNSUBSCRIBED, ("offers", "email"): SUBSCRIBED},
        versions={"choice:news:email": 2, "choice:offers:email": 1},
    )
    bring(ours, left, submission(2, said_no("news")))
    assert her(platform)[PREFERENCES] == {"topics": {"topic_1": False, "topic_2": True}}


def test_a_plus_sign_in_a_path_finds_nobody_with_200(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: the address in the path as it is. 200, and she is not opted out. Ours names people in the body."""
    email = "reader+news@mail.example.org"
    bring(ours, somebody(email, choices=YES))
    answer = ours.call("PUT", f"/api/v1/customers/{email}", json={"unsubscribed": True, "_update": True})
    assert answer.status == 200
    assert her(platform, email)["unsubscribed"] is False
    out = somebody(email, version=2, opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    bring(ours, out)
    assert her(platform, email)["unsubscribed"] is True


def test_a_207_is_not_done(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: two hundred and something is good. One of two was refused."""
    platform.refused.add(EMAIL)
    (result,) = ours.execute(ours.plan(somebody(choices=YES), []))
    assert result.outcome is Outcome.REFUSED
    assert platform.people == {}


def test_a_conflict_of_identifiers_is_told_in_their_pages_only(
    platform: Customerio, ours: CustomerioBackend
) -> None:
    """Naive: her new address is written, 200, and it stays the old one. Ours is found out by reading back."""
    from wagtail_prefs.delivery.jobs import agrees

    bring(ours, somebody("taken@mail.example.org", choices=YES))
    answer = ours.call(
        "POST", BATCH, json=identify({"email": "taken@mail.example.org", "city": "Bonn"}, id="c-9")
    )
    assert answer.status == 200
    assert len(platform.people) == 1
    nobody = somebody("other@mail.example.org", choices=YES)
    assert not _agrees(agrees, nobody, ours.read(nobody), ours)


def test_a_no_does_not_end_at_a_person_without_an_address(
    platform: Customerio, ours: CustomerioBackend
) -> None:
    """Naive: 200 for her id is done. Her address is another person's, who knew no id, and is still written to."""
    from wagtail_prefs.delivery.jobs import agrees

    bring(ours, somebody(choices=YES))
    by_id = CustomerioBackend("customerio", {**OPTIONS, "URL": platform.url, "IDENTIFY_BY": "id"})
    out = somebody(version=2, opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    out = replace(out, identifiers=replace(out.identifiers, external_id="c-17"))
    assert bring(by_id, out)["opt-out"].outcome is Outcome.ACCEPTED_UNKNOWN
    assert her(platform)["unsubscribed"] is False
    assert not _agrees(agrees, out, by_id.read(out), by_id)


def _agrees(agrees: Any, target: Target, remote: RemoteState | None, ours: CustomerioBackend) -> bool:
    capabilities: Capabilities = ours.capabilities
    found: bool = agrees(target, remote, capabilities, ours.maps)
    return found


def test_texts_are_read_where_truths_were_written(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: `if attributes["unsubscribed"]` - and "false" is true, so everybody has left."""
    bring(ours, somebody(choices=YES))
    path = "/v1/customers/reader%40mail.example.org/attributes"
    answer = ours.app.call("GET", path, query={"id_type": "email"})
    raw = answer.json()["customer"]["attributes"]["unsubscribed"]
    assert bool(raw) is True
    assert raw == "false"
    known = ours.read(somebody(choices=YES))
    assert known is not None
    assert known.opted_out is False


def test_defaults_are_computed_and_nobodys_choice(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: reads the computed preferences, and takes the default for a yes."""
    platform.topics["topic_2"]["default"] = True
    bring(ours, somebody(choices=YES))
    path = "/v1/customers/reader%40mail.example.org/attributes"
    shown = ours.app.call("GET", path, query={"id_type": "email"}).json()["customer"]["attributes"]
    assert '"topic_2": true' in shown[f"_{PREFERENCES}_computed"]
    known = ours.read(somebody(choices=YES))
    assert known is not None
    assert ("offers", "email") not in known.choices


def test_a_call_that_was_held_up_changes_nothing(platform: Customerio, ours: CustomerioBackend) -> None:
    """Naive: no moment. A call that hung in the network brings her yes after her no."""
    now = int(time.time())
    body = identify({f"{TOPIC}topic_1": True, "_timestamp": now - 5})  # as ours was sent, and held up
    bring(ours, somebody(version=2, choices={("news", "email"): UNSUBSCRIBED}))
    ours.call("POST", BATCH, json=body)
    assert her(platform)[PREFERENCES] == {"topics": {"topic_1": False}}
    ours.call("POST", BATCH, json=identify({f"{TOPIC}topic_1": True}))
    assert her(platform)[PREFERENCES] == {"topics": {"topic_1": True}}
    sent: list[dict[str, Any]] = []
    ours.transport = _Noting(ours.transport, sent)  # type: ignore[assignment]
    bring(
        ours, somebody(version=3, choices=YES, attributes={"city": "Bonn"}), submission(3, said_yes("news"))
    )
    bring(
        ours, somebody(version=4, choices={("news", "email"): UNSUBSCRIBED}), submission(4, said_no("news"))
    )
    stamped = ["_timestamp" in item["batch"][0]["attributes"] for item in sent]
    assert stamped == [True, True, False]


class _Noting:
    """A transport that notes what it sends."""

    def __init__(self, transport: Any, sent: list[dict[str, Any]]) -> None:
        self._transport, self._sent = transport, sent

    def send(self, method: str, url: str, *, body: bytes = b"", **more: Any) -> Any:
        self._sent.append(json.loads(body))
        return self._transport.send(method, url, body=body, **more)


def test_it_tells_of_our_own_writes(platform: Customerio, ours: CustomerioBackend) -> None:
    """So its capabilities say that it echoes, and the engine lets such events do nothing."""
    bring(ours, somebody(choices=YES))
    assert ("cio_subscription_preferences_changed", EMAIL) in platform.told
    assert ours.capabilities.echoes


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({"unsubscribed": "true"}, "type"),
        ({f"{TOPIC}topic_1": "yes"}, "type"),
        ({f"{TOPIC}news": True}, "pattern"),
        ({"city": ["Bonn"]}, "type"),
        ({"city": None}, "type"),
        ({"Stadt": "Bonn"}, "pattern"),
        ({"_timestamp": "now"}, "type"),
    ],
)
def test_a_slip_of_the_pen_breaks_the_contract(
    platform: Customerio, ours: CustomerioBackend, attributes: dict[str, Any], wrong: str
) -> None:
    assert ours.call("POST", BATCH, json=identify(attributes), accept={400}).status == 400
    assert platform.violations
    assert wrong in " ".join(platform.violations) or "oneOf" in " ".join(platform.violations)
    assert EMAIL not in " ".join(platform.violations)
