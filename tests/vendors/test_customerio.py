"""What the Customer.io backend plans, makes of answers, finds missing over there, and hears from there."""

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

from example_site.platforms.customerio import PREFERENCES, SIGNING_KEY, Customerio
from tests.vendors.bringing import (
    AT,
    EMAIL,
    bring,
    left_all,
    pause,
    said_no,
    said_yes,
    somebody,
    submission,
)
from tests.vendors.test_customerio_conformance import OPTIONS
from wagtail_prefs.backends.base import BadInbound, PlatformError, Unsupported
from wagtail_prefs.backends.customerio import CustomerioBackend
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Effect,
    Identifiers,
    Inbound,
    Outcome,
)

YES = {("news", "email"): SUBSCRIBED}
BOTH = {**YES, ("offers", "email"): SUBSCRIBED}
STAMP = int(AT.timestamp())


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Customerio]:
    with Customerio() as platform:
        yield platform
        assert platform.violations == []
        assert platform.crashes == []


@pytest.fixture
def made(platform: Customerio) -> Callable[..., CustomerioBackend]:
    def make(**options: Any) -> CustomerioBackend:
        return CustomerioBackend("customerio", {**OPTIONS, "URL": platform.url, **options})

    return make


@pytest.fixture
def backend(made: Callable[..., CustomerioBackend]) -> CustomerioBackend:
    return made()


