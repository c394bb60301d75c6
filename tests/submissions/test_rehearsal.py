"""What a save would come to, without a database: these tests have none, so whatever asked one would fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.blocks.conftest import VALUES, compiled, context
from tests.centers.test_answers import snapshot
from tests.centers.test_personas import somebody
from tests.properties import examples
from wagtail_prefs.centers.personas import LABELS
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.contacts.rules import recorded
from wagtail_prefs.errors import InvalidAnswers, StepUpRequired
from wagtail_prefs.submissions.rehearsal import Rehearsal, rehearse
from wagtail_prefs.values import Actor, ActorType, Answers, Source

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def tried(name: str, answers: Answers, shown: Snapshot | None = None, base_version: int = 99) -> Rehearsal:
    shown = shown or snapshot(*VALUES)
    persona = somebody(name, shown)
    return rehearse(
        state=persona.state,
        email=persona.email,
        snapshot=shown,
        base_version=base_version,
        answers=answers,
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page", form_id=str(shown.center), form_version=shown.digest, language="en"),
        now=NOW,
    )


def body(found: Rehearsal) -> dict[str, Any]:
    assert found.record is not None
    return found.record


def test_a_choice_is_recorded_and_told() -> None:
    found = tried("subscribed", {"topics": {"choices": {"news": {"email": False}}}})
    assert [line.text for line in found.applied] == ["News by e-mail: unsubscribed"]
    assert found.merged == ()
    (effect,) = body(found)["effects"]
    assert (effect["before"], effect["after"], effect["action"]) == (
        "subscribed",
        "unsubscribed",
        "withdrawn",
    )
    assert effect["lawful_basis"] == "consent"
    assert body(found)["jurisdiction"] == "DE"
    assert body(found)["base_version"] == 99
    (planned,) = found.planned
    assert (planned.alias, planned.problem) == ("database", "")
    assert [operation.restricts for operation in planned.operations] == [True]
    assert planned.operations[0].payload["version"] == body(found)["seq"] == found.state.version


def test_what_is_as_it_was_is_no_record() -> None:
    found = tried("subscribed", {"topics": {"choices": {"news": {"email": True}}}})
    assert (found.record, found.planned, found.applied) == (None, (), ())
    assert tried("new", {}).record is None


def test_a_length_becomes_a_day_where_she_lives() -> None:
    found = tried("subscribed", {"pause": {"pauses": {"all": {"for": "P3M"}}}})
    (change,) = body(found)["changes"]
    assert change["change"] == "Pause"
    assert change["until"] == "2027-02-21T23:00:00.000000Z"  # 22 February in Berlin
    with pytest.raises(InvalidAnswers):
        tried("subscribed", {"pause": {"pauses": {"all": {"until": "2020-01-01"}}}})


def test_a_form_that_is_older_than_her_opt_out_yields_to_it() -> None:
    answers: Answers = {"topics": {"choices": {"news": {"email": True}}}}
    assert tried("opted_out", answers, base_version=2).record is not None
    found = tried("opted_out", answers, base_version=1)
    assert found.record is None
    assert [line.text for line in found.merged] == [
        "News by e-mail: not changed, because you unsubscribed from everything in the meantime."
    ]


def test_personal_values_are_sealed_as_in_every_record() -> None:
    found = tried("new", {"question": {"answer": 4}})
    (effect,) = body(found)["effects"]
    assert effect["after"].keys() == {"committed"}
    (planned,) = found.planned
    assert planned.operations[0].payload["attributes"] == {"recommend": 4}


def test_what_needs_a_fresh_link_needs_one_here() -> None:
    with pytest.raises(StepUpRequired):
        tried("new", {"profile": {"nickname": "N"}})


def test_what_other_answers_hide_is_dropped_and_named() -> None:
    members = {"news": {"block": "role", "control": "role", "in": ["member"]}}
    shown = snapshot("role", topics=compiled("topics", replace(context(), roles=members)))
    answers: dict[str, Any] = {"topics": {"choices": {"news": {"email": True}, "events": {"email": True}}}}
    found = tried("new", answers, shown)
    assert [effect["path"] for effect in body(found)["effects"]] == ["choice:events:email"]
    assert [(item["path"], item["rule"]) for item in body(found)["merged"]] == [
        ("choice:news:email", "hidden")
    ]
    assert [line.text for line in found.merged] == [
        "News by e-mail: not saved, because it was not shown for your other answers."
    ]
    found = tried("new", {**answers, "role": {"role": "member"}}, shown)
    assert len(body(found)["effects"]) == 3 and not found.merged


def test_what_is_not_offered_is_refused() -> None:
    refused: list[Answers] = [{"moon": {}}, {"topics": {"choices": {"secret": {"email": True}}}}]
    for answers in refused:
        with pytest.raises(InvalidAnswers):
            tried("subscribed", answers)
    invited = tried("invited", {"topics": {"choices": {"secret": {"email": True}}}})
    assert [effect["path"] for effect in body(invited)["effects"]] == ["choice:secret:email"]


ANSWERS: Mapping[str, st.SearchStrategy[Any]] = {
    "topics": st.fixed_dictionaries(
        {},
        optional={
            "choices": st.dictionaries(
                st.sampled_from(["news", "offers"]),
                st.fixed_dictionaries({}, optional={"email": st.booleans(), "sms": st.booleans()}),
            )
        },
    ),
    "frequency": st.fixed_dictionaries(
        {},
        optional={
            "frequency": st.fixed_dictionaries({}, optional={"all": st.sampled_from(["weekly", "monthly"])})
        },
    ),
    "pause": st.sampled_from([{}, {"pauses": {"all": {"for": "P3M"}}}, {"pauses": {"all": None}}]),
    "unsubscribe_all": st.sampled_from([{}, {"opted_out": True}, {"opted_out": False}]),
    "question": st.sampled_from([{}, {"answer": 1}]),
}


@pytest.mark.property
@examples(120)
@given(answers=st.fixed_dictionaries({}, optional=dict(ANSWERS)), name=st.sampled_from(sorted(LABELS)))
def test_the_record_says_what_the_state_became(answers: Answers, name: str) -> None:
    """Whatever is pressed: refused, nothing, or a record of exactly the difference between the two states."""
    shown = snapshot(*VALUES)
    before = somebody(name, shown).state
    try:
        found = tried(name, answers, shown)
    except InvalidAnswers:
        return
    stood, stands = recorded(before), recorded(found.state)
    if found.record is None:
        assert stands == stood
        assert found.planned == ()
        return
    effects = {effect["path"]: effect for effect in body(found)["effects"]}
    moved = {path for path in stood.keys() | stands.keys() if stood.get(path) != stands.get(path)}
    again = {path for path, effect in effects.items() if effect["before"] == effect["after"]}
    assert effects.keys() == moved | again
    assert again <= {"opted_out"}  # a no that is said once more is news
    for path, effect in effects.items():
        if not path.startswith("attribute:"):
            assert (effect["after"] or None) == stands.get(path, (None, None))[0]
    assert body(found)["seq"] == found.state.version == before.version + 1
    assert all(planned.operations and not planned.problem for planned in found.planned)
