"""The reason for leaving: asked of who has left, of nobody else, and never in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.blocks.asking import controls, initial, objections, preview, refused, saved, valid
from tests.blocks.conftest import compiled, context, state
from tests.properties import examples
from wagtail_prefs.blocks.reason import ReasonBlock
from wagtail_prefs.changes import ClearAttribute, GiveReason, SetAttribute
from wagtail_prefs.html import tree_to_text

OUT = {"block": "b0", "control": "opted_out", "in": [True]}
STORED: dict[str, Any] = {
    "question": "",
    "purpose": "",
    "options": [{"key": "too_many", "label": "Too many"}],
    "own_words": True,
}


def test_all_of_it_appears_with_the_opt_out() -> None:
    spec = compiled("reason")
    assert (spec.document["heading"], spec.document["text"]) == ("", [])
    assert [control["name"] for control in spec.document["controls"]] == [
        "introduction",
        "reason",
        "reason_text",
    ]
    assert all(control["when"] == OUT for control in spec.document["controls"])
    assert controls(spec)["introduction"]["content"][0] == ["h3", {}, "Before you go"]
    assert tree_to_text(controls(spec)["introduction"]["content"][1:]) == "Thank you."


def test_nothing_has_to_be_answered() -> None:
    spec = compiled("reason")
    assert not any(control["required"] for control in spec.document["controls"])
    assert ReasonBlock.changes(spec, {}) == []


def test_a_page_without_the_way_out_asks_nothing() -> None:
    spec = compiled("reason", replace(context(), blocks={"topics": "b2"}))
    assert (spec.document["heading"], spec.document["text"], spec.document["controls"]) == ("", [], [])
    assert (ReasonBlock.fields(spec), spec.paths) == ({}, {})
    assert ReasonBlock.initial(spec, state(attributes={"reason": {"code": "other"}})) == {}
    assert compiled("reason", options=[]).document["controls"] == []


def test_words_are_asked_for_where_the_editor_wants_them() -> None:
    spec = compiled("reason", own_words=False, heading="", text="")
    assert list(controls(spec)) == ["reason"]
    assert refused(spec, {"reason_text": "Too loud."})
    assert spec.rules["attributes"].keys() == {"reason"}
    assert compiled("reason").rules["attributes"]["reason_text"]["personal"]


def test_a_code_and_words_are_two_answers_and_neither_pushes_the_other_out() -> None:
    spec = compiled("reason")
    assert ReasonBlock.changes(spec, valid(spec, {"reason": "other", "reason_text": " Too\r\nloud. "})) == [
        GiveReason("other"),
        SetAttribute("reason_text", "Too\nloud."),
    ]
    held = saved(spec, {"reason_text": "Too loud."}, saved(spec, {"reason": "other"}))
    assert held.attributes == {"reason": {"code": "other"}, "reason_text": "Too loud."}
    assert saved(spec, {"reason": "too_many"}, held).attributes["reason_text"] == "Too loud."


def test_both_are_taken_back() -> None:
    spec = compiled("reason")
    held = saved(spec, {"reason": "other", "reason_text": "Too loud."})
    assert ReasonBlock.changes(spec, {"reason": None, "reason_text": ""}) == [
        ClearAttribute("reason"),
        ClearAttribute("reason_text"),
    ]
    assert saved(spec, {"reason": None, "reason_text": ""}, held).attributes == {}


def test_words_can_be_written_from_any_mail_and_are_shown_to_nobody() -> None:
    spec = compiled("reason")
    assert not controls(spec)["reason_text"]["personal"]  # else she would need another mail to say why
    held = saved(spec, {"reason": "other", "reason_text": "Too loud."})
    for assurance in ("link", "fresh"):
        assert initial(spec, replace(held, assurance=assurance)) == {"reason": "other"}


@pytest.mark.parametrize(
    "answers",
    [
        {"reason": "bored"},
        {"reason": ""},
        {"reason": {"code": "other"}},
        {"reason_text": 5},
        {"reason_text": "x" * 1001},
        {"reason_text": "a\x00b"},
        {"reason_text": "a\u202eb"},
    ],
)
def test_what_is_no_reason_is_refused(answers: dict[str, Any]) -> None:
    assert refused(compiled("reason"), answers)


@pytest.mark.parametrize("held", ["other", {"code": "bored"}, {"text": "x"}, {"code": ["other"]}, 5])
def test_a_reason_of_another_kind_is_not_drawn(held: Any) -> None:
    assert initial(compiled("reason"), state(attributes={"reason": held})) == {}


@pytest.mark.property
@examples(60)
@given(
    reasons=st.lists(st.sampled_from(["too_many", "other", None]), min_size=1, max_size=3),
    text=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40) | st.just("a\nb\tc"),
)
def test_the_last_reason_is_shown_and_the_words_are_kept(reasons: list[str | None], text: str) -> None:
    spec = compiled("reason")
    held = state(opted_out=True)
    for reason in reasons:
        held = saved(spec, {"reason": reason}, held)
    answers = valid(spec, {"reason_text": text}) if not refused(spec, {"reason_text": text}) else {}
    after = saved(spec, answers, held)
    assert initial(spec, after) == ({"reason": reasons[-1]} if reasons[-1] else {})
    assert after.attributes.get("reason_text", "") == answers.get("reason_text", "")


def test_options_differ_and_there_is_one() -> None:
    assert objections("reason", STORED) == []
    assert objections("reason", {**STORED, "options": []}) == ["options: The minimum number of items is 1"]
    assert objections("reason", {**STORED, "options": STORED["options"] * 2}) == [
        "options: The key “too_many” stands here twice."
    ]


@pytest.mark.django_db
def test_the_picker_shows_it_as_to_who_has_left(admin_client: Any) -> None:
    html = preview("reason", admin_client)
    assert html.count('type="radio"') == 4
    assert "Why did you unsubscribe?" in html
    assert "<textarea" in html and 'maxlength="1000"' in html
