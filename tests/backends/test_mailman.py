"""What the backend for GNU Mailman plans, and what it says of its options. tests/mailman has the server itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from hypothesis import given, strategies as st

from tests.backends.states import AT, JOINED, target
from tests.properties import examples
from wagtail_prefs.backends import mailman
from wagtail_prefs.backends.answers import Answer
from wagtail_prefs.backends.mailman import MailmanBackend
from wagtail_prefs.values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ChangeBatch,
    Effect,
    Identifiers,
    Operation,
    Outcome,
    Target,
)

LISTS = {"news": "news.lists.example.org", "offers": "offers.lists.example.org"}
NEWS, OFFERS = ("news", "email"), ("offers", "email")
OPTIONS = {"URL": "https://mailman.example.org", "PASSWORD": "tulips", "TOPICS": LISTS}
EMAIL = "anna@mail.example.org"
WEEKLY = Effect("frequency:all", None, "weekly", "set")


def batch(version: int, effect: Effect) -> ChangeBatch:
    return ChangeBatch(UUID(int=version), version, AT, Actor(ActorType.SUBJECT_SESSION), (), (effect,))


def backend(**options: Any) -> MailmanBackend:
    return MailmanBackend("mailman", {**OPTIONS, **options})


def said(operations: Sequence[Operation]) -> list[tuple[str, str]]:
    return [(operation.kind, operation.payload["email"]) for operation in operations]


def somebody(**state: Any) -> Target:
    return target(**{"frequencies": {}, "pauses": {}, "choices": {NEWS: SUBSCRIBED}, **state})


def test_a_yes_joins_and_what_was_never_asked_is_left_alone() -> None:
    (operation,) = backend().plan(somebody(), [batch(3, JOINED)])
    assert operation.kind == "join:news.lists.example.org"
    assert operation.payload == {"list": "news.lists.example.org", "email": EMAIL}
    assert operation.key == f"mailman-{operation.contact.hex}-3-join:news.lists.example.org"
    assert not operation.restricts


@pytest.mark.parametrize(
    "state",
    [
        {"choices": {NEWS: SUBSCRIBED, OFFERS: UNSUBSCRIBED}},
        {"choices": {NEWS: SUBSCRIBED}, "versions": {"choice:offers:email": 2}},  # a yes that ended
        {"choices": {NEWS: SUBSCRIBED, ("", "email"): UNSUBSCRIBED}},  # "no mail", and the newer yes
    ],
)
def test_a_no_comes_first_and_restricts(state: dict[str, Any]) -> None:
    leave, join = backend().plan(somebody(**state), [batch(3, JOINED)])
    assert (leave.kind, leave.restricts) == ("leave:offers.lists.example.org", True)
    assert (join.kind, join.restricts) == ("join:news.lists.example.org", False)


@pytest.mark.parametrize("why", ["opted_out", "suppressed", "erased"])
def test_whoever_wants_nothing_leaves_every_list(why: str) -> None:
    operations = backend().plan(somebody(**{why: True}), [])
    assert said(operations) == [(f"leave:{remote}", EMAIL) for remote in LISTS.values()]
    assert all(operation.restricts for operation in operations)


def test_a_channel_that_she_took_back_a_no_to_is_no_no() -> None:
    state = {"choices": {NEWS: SUBSCRIBED, ("", "email"): SUBSCRIBED}, "versions": {"choice::email": 3}}
    assert said(backend().plan(somebody(**state), [])) == [("join:news.lists.example.org", EMAIL)]


def test_former_addresses_leave_every_list_first() -> None:
    former = tuple(
        Identifiers(email=email)
        for email in ("OLD@mail.example.org", "old@mail.example.org", EMAIL.upper(), "")
    )
    moved = replace(somebody(), retired=former)
    operations = backend().plan(moved, [batch(3, Effect("address:email", "", "", "set"))])
    assert said(operations) == [
        *((f"leave:{remote}", "old@mail.example.org") for remote in LISTS.values()),
        ("join:news.lists.example.org", EMAIL),
    ]
    without = replace(moved, identifiers=Identifiers())
    assert said(backend().plan(without, [])) == [
        *((f"leave:{remote}", EMAIL) for remote in LISTS.values()),
        *((f"leave:{remote}", "old@mail.example.org") for remote in LISTS.values()),
    ]


def test_only_a_wish_for_it_makes_a_member() -> None:
    """A frequency, and the end of a pause, bring nobody back who left by Mailman itself."""
    hers = somebody(frequencies={("", ""): "weekly"}, choices={NEWS: SUBSCRIBED, OFFERS: SUBSCRIBED})
    settings = [(f"set:{remote}", EMAIL) for remote in LISTS.values()]
    assert said(backend().plan(hers, [batch(3, WEEKLY)])) == settings
    assert said(backend().plan(replace(hers, ended=1), [])) == settings
    assert said(backend().plan(hers, [batch(2, JOINED), batch(3, WEEKLY)])) == [
        ("join:news.lists.example.org", EMAIL),
        ("set:offers.lists.example.org", EMAIL),
    ]
    everything = [(f"join:{remote}", EMAIL) for remote in LISTS.values()]
    assert said(backend().plan(hers, [])) == everything
    back = batch(3, Effect("opted_out", True, False, "withdrawn"))
    assert said(backend().plan(hers, [back])) == everything


def test_what_she_never_said_of_a_membership_is_left_as_it_is() -> None:
    assert backend().plan(somebody(), [batch(3, Effect("attribute:city", None, "Kiel", "set"))]) == []
    cleared = somebody(versions={"frequency:all": 3})
    (operation,) = backend().plan(cleared, [batch(3, Effect("frequency:all", "weekly", None, "cleared"))])
    assert operation.payload["mode"] == "regular"
    resumed = somebody(versions={"pause:topic:offers": 3})
    (operation,) = backend().plan(resumed, [batch(3, Effect("pause:topic:offers", "2027", None, "cleared"))])
    assert operation.payload == {"list": LISTS["news"], "email": EMAIL, "status": "enabled"}


@pytest.mark.parametrize(
    ("scope", "paused"),
    [
        (("", ""), True),
        (("", "email"), True),
        (("news", ""), True),
        (("offers", ""), False),
        (("", "sms"), False),
    ],
)
def test_a_pause_of_what_concerns_a_list_halts_it(scope: tuple[str, str], paused: bool) -> None:
    (operation,) = backend().plan(replace(somebody(), paused=frozenset({scope})), [batch(3, JOINED)])
    assert (operation.payload.get("status") == "by_user") is paused


keys = st.tuples(st.sampled_from(["", "news", "offers", "events"]), st.sampled_from(["", "email", "sms"]))
states = st.fixed_dictionaries(
    {
        "choices": st.dictionaries(
            keys.filter(lambda key: key[1]), st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]), max_size=6
        ),
        "frequencies": st.dictionaries(keys, st.sampled_from(FREQUENCIES), max_size=4),
        "opted_out": st.booleans(),
        "suppressed": st.booleans(),
        "version": st.integers(1, 9),
        "versions": st.dictionaries(
            st.sampled_from(["choice:news:email", "choice:offers:email", "pause:all", "frequency:all"]),
            st.integers(1, 9),
        ),
    }
)
sinces = st.lists(st.sampled_from([batch(3, JOINED), batch(4, WEEKLY)]), max_size=2)


@pytest.mark.property
@examples(300)
@given(states, sinces, st.frozensets(keys, max_size=2), st.integers(0, 2), st.lists(st.emails(), max_size=2))
def test_no_plan_contradicts_itself_or_her(
    state: dict[str, Any],
    since: list[ChangeBatch],
    paused: frozenset[tuple[str, str]],
    ended: int,
    former: list[str],
) -> None:
    """Each list hears one thing of her; nobody joins without a yes; every no leaves; keys differ; nothing else is named."""
    hers = replace(
        target(pauses={}, **state),
        paused=paused,
        ended=ended,
        retired=tuple(Identifiers(email=email) for email in former),
    )
    operations = backend().plan(hers, since)
    assert operations == backend().plan(hers, since)
    assert len({operation.key for operation in operations}) == len(operations)
    assert not any("@" in operation.key or "@" in operation.kind for operation in operations)
    assert {operation.payload["list"] for operation in operations} <= set(LISTS.values())
    about_her = [operation for operation in operations if operation.payload["email"] == EMAIL]
    assert len({operation.payload["list"] for operation in about_her}) == len(about_her)
    verbs = {operation.payload["list"]: operation.kind.partition(":")[0] for operation in about_her}
    for topic, remote in LISTS.items():
        if hers.subscribed(topic, "email"):
            assert verbs.get(remote) in {None, "join", "set"}
        else:
            assert verbs.get(remote) in {None, "leave"}
        if hers.state.opted_out or state["choices"].get((topic, "email")) == UNSUBSCRIBED:
            assert verbs[remote] == "leave"
    for operation in operations:
        assert operation.restricts is operation.kind.startswith("leave:")
        assert operation.restricts or operation.payload["email"] == EMAIL
    order = [operation.restricts for operation in operations]
    assert order == sorted(order, reverse=True)


# --- answers and options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, b'{"description": "No such list"}', Outcome.MISCONFIGURED, "unknown-list"),
        (400, b'{"description": "Membership is banned"}', Outcome.REFUSED, "banned"),
        (
            400,
            b'{"description": "Unexpected parameters: send_welcome_message"}',
            Outcome.MISCONFIGURED,
            "mailman-too-old",
        ),
        (400, b'{"description": "database is locked: anna@mail.example.org"}', Outcome.RETRY, "http-400"),
        (400, b"<html>", Outcome.RETRY, "http-400"),
        (400, b"[]", Outcome.RETRY, "http-400"),
        (401, b"", Outcome.MISCONFIGURED, "http-401"),
        (404, b"", Outcome.MISCONFIGURED, "http-404"),
        (500, b"", Outcome.RETRY, "http-500"),
    ],
)
def test_what_mailman_says_has_a_meaning(status: int, body: bytes, outcome: Outcome, code: str) -> None:
    assert backend().classify(Answer(status, {}, body)) == (outcome, code)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"TOPICS": {"news": "news@lists.example.org"}}, "has a dot for the @"),
        ({"TOPICS": {"news": LISTS["news"], "offers": LISTS["news"]}}, "an id twice"),
        ({"TOPICS": {"news": {"sms": LISTS["news"]}}}, "channels among email"),
        ({"FREQUENCIES": {"weekly": "sometimes"}}, "one of regular"),
        ({"FREQUENCIES": {"hourly": "regular"}}, "as_it_happens"),
        ({"USER": "rest:admin"}, "no colon"),
        ({"PASSWORD": 7}, "wrong type"),
    ],
)
def test_a_mistake_in_the_options_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words) as error:
        backend(**options)
    assert "tulips" not in str(error.value)


def test_editors_see_the_list() -> None:
    assert backend().describe_topic("news") == "List news.lists.example.org"
    assert backend().describe_topic("events") == ""


# --- docs/how-to/connect-mailman.md --------------------------------------------------------------------------------------

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/connect-mailman.md").read_text()


def test_the_settings_of_the_page_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILMAN_PASSWORD", "tulips")
    block = re.search(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert block
    named: dict[str, Any] = {"os": os}
    exec(block[1], named)
    entry = named["WAGTAIL_PREFS"]["BACKENDS"]["mailman"]
    made = import_string(entry["BACKEND"])("mailman", entry["OPTIONS"])
    assert made.base_url == "http://localhost:8001/3.1"
    assert made.maps("news", "email")


def test_the_page_names_every_option_and_code() -> None:
    rows = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`([^`]+)`", row)}
    assert set(MailmanBackend.known_options) <= named
    source = (Path(mailman.__file__)).read_text()
    codes = set(re.findall(r'Outcome\.[A-Z_]+, "([a-z0-9-]+)"\)', source)) - {"too-many-entries"}
    assert codes
    assert codes <= named
