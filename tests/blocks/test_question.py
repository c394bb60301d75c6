"""The question block: every kind of answer, its key, its purpose, and taking it back."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.blocks.asking import (
    controls,
    initial,
    objections,
    preview,
    published,
    question,
    refused,
    saved,
    valid,
)
from tests.blocks.conftest import compiled, state
from tests.properties import examples
from wagtail_prefs.blocks.question import QuestionBlock
from wagtail_prefs.changes import ClearAttribute, SetAttribute

COLOURS = [
    {"key": "red", "label": "Red"},
    {"key": "blue", "label": "Blue"},
    {"key": "green", "label": "Green"},
]
KINDS: dict[str, dict[str, Any]] = {
    "one_of": {"options": COLOURS, "personal": False},
    "many_of": {"options": COLOURS, "personal": False},
    "scale": {"steps": "nps", "low_label": "Never", "high_label": "Always", "personal": False},
    "text": {"personal": True},
    "date": {"first": date(1900, 1, 1), "last": None, "personal": True},
}
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30)
ANSWERS: dict[str, st.SearchStrategy[Any]] = {
    "one_of": st.sampled_from(["red", "blue", "green"]),
    "many_of": st.lists(st.sampled_from(["red", "blue", "green"]), unique=True),
    "scale": st.integers(0, 10),
    "text": words | st.sampled_from(["", "  ", " <script>alert(1)</script> "]),
    "date": st.dates(date(1900, 1, 1)).map(date.isoformat),
}
STORED = {
    "question": "Which colour?",
    "help": "",
    "key": "colour",
    "purpose": "to send what you like",
    "answer": [{"type": "one_of", "value": {"options": COLOURS, "personal": False}}],
}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("one_of", {"type": "one_of", "options": [{**one, "help": ""} for one in COLOURS]}),
        ("many_of", {"type": "many_of", "options": [{**one, "help": ""} for one in COLOURS]}),
        (
            "scale",
            {
                "type": "scale",
                "constraints": {"min": 0, "max": 10},
                "min_label": "Never",
                "max_label": "Always",
            },
        ),
        ("text", {"type": "text", "format": "plain", "constraints": {"max_length": 200}, "personal": True}),
        ("date", {"type": "date", "constraints": {"min": "1900-01-01"}, "personal": True}),
    ],
)
def test_each_kind_of_answer_is_one_control(kind: str, own: dict[str, Any]) -> None:
    (control,) = question(kind, **KINDS[kind]).document["controls"]
    assert (
        control.items()
        >= {"name": "answer", "label": "Would you recommend us?", "required": False, **own}.items()
    )


def test_a_scale_may_have_five_steps() -> None:
    spec = compiled("question")
    assert controls(spec)["answer"]["constraints"] == {"min": 1, "max": 5}
    assert valid(spec, {"answer": 5}) == {"answer": 5}
    assert refused(spec, {"answer": 0})


def test_people_read_what_the_answer_is_for_and_the_rules_keep_it() -> None:
    spec = compiled("question")
    assert controls(spec)["answer"]["help"] == "One is no. We use it for this: to become better"
    assert spec.rules["attributes"] == {
        "recommend": {"label": "Would you recommend us?", "purpose": "to become better", "personal": False}
    }
    assert spec.paths == {"attribute:recommend": ("answer", "Would you recommend us?")}
    assert controls(compiled("question", purpose="", help=""))["answer"]["help"] == ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_taken_back_as_easily_as_it_was_given(kind: str) -> None:
    spec = question(kind, **KINDS[kind])
    empty: list[Any] = [None, *{"text": ["", "   "], "many_of": [[]]}.get(kind, [])]
    for nothing in empty:
        answers = valid(spec, {"answer": nothing})
        assert QuestionBlock.changes(spec, answers) == [ClearAttribute("recommend")]
    assert QuestionBlock.changes(spec, {}) == []


def test_zero_is_an_answer() -> None:
    spec = question("scale", **KINDS["scale"])
    assert QuestionBlock.changes(spec, valid(spec, {"answer": 0})) == [SetAttribute("recommend", 0)]
    assert initial(spec, saved(spec, {"answer": 0})) == {"answer": 0}


@pytest.mark.parametrize(
    ("kind", "nonsense"),
    [
        ("one_of", ["black", ["red"], 1, True, "", {"red": True}]),
        ("many_of", ["red", ["black"], ["red", "red"], [None], {"red": True}]),
        ("scale", [11, -1, "5", 5.0, True, [5]]),
        ("text", [1, True, ["a"], {"a": 1}, "x" * 201, "a\x00b", "a\nb", "a\u202eb"]),
        ("date", ["2026-02-30", "1899-12-31", "31.03.2026", 20260331, True]),
    ],
)
def test_what_is_no_answer_to_this_question_is_refused(kind: str, nonsense: list[Any]) -> None:
    spec = question(kind, **KINDS[kind])
    for answer in nonsense:
        assert refused(spec, {"answer": answer}), answer


@pytest.mark.property
@pytest.mark.parametrize("kind", KINDS)
@examples(60)
@given(data=st.data())
def test_what_was_answered_is_shown_after_the_save(kind: str, data: st.DataObject) -> None:
    spec = question(kind, **KINDS[kind])
    held = saved(spec, {"answer": data.draw(ANSWERS[kind])})
    answers = valid(spec, {"answer": data.draw(ANSWERS[kind] | st.none())})
    after = saved(spec, answers, held)
    nothing = answers["answer"] in (None, "", [])
    assert initial(spec, after) == ({} if nothing else answers)
    assert after.attributes == ({} if nothing else {"recommend": answers["answer"]})


def test_an_answer_that_this_control_cannot_draw_is_not_drawn_as_another() -> None:
    scale, one, many, day = (question(kind, **KINDS[kind]) for kind in ("scale", "one_of", "many_of", "date"))
    for value in ("7", 11, True, ["7"], {"code": "x"}):
        assert initial(scale, state(attributes={"recommend": value})) == {}
    assert initial(one, state(attributes={"recommend": "black"})) == {}
    assert initial(one, state(attributes={"recommend": ["red"]})) == {}
    assert initial(day, state(attributes={"recommend": "yesterday"})) == {}
    # Of several, those that are still offered.
    assert initial(many, state(attributes={"recommend": ["green", "black", "red"]})) == {
        "answer": ["red", "green"]
    }
    assert initial(many, state(attributes={"recommend": ["black"]})) == {}


def test_a_text_from_elsewhere_is_shown_as_it_is() -> None:
    spec = question("text", **KINDS["text"])
    assert initial(spec, state(attributes={"recommend": "x" * 500})) == {"answer": "x" * 500}
    assert initial(spec, state(attributes={"recommend": 5})) == {}
    # A browser would make one line of it, and that would look like a wish of hers.
    assert initial(spec, state(attributes={"recommend": "a\nb"})) == {}


def test_a_question_without_a_kind_yet_can_be_previewed() -> None:
    spec = compiled("question", answer=[])
    assert spec.document["controls"] == []
    assert QuestionBlock.fields(spec) == {}
    assert QuestionBlock.initial(spec, state(attributes={"recommend": 1})) == {}


def test_a_complete_question_can_be_published() -> None:
    value = published("question", STORED)
    assert (value["key"], value["answer"][0].value["options"][1]["label"]) == ("colour", "Blue")
    # In what an editor begins with, free text and dates are personal; picks and scales are not.
    kinds = QuestionBlock().child_blocks["answer"].child_blocks
    assert {name for name, kind in kinds.items() if kind.get_default()["personal"]} == {"text", "date"}


@pytest.mark.parametrize(
    "key", ["language", "country", "timezone", "role", "reason", "reason_text", "invited"]
)
def test_a_key_with_a_meaning_of_its_own_is_refused(key: str) -> None:
    assert objections("question", {**STORED, "key": key}) == [
        f"key: “{key}” has a meaning of its own. Choose another key."
    ]


@pytest.mark.parametrize("key", ["Colour", "shoe size", "größe", "a.b", "a:b", "x" * 65])
def test_a_key_is_for_machines(key: str) -> None:
    (told,) = objections("question", {**STORED, "key": key})
    assert told.startswith("key: ")


def test_options_stand_there_once_and_a_pick_needs_two() -> None:
    twice = [*COLOURS, {"key": "red", "label": "Crimson"}]
    for kind in ("one_of", "many_of"):
        answer = [{"type": kind, "value": {"options": twice, "personal": False}}]
        assert objections("question", {**STORED, "answer": answer}) == [
            "answer.0.options: The key “red” stands here twice."
        ]
    alone = [{"type": "one_of", "value": {"options": COLOURS[:1], "personal": False}}]
    assert objections("question", {**STORED, "answer": alone}) == [
        "answer.0.options: The minimum number of items is 2"
    ]


def test_a_question_has_one_kind_of_answer() -> None:
    assert len(objections("question", {**STORED, "answer": []})) == 1
    two = [*STORED["answer"], {"type": "text", "value": {"personal": True}}]  # type: ignore[misc]  # STORED holds anything
    assert objections("question", {**STORED, "answer": two}) == ["answer: The maximum number of items is 1"]


def test_a_date_leaves_a_day_to_choose() -> None:
    days = {"first": "2026-03-31", "last": "2026-03-30", "personal": True}
    answer = [{"type": "date", "value": days}]
    assert objections("question", {**STORED, "answer": answer}) == [
        "answer: “Not before” is later than “Not after”."
    ]
    value = published(
        "question", {**STORED, "answer": [{"type": "date", "value": {**days, "last": "2026-03-31"}}]}
    )
    assert controls(compiled("question", answer=value["answer"]))["answer"]["constraints"] == {
        "min": "2026-03-31",
        "max": "2026-03-31",
    }


def test_a_draft_may_be_anything_and_is_drawn_without_what_is_missing() -> None:
    block = QuestionBlock()
    block.set_name("question")
    block.defer_required_validation()
    try:
        half = {**STORED, "answer": [{"type": "one_of", "value": {"options": [*COLOURS, *COLOURS, {}]}}]}
        value = block.clean(block.to_python({"heading": "", "text": "", "conditions": [], **half}))
    finally:
        block.restore_deferred_validation()
    spec = compiled("question", answer=value["answer"])
    assert [option["key"] for option in controls(spec)["answer"]["options"]] == ["red", "blue", "green"]


@pytest.mark.django_db
def test_the_picker_shows_a_scale(admin_client: Any) -> None:
    html = preview("question", admin_client)
    assert html.count('type="radio"') == 11
    assert "not at all likely" in html and "very likely" in html
    assert "We use it for this: to learn what we should do better" in html