def held(platform: Customerio, email: str = EMAIL) -> dict[str, Any]:
    person = platform.person(email)
    assert person is not None
    attributes: dict[str, Any] = person["attributes"]
    return attributes


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"REGION": "mars"}, "REGION"),
        ({"IDENTIFY_BY": "phone"}, "IDENTIFY_BY"),
        ({"TOPICS": {"news": "News"}}, "TOPICS"),
        ({"SIGNING_KEYS": [""]}, "SIGNING_KEYS"),
        ({"PAUSE_FIELDS": {"all": "city"}}, "twice"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    made: Callable[..., CustomerioBackend], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        made(**options)


def test_the_region_decides_where_both_apis_stand(made: Callable[..., CustomerioBackend]) -> None:
    for region, ending in (("us", ""), ("eu", "-eu")):
        backend = made(URL="", REGION=region)
        assert backend.base_url == f"https://track{ending}.customer.io"
        assert backend.app.base_url == f"https://api{ending}.customer.io"


def test_without_a_signing_key_nothing_is_believed(made: Callable[..., CustomerioBackend]) -> None:
    backend = made(SIGNING_KEYS=[])
    assert backend.capabilities.inbound is Inbound.NONE
    with pytest.raises(Unsupported):
        backend.parse_inbound(RequestFactory().post("/", b"{}", content_type="application/json"))


# --- plan -------------------------------------------------------------------------------------------------------------


def test_each_topic_is_written_alone(backend: CustomerioBackend) -> None:
    her = somebody(version=2, choices={**YES, ("offers", "email"): UNSUBSCRIBED})
    leave, join = backend.plan(her, [submission(2, said_yes("news"), said_no("offers"))])
    assert (leave.kind, leave.restricts) == ("leave", True)
    assert leave.payload["attributes"] == {f"{PREFERENCES}.topics.topic_2": False}
    assert (join.kind, join.restricts) == ("join", False)
    assert join.payload["attributes"] == {f"{PREFERENCES}.topics.topic_1": True, "unsubscribed": False}


def test_a_no_counts_whatever_was_written_there(backend: CustomerioBackend, platform: Customerio) -> None:
    """Also where our clock is late: only what makes nothing stricter yields to something newer."""
    left = somebody(version=2, choices={("news", "email"): UNSUBSCRIBED})
    with time_machine.travel(AT, tick=False):
        platform.now = STAMP + 600
        backend.call(
            "POST", "/api/v2/batch", json={"batch": [_identify({f"{PREFERENCES}.topics.topic_1": True})]}
        )
        platform.now = STAMP + 601
        bring(backend, left, submission(2, said_no("news")))
        assert held(platform)[PREFERENCES] == {"topics": {"topic_1": False}}
        bring(backend, somebody(version=3, choices=YES), submission(3, said_yes("news")))
        assert held(platform)[PREFERENCES] == {"topics": {"topic_1": False}}


def test_a_yes_after_a_no_is_looked_up(backend: CustomerioBackend) -> None:
    """It may have yielded to a no whose moment their clock gave: then it is said again."""
    first = bring(backend, somebody(choices=YES), submission(1, said_yes("news")))
    assert first["join"].outcome is Outcome.DONE
    again = bring(backend, somebody(version=3, choices=YES), submission(3, said_yes("news")))
    assert again["join"].outcome is Outcome.ACCEPTED_UNKNOWN


def test_everything_is_left_with_one_word_for_all(backend: CustomerioBackend, platform: Customerio) -> None:
    bring(backend, somebody(choices=BOTH))
    out = somebody(version=2, opted_out=True, choices=dict.fromkeys(BOTH, UNSUBSCRIBED))
    results = bring(backend, out, submission(2, left_all()))
    assert set(results) == {"opt-out"}
    assert held(platform)["unsubscribed"] is True
    assert held(platform)[PREFERENCES] == {"topics": {"topic_1": False, "topic_2": False}}


def test_a_pause_is_a_moment_that_a_segment_compares(
    backend: CustomerioBackend, platform: Customerio
) -> None:
    her = somebody(choices=YES, pauses={("", ""): pause()}, frequencies={("", ""): "weekly"})
    bring(backend, her)
    assert held(platform)["pref_paused_until"] == int(pause().until.timestamp())
    assert held(platform)["pref_freq"] == "weekly"
    known = backend.read(her)
    assert known is not None
    assert known.pauses == {("", ""): pause().until}
    assert known.frequencies == {("", ""): "weekly"}


def test_a_list_becomes_a_text_and_what_is_too_long_is_named(
    made: Callable[..., CustomerioBackend], platform: Customerio
) -> None:
    backend = made(ATTRIBUTES={"bikes": "bikes", "story": "story"})
    her = somebody(choices=YES, attributes={"bikes": ["gravel", "cargo"], "story": "é" * 501})
    results = bring(backend, her)
    assert held(platform)["bikes"] == "gravel, cargo"
    assert "story" not in held(platform)
    assert results["join"].outcome is Outcome.DONE
    assert (results["profile"].outcome, results["profile"].code) == (Outcome.REFUSED, "attribute-story")


def test_what_she_takes_back_is_gone(backend: CustomerioBackend, platform: Customerio) -> None:
    bring(backend, somebody(choices=YES, attributes={"city": "Zürich"}))
    gone = somebody(version=2, choices=YES, versions={"choice:news:email": 1, "attribute:city": 2})
    bring(backend, gone, submission(2, Effect("attribute:city", "Zürich", None, "cleared")))
    assert "city" not in held(platform)


def test_an_old_address_leaves(backend: CustomerioBackend, platform: Customerio) -> None:
    bring(backend, somebody("old@mail.example.org", choices=YES))
    moved = somebody("new@mail.example.org", version=2, choices=YES, retired=["old@mail.example.org"])
    results = bring(backend, moved, submission(2))
    assert set(results) == {"former", "join"}
    assert held(platform, "old@mail.example.org")["unsubscribed"] is True
    assert held(platform, "new@mail.example.org")["unsubscribed"] is False


def test_known_by_her_id_her_address_moves_with_her(
    made: Callable[..., CustomerioBackend], platform: Customerio
) -> None:
    backend = made(IDENTIFY_BY="id")

    def her(email: str, **state: Any) -> Any:
        target = somebody(email, choices=YES, **state)
        return replace(target, identifiers=replace(target.identifiers, external_id="c-17"))

    bring(backend, her("old@mail.example.org"))
    moved = her("new@mail.example.org", version=2, retired=["old@mail.example.org"])
    results = bring(backend, moved, submission(2))
    assert "former" not in results
    assert platform.person("old@mail.example.org") is None
    assert held(platform, "new@mail.example.org")["unsubscribed"] is False
    assert len(platform.people) == 1
    known = backend.read(moved)
    assert known is not None
    assert known.choices == {("news", "email"): SUBSCRIBED}
    assert backend.erase(moved.identifiers).outcome is Outcome.DONE
    assert platform.people == {}


def test_a_late_yes_undoes_no_no_of_since(backend: CustomerioBackend, platform: Customerio) -> None:
    """Each goes with its own moment; one of which nobody knows when is older than anything there."""
    first = replace(submission(1, said_yes("news")), at=AT - timedelta(days=1))
    bring(backend, somebody(choices=YES), first)
    platform.now = STAMP + 3600
    platform.leave(EMAIL)
    platform.choose(EMAIL, "topic_1", wanted=False)
    her = replace(
        somebody(version=2, choices=BOTH, versions={"choice:news:email": 1, "choice:offers:email": 2}),
        again=1,
    )
    said = [
        first,
        replace(submission(2, said_yes("offers")), at=AT + timedelta(minutes=30)),
    ]
    for batches in (said, []):
        operations = [each for each in backend.plan(her, batches) if each.kind == "join"]
        assert len(operations) == (2 if batches else 1)
        for operation in operations:
            backend.execute([operation])
        known = backend.read(her)
        assert known is not None
        assert known.opted_out is True
        assert known.choices[("news", "email")] == UNSUBSCRIBED
    # A yes of after that brings back itself.
    later = replace(submission(2, said_yes("offers")), at=AT + timedelta(hours=2))
    bring(backend, her, said[0], later)
    known = backend.read(her)
    assert known is not None
    assert known.opted_out is False
    assert known.choices == {("news", "email"): UNSUBSCRIBED, ("offers", "email"): SUBSCRIBED}


def test_what_she_left_over_there_stays_left_when_she_moves(
    made: Callable[..., CustomerioBackend], platform: Customerio
) -> None:
    """Known by her id she is the same person: her old yeses are not said again."""
    backend = made(IDENTIFY_BY="id")

    def her(email: str, **state: Any) -> Any:
        target = somebody(email, choices=YES, **state)
        return replace(target, identifiers=replace(target.identifiers, external_id="c-17"))

    bring(backend, her("old@mail.example.org"))
    platform.leave("old@mail.example.org")
    moved = her(
        "new@mail.example.org", version=2, retired=["old@mail.example.org"], versions={"choice:news:email": 1}
    )
    results = bring(backend, moved, submission(2))
    assert set(results) == {"profile"}
    assert held(platform, "new@mail.example.org")["unsubscribed"] is True


# --- what Customer.io says --------------------------------------------------------------------------------------------


def test_half_a_batch_fails_and_it_is_known_which(backend: CustomerioBackend, platform: Customerio) -> None:
    people = [
        somebody(f"reader-{number}@mail.example.org", contact=uuid4(), choices=YES) for number in range(6)
    ]
    operations = [backend.plan(person, [])[0] for person in people]
    platform.faults.half()
    results = backend.execute(operations)
    assert [result.outcome for result in results] == [Outcome.REFUSED, Outcome.DONE] * 3
    assert len(platform.people) == 3


@pytest.mark.parametrize(
    ("happens", "outcome", "code"),
    [
        (lambda platform: platform.faults.status(429), Outcome.RATE_LIMITED, "http-429"),
        (lambda platform: platform.faults.status(500), Outcome.RETRY, "http-500"),
        (lambda platform: platform.faults.status(400), Outcome.REFUSED, "http-400"),
        (lambda platform: platform.faults.status(401), Outcome.MISCONFIGURED, "http-401"),
        (lambda platform: platform.faults.drop(), Outcome.RETRY, "connection"),
        (lambda platform: platform.refused.add(EMAIL), Outcome.REFUSED, "invalid"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    backend: CustomerioBackend,
    platform: Customerio,
    happens: Callable[[Customerio], None],
    outcome: Outcome,
    code: str,
) -> None:
    operations = backend.plan(somebody(choices=YES), [])
    happens(platform)
    (result,) = backend.execute(operations)
    assert (result.outcome, result.code) == (outcome, code)
    assert EMAIL not in repr(result)


def test_a_topics_default_is_no_choice_of_hers(backend: CustomerioBackend, platform: Customerio) -> None:
    platform.topics["topic_2"]["default"] = True
    bring(backend, somebody(choices=YES))
    known = backend.read(somebody(choices=YES))
    assert known is not None
    assert known.choices == {("news", "email"): SUBSCRIBED}
    assert known.opted_out is False


def test_who_left_e_mail_over_there_has_no_yes(backend: CustomerioBackend, platform: Customerio) -> None:
    bring(backend, somebody(choices=YES))
    held(platform)[PREFERENCES]["channels"] = {"email": False}
    known = backend.read(somebody(choices=YES))
    assert known is not None
    assert known.choices == {("news", "email"): UNSUBSCRIBED}


def test_no_answer_is_none(backend: CustomerioBackend, platform: Customerio) -> None:
    her = somebody(choices=YES)
    assert backend.read(her) is None
    platform.faults.status(500)
    with pytest.raises(PlatformError):
        backend.read(her)


def test_who_is_deleted_may_come_back_by_her_own_yes(
    backend: CustomerioBackend, platform: Customerio
) -> None:
    bring(backend, somebody(choices=YES))
    for _ in range(2):
        assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert platform.people == {}
    assert backend.erase(Identifiers()).outcome is Outcome.DONE
    bring(backend, somebody(choices=YES))
    assert len(platform.people) == 1


# --- check ------------------------------------------------------------------------------------------------------------


def hook(**values: Any) -> dict[str, Any]:
    return {
        "endpoint": "https://www.example.org/prefs/api/v1/inbound/customerio/secret/",
        "events": ["customer_unsubscribed", "customer_subscription_preferences_changed"],
        "disabled": False,
        **values,
    }


def test_all_is_well(backend: CustomerioBackend, platform: Customerio) -> None:
    platform.webhooks.append(hook())
    assert backend.check() == []


@pytest.mark.parametrize(
    ("happens", "level", "words"),
    [
        (lambda platform: platform.topics.pop("topic_2"), "error", 'no topic topic_2.*names for "offers"'),
        (
            lambda platform: platform.topics["topic_1"].update(default=True),
            "warning",
            "topic_1.*never asked",
        ),
        (lambda platform: platform.webhooks.clear(), "warning", "no reporting webhook that leads here"),
        (lambda platform: platform.webhooks[0].update(disabled=True), "warning", "switched our reporting"),
        (
            lambda platform: platform.webhooks[0].update(events=["customer_unsubscribed"]),
            "warning",
            "without customer_subscription_preferences_changed",
        ),
    ],
)
def test_what_is_missing_over_there_is_named(
    backend: CustomerioBackend,
    platform: Customerio,
    happens: Callable[[Customerio], Any],
    level: str,
    words: str,
) -> None:
    platform.webhooks.append(hook())
    happens(platform)
    (problem,) = backend.check()
    assert problem.level == level
    assert re.search(words, problem.text)


def test_the_two_keys_are_told_apart(made: Callable[..., CustomerioBackend]) -> None:
    (problem,) = made(API_KEY="another-0123456789").check()
    assert "SITE_ID and API_KEY" in problem.text
    (problem,) = made(APP_KEY="another-0123456789").check()
    assert "APP_KEY" in problem.text


# --- inbound ----------------------------------------------------------------------------------------------------------


def told(platform: Customerio, said: Any, *, stamp: int | None = None, key: str = SIGNING_KEY) -> HttpRequest:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    body, headers = platform.signed(body, int(time.time()) if stamp is None else stamp, key)
    content_type = headers.pop("Content-Type")
    return RequestFactory().post("/", body, content_type=content_type, headers=headers)


def event(metric: str, **data: Any) -> dict[str, Any]:
    return {
        "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
        "object_type": "customer",
        "metric": metric,
        "timestamp": STAMP,
        "data": {"customer_id": "", "identifiers": {"email": EMAIL}, **data},
    }


@pytest.mark.parametrize(
    ("said", "changes", "dead"),
    [
        (event("unsubscribed"), (OptOut(),), False),
        (event("spammed"), (OptOut(),), True),
        ({**event("bounced"), "object_type": "email"}, (), True),
        (
            event(
                "cio_subscription_preferences_changed",
                content=json.dumps({"topics": {"topic_1": True}, "channels": {"email": False, "sms": True}}),
            ),
            (SetChoice("", "email", UNSUBSCRIBED),),
            False,
        ),
        (
            event(
                "cio_subscription_preferences_changed",
                content=json.dumps({"topics": {"topic_1": False, "topic_2": True, "topic_9": False}}),
            ),
            (SetChoice("news", "email", UNSUBSCRIBED),),
            False,
        ),
    ],
)
def test_what_it_tells_makes_things_stricter(
    backend: CustomerioBackend, platform: Customerio, said: Any, changes: tuple[Any, ...], dead: bool
) -> None:
    (found,) = backend.parse_inbound(told(platform, said))
    assert (found.changes, found.dead) == (changes, dead)
    assert found.identifiers == Identifiers(email=EMAIL)
    assert found.at == datetime.fromtimestamp(STAMP, UTC)
    assert found.event_id == "01E4C4CT6YDC7Y5M7FE1GWWPQJ"
    assert found.evidence is None


@pytest.mark.parametrize(
    "said",
    [
        event("subscribed"),
        event("opened"),
        {**event("bounced"), "object_type": "sms"},
        {**event("bounced"), "object_type": "push"},
        event("cio_subscription_preferences_changed", content=json.dumps({"channels": {"sms": False}})),
        event("cio_subscription_preferences_changed"),  # body content is switched off
        event("cio_subscription_preferences_changed", content="{no json"),
        event("cio_subscription_preferences_changed", content=json.dumps({"topics": {"topic_1": True}})),
    ],
)
def test_what_makes_nothing_stricter_is_left_aside(
    backend: CustomerioBackend, platform: Customerio, said: Any
) -> None:
    assert backend.parse_inbound(told(platform, said)) == []


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (lambda platform: told(platform, event("unsubscribed"), key="another"), "signature"),
        (lambda platform: told(platform, event("unsubscribed"), stamp=int(time.time()) - 301), "timestamp"),
        (lambda platform: told(platform, event("unsubscribed"), stamp=int(time.time()) + 302), "timestamp"),
        (lambda platform: told(platform, b"\xff\xfe"), "no-json"),
        (lambda platform: told(platform, []), "data"),
        (lambda platform: told(platform, event("unsubscribed", identifiers=None)), "identifiers"),
        (lambda _: RequestFactory().post("/", b"{}", content_type="application/json"), "headers"),
    ],
)
def test_what_is_not_customerios_is_refused(
    backend: CustomerioBackend, platform: Customerio, request_: Callable[[Any], HttpRequest], code: str
) -> None:
    with pytest.raises(BadInbound, match=f"^{code}$"):
        backend.parse_inbound(request_(platform))


def test_the_vector_of_the_documentation(made: Callable[..., CustomerioBackend]) -> None:
    """crm-contracts.md s3.5: verified, and then there is nothing in it."""
    headers = {
        "X-CIO-Timestamp": "1790000000",
        "X-CIO-Signature": "d7dea8c66b8a58a380df7ab21c6cfa4351981ca90b4bb489061f2958b61adabd",
    }
    request = RequestFactory().post("/", b'{"a":1}', content_type="application/json", headers=headers)
    with (
        time_machine.travel(datetime.fromtimestamp(1790000000, UTC)),
        pytest.raises(BadInbound, match=r"^data$"),
    ):
        made(SIGNING_KEYS=["older", "test-secret"]).parse_inbound(request)


def _identify(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "person",
        "action": "identify",
        "identifiers": {"email": EMAIL},
        "attributes": attributes,
    }
