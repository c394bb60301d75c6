"""Who sees what of a center, and what becomes of answers to the rest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.blocks.base import control
from wagtail_prefs.centers import visibility
from wagtail_prefs.centers.values import Snapshot, make_snapshot
from wagtail_prefs.errors import InvalidAnswers, StepUpRequired
from wagtail_prefs.values import ContactState, Json, Spec

ID = UUID(int=1)


def spec(block_id: str, *controls: Json, paths: dict[str, tuple[str, str]] | None = None, **own: Any) -> Spec:
    document = {
        "id": block_id, "type": "x", "heading": "", "text": [], "layout": None, "controls": list(controls),
    }  # fmt: skip
    return Spec(block_id=block_id, type="x", document=document, paths=paths or {}, **own)


def center(*specs: Spec) -> Snapshot:
    document = {
        "center": str(ID), "locale": "en", "direction": "ltr", "labels": {},
        "blocks": [one.document for one in specs],
    }  # fmt: skip
    return make_snapshot(document, specs)


def somebody(**facts: Any) -> ContactState:
    return ContactState(id=ID, audience="default", **facts)


def row(key: str, when: Json | None = None) -> Json:
    return {
        "key": key, "label": key, "help": "", "media": None, "group": "", "locked": None, "when": when, "columns": None,
    }  # fmt: skip


def matrix(*rows: Json) -> Json:
    return control(
        "matrix",
        "choices",
        "Topics",
        cell="toggle",
        single=False,
        rows=list(rows),
        columns=[{"key": "email", "label": "E-mail"}],
    )


@pytest.mark.parametrize(
    ("condition", "facts", "meets"),
    [
        ({"fact": "language", "in": ["de"]}, {"language": "de-AT"}, True),
        ({"fact": "language", "in": ["de-at"]}, {"language": "de"}, False),
        ({"fact": "language", "not_in": ["de"]}, {"language": "de"}, False),
        ({"fact": "language", "in": ["de"]}, {}, False),
        ({"fact": "country", "in": ["DE", "AT"]}, {"country": "AT"}, True),
        ({"fact": "country", "not_in": ["DE"]}, {}, True),
        ({"fact": "role", "in": ["buyer"]}, {"attributes": {"role": "buyer"}}, True),
        ({"fact": "role", "in": ["buyer"]}, {"attributes": {"role": None}}, False),
        ({"fact": "subscribed", "in": ["news"]}, {"choices": {("news", "sms"): "subscribed"}}, True),
        ({"fact": "subscribed", "in": ["news"]}, {"choices": {("news", "sms"): "unsubscribed"}}, False),
        ({"fact": "subscribed", "in": ["news"]}, {"pending": frozenset({("news", "sms")})}, False),
        (
            {"fact": "subscribed", "in": ["news"]},
            {"choices": {("news", "sms"): "subscribed"}, "opted_out": True},
            False,
        ),
        ({"fact": "opted_out", "in": [True]}, {"opted_out": True}, True),
        ({"fact": "opted_out", "in": [False]}, {}, True),
        ({"fact": "moon", "in": ["full"]}, {}, False),
        ({"fact": "moon", "not_in": ["full"]}, {}, False),
    ],
)
def test_a_condition_looks_at_one_fact(condition: Json, facts: dict[str, Any], meets: bool) -> None:
    assert visibility.meets(somebody(**facts), condition) is meets


def test_all_conditions_must_hold() -> None:
    of_two = ({"fact": "language", "in": ["de"]}, {"fact": "country", "in": ["AT"]})
    page = center(spec("a", conditions=of_two), spec("b"))
    assert visibility.hidden(page, somebody(language="de", country="AT")) == []
    assert visibility.hidden(page, somebody(language="de", country="DE")) == ["a"]


def test_an_answer_to_a_hidden_block_is_refused() -> None:
    page = center(spec("a", control("toggle", "yes", "Yes"), conditions=({"fact": "country", "in": ["AT"]},)))
    with pytest.raises(InvalidAnswers) as refused:
        visibility.sift(page, {"a": {"yes": True}}, somebody(), {})
    assert list(refused.value.errors) == ["a"]


@pytest.mark.parametrize(
    "facts",
    [
        {"private_topics": frozenset({"vip"})},
        {"attributes": {"invited": ["vip"]}},
        {"choices": {("vip", "email"): "unsubscribed"}},
        {"pending": frozenset({("vip", "email")})},
    ],
)
def test_a_private_topic_is_shown_to_whom_it_is_open(facts: dict[str, Any]) -> None:
    private = {"choices": [row("vip"), row("inner")]}
    page = center(spec("a", matrix(row("news")), rules={"private": private}))
    vip = {"a": {"choices": {"vip": {"email": True}}}}
    assert visibility.private_rows(page, somebody()) == {}
    assert visibility.private_rows(page, somebody(**facts)) == {"a": {"choices": [row("vip")]}}
    assert visibility.sift(page, vip, somebody(**facts), {}) == vip
    with pytest.raises(InvalidAnswers) as refused:
        visibility.sift(page, vip, somebody(), {})
    assert list(refused.value.errors["a"]) == ["choices.vip"]


@pytest.mark.parametrize("strange", ["vip", 7, {"vip": 1}, None])
def test_an_invitation_is_a_list(strange: Any) -> None:
    assert not visibility.is_open(somebody(attributes={"invited": strange}), "vip")


def test_what_other_answers_hide_is_left_out() -> None:
    when = {"block": "r", "control": "role", "in": ["buyer"]}
    page = center(
        spec("r", control("one_of", "role", "Role", options=[])),
        spec("a", matrix(row("news"), row("deals", when))),
    )
    answers = {"a": {"choices": {"news": {"email": True}, "deals": {"email": True}}}}
    fewer = {"a": {"choices": {"news": {"email": True}}}}
    assert visibility.sift(page, answers, somebody(), {}) == fewer
    # The answer that shows it may come with it, or stand in the state already.
    both = {**answers, "r": {"role": "buyer"}}
    assert visibility.sift(page, both, somebody(), {}) == both
    assert visibility.sift(page, answers, somebody(), {"r": {"role": "buyer"}}) == answers
    changed = {"r": {"role": "seller"}}
    found = visibility.sift(page, {**answers, **changed}, somebody(), {"r": {"role": "buyer"}})
    assert found == {**fewer, **changed}


def test_a_control_can_be_hidden_by_another_answer() -> None:
    when = {"block": "a", "control": "more", "in": [True]}
    page = center(spec("a", control("toggle", "more", "More"), control("text", "why", "Why", when=when)))
    assert visibility.sift(page, {"a": {"why": "x"}}, somebody(), {}) == {}
    both = {"a": {"why": "x", "more": True}}
    assert visibility.sift(page, both, somebody(), {}) == both


def test_personal_answers_are_for_whoever_came_by_a_fresh_link() -> None:
    paths = {"attribute:name": ("name", "Name"), "attribute:yes": ("yes", "X"), "choice:x:sms": ("yes", "X")}
    page = center(
        spec(
            "a", control("text", "name", "Name", personal=True), control("toggle", "yes", "Yes"), paths=paths
        )
    )
    assert visibility.told_attributes(page) == {"attribute:yes"}
    stored: dict[str, Json] = {"a": {"name": "x", "yes": True}}
    assert visibility.told(page, stored, [], "fresh") == stored
    assert visibility.told(page, stored, [], "link") == {"a": {"name": visibility.MASK, "yes": True}}
    assert visibility.told(page, {"a": {"yes": True}}, [], "link") == {"a": {"yes": True}}
    assert visibility.told(page, stored, ["a"], "fresh") == {}
    given = {"a": {"name": "y"}}
    with pytest.raises(StepUpRequired):
        visibility.sift(page, given, somebody(), stored)
    assert visibility.sift(page, given, somebody(), stored, "fresh") == given


def test_nothing_is_asked_where_everybody_sees_the_same() -> None:
    plain = center(spec("a", matrix(row("news"))), spec("b", control("toggle", "yes", "Yes")))
    assert visibility.is_same_for_all(plain)
    button = control("action", "leave", "Leave", when={"block": "a", "control": "x", "in": [1]})
    assert visibility.is_same_for_all(center(spec("a", button)))  # nobody answers a button
    for special in (
        spec("c", conditions=({"fact": "country", "in": []},)),
        spec("c", rules={"private": {"choices": [row("vip")]}}),
        spec("c", control("text", "name", "Name", personal=True)),
        spec("c", control("text", "why", "Why", when={"block": "a", "control": "x", "in": [1]})),
        spec("c", matrix(row("news", {"block": "a", "control": "x", "in": [1]}))),
    ):
        assert not visibility.is_same_for_all(center(spec("a"), special))


ANSWER = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2)
)


@examples(100)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "zz"]),
        st.dictionaries(st.text(max_size=3), ANSWER, max_size=3),
        max_size=3,
    )
)
def test_what_everybody_sees_comes_through_as_it_was_sent(answers: Any) -> None:
    page = center(spec("a", control("toggle", "x", "X")), spec("b", control("text", "y", "Y")))
    assert visibility.sift(page, answers, somebody(), {}) == answers
