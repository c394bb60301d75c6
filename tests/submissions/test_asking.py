"""What somebody new may answer: judged from values alone, so these tests have no database."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from tests.blocks.conftest import VALUES, compiled
from tests.centers.test_answers import snapshot
from tests.properties import examples
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.errors import InvalidAnswers
from wagtail_prefs.submissions.asking import check_answers, counted_as, kept, public

YES = {"topics": {"choices": {"news": {"email": True}}}}


def page(**spoil: Any) -> Snapshot:
    """A center of every block; `spoil` replaces fields of the spec of that name."""
    found = snapshot(*VALUES)
    specs = [replace(spec, **spoil.get(spec.block_id, {})) for spec in found.specs]
    return make_snapshot(dict(found.document), specs)


def with_private() -> Snapshot:
    """The same with offers private, as the topics block compiles it."""
    spec = compiled("topics")
    matrix = next(one for one in spec.document["controls"] if one["name"] == "choices")
    offers = next(row for row in matrix["rows"] if row["key"] == "offers")
    shown = {**matrix, "rows": [row for row in matrix["rows"] if row["key"] != "offers"]}
    document = {
        **spec.document,
        "controls": [shown if one["name"] == "choices" else one for one in spec.document["controls"]],
    }
    rules = {**spec.rules, "private": {"choices": [offers]}}
    return page(topics={"document": {**document, "id": "topics"}, "rules": rules})


def refusal(shown: Snapshot, answers: Any) -> dict[str, Any] | None:
    try:
        check_answers(shown, answers)
    except InvalidAnswers as refused:
        return {block: dict(fields) for block, fields in refused.errors.items()}
    return None


def test_a_yes_is_taken() -> None:
    assert refusal(page(), YES) is None


def test_a_block_with_conditions_is_not_for_somebody_new() -> None:
    closed = page(frequency={"conditions": ({"fact": "subscribed", "in": ["news"]},)})
    wish = {**YES, "frequency": {"frequency": {"all": "weekly"}}}
    assert refusal(page(), wish) is None
    assert refusal(closed, wish) == {"frequency": {"__all__": ["This is not offered here."]}}


def test_what_is_for_readers_of_a_language_is_for_who_reads_it() -> None:
    german = page(topics={"conditions": ({"fact": "language", "in": ["de"]},)})
    english = page(topics={"conditions": ({"fact": "language", "in": ["en"]},)})
    assert refusal(english, YES) is None
    assert refusal(german, YES) == {"topics": {"__all__": ["This is not offered here."]}}


def test_the_private_topic_of_these_tests_is_one_that_members_could_answer() -> None:
    wish = {"topics": {"choices": {"offers": {"email": True}}}}
    assert refusal(page(), wish) is None
    assert refusal(with_private(), wish) == {
        "topics": {"choices.offers": ["This center does not offer that."]}
    }


def test_a_form_for_everybody_does_not_know_the_names_of_private_topics() -> None:
    shown = with_private()
    named = {where for spec in public(shown).specs for where, _label in spec.paths.values()}
    assert "choices.news.email" in named
    assert not [where for where in named if "offers" in where]
    assert any("offers" in where for spec in shown.specs for where, _label in spec.paths.values())
    assert public(shown).digest == shown.digest


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [*VALUES, "choices", "frequency", "news", "offers", "email", "opted_out", "", "x", "offers ", "__all__"]
)
_ANSWERS = st.dictionaries(
    _NAMES,
    st.dictionaries(
        _NAMES,
        st.dictionaries(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=2) | _VALUES, max_size=3) | _VALUES,
        max_size=2,
    ),
    max_size=3,
)


@pytest.mark.property
@examples(150)
@given(_ANSWERS)
def test_whatever_is_answered_is_taken_or_refused_in_words(answers: Any) -> None:
    shown = with_private()
    found = refusal(shown, answers)
    assert found is None or json.dumps(found)


@pytest.mark.property
@examples(150)
@given(_ANSWERS, st.dictionaries(_NAMES, _VALUES, max_size=2) | _VALUES)
def test_a_private_topic_is_refused_in_the_words_for_one_that_there_is_not(answers: Any, about: Any) -> None:
    """security.md AB-08, whatever else is answered."""
    assume("nowhere" not in json.dumps(answers))

    def told(topic: str) -> str:
        topics = answers.get("topics", {})
        choices = topics.get("choices", {})
        choices = (
            {name: value for name, value in choices.items() if name != "offers"}
            if isinstance(choices, dict)
            else {}
        )
        wish = {**answers, "topics": {**topics, "choices": {**choices, topic: about}}}
        found = refusal(with_private(), wish)
        assert found is not None
        return json.dumps(found, sort_keys=True).replace(f'"choices.{topic}"', '"choices.?"')

    assert told("offers") == told("nowhere")


@pytest.mark.property
@examples(300)
@given(st.text(max_size=300) | st.emails())
def test_anything_typed_can_be_counted_and_kept(typed: str) -> None:
    assert counted_as(typed) == counted_as(f" {typed}\t")
    row = kept(typed)
    assert len(row) <= 254
    assert "\0" not in row
    assert row in {"", typed.strip()}


def test_what_is_too_long_is_not_cut_into_somebody_elses_address() -> None:
    assert kept("anna@mail.example.org" + " " * 300) == "anna@mail.example.org"
    assert kept("x@mail.example.org" + "x" * 250) == ""
