"""The blocks that ask, as the page without JavaScript draws them, and what its form then says."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, strategies as st

from tests import pages
from tests.blocks.asking import HER_ACT, initial, question, valid
from tests.blocks.conftest import compiled, context, state
from tests.blocks.test_question import KINDS
from tests.properties import examples
from wagtail_prefs.blocks.registry import block_class
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.centers.form import form_to_answers
from wagtail_prefs.centers.labels import labels
from wagtail_prefs.centers.values import Snapshot, make_snapshot
from wagtail_prefs.centers.visibility import MASK, told
from wagtail_prefs.contacts.rules import apply
from wagtail_prefs.values import Assurance, ContactState, Spec


def of(*specs: Spec) -> Snapshot:
    """A center of these blocks."""
    document = {
        "format": 1,
        "center": str(uuid.UUID(int=1)),
        "locale": "en",
        "direction": "ltr",
        "title": "Choices",
        "page_url": "https://brand.example/choices/",
        "blocks": [spec.document for spec in specs],
        "labels": labels(),
    }
    return make_snapshot(document, specs)


def named(spec: Spec, block_id: str) -> Spec:
    return replace(spec, block_id=block_id, document={**spec.document, "id": block_id})


def page_of(center: Snapshot, held: ContactState, assurance: Assurance = "fresh") -> pages.Element:
    answers = {spec.block_id: found for spec in center.specs if (found := initial(spec, held))}
    seen = {
        "version": 7,
        "assurance": assurance,
        "contact": {"email": "a***@e***.org"},
        "answers": told(center, answers, (), assurance),
    }
    return pages.center(draw(center.document, seen))


def sent(center: Snapshot, page: pages.Element, typed: dict[str, list[str]] | None = None) -> Any:
    """The answers that the form holds, after somebody typed into it."""
    query = QueryDict(mutable=True)
    for name, values in {**pages.submitted(page, {"idempotency_key": "k1"}), **(typed or {})}.items():
        query.setlist(name, values)
    return form_to_answers(center, query).answers


SPECS = {kind: named(question(kind, **KINDS[kind]), kind) for kind in KINDS}
QUESTIONS = of(*SPECS.values())
PROFILE = named(compiled("profile", replace(context(), changes_address=True)), "profile")
REASON = named(compiled("reason"), "reason")
LEAVING = replace(compiled("unsubscribe_all"), block_id="b0")
LEAVING = named(LEAVING, "b0")
line = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@pytest.mark.property
@examples(40)
@given(data=st.data())
def test_what_is_typed_is_saved_and_drawn_again_and_nothing_else_is_sent(data: st.DataObject) -> None:
    written = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "one_of.answer": st.sampled_from(["red", "blue"]).map(lambda key: [key]),
                "many_of.answer": st.lists(
                    st.sampled_from(["red", "blue", "green"]), unique=True, min_size=1
                ),
                "scale.answer": st.integers(0, 10).map(lambda step: [str(step)]),
                "text.answer": line.map(lambda text: [text]),
                "date.answer": st.dates(KINDS["date"]["first"]).map(lambda day: [day.isoformat()]),
            },
        )
    )
    # One question of each kind, as five contacts would answer them: their keys are the same.
    for name, given_values in written.items():
        kind = name.partition(".")[0]
        spec = SPECS[kind]
        answers = sent(QUESTIONS, page_of(QUESTIONS, state()), {name: given_values})
        assert answers.keys() == {kind}
        changes = block_class(spec.type).changes(spec, valid(spec, answers[kind]))
        held, _effects = apply(state(), changes, HER_ACT)
        center = of(spec)
        page = page_of(center, held)
        assert sent(center, page) == {}
        assert set(pages.submitted(page)[name]) == set(given_values)


@pytest.mark.parametrize(
    ("kind", "value", "nothing"),
    [("text", "Aa", [""]), ("date", "2026-03-31", [""]), ("many_of", ["red"], [])],
)
def test_what_can_be_emptied_is_taken_back(kind: str, value: Any, nothing: list[str]) -> None:
    spec = SPECS[kind]
    center, held = of(spec), state(attributes={"recommend": value})
    answers = sent(center, page_of(center, held), {f"{kind}.answer": nothing})
    changes = block_class(spec.type).changes(spec, valid(spec, answers[kind]))
    assert apply(held, changes, HER_ACT)[0].attributes == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_personal_answer_is_masked_whatever_its_kind(kind: str) -> None:
    spec = named(question(kind, **{**KINDS[kind], "personal": True}), kind)
    value = {"one_of": "red", "many_of": ["red", "blue"], "scale": 7, "text": "Aa", "date": "2026-03-31"}[
        kind
    ]
    center, held = of(spec), state(attributes={"recommend": value})
    page = page_of(center, held, "link")
    shown = page.one("input", id=f"{kind}.answer")
    assert (shown.get("value"), "readonly" in shown, shown.get("name")) == (MASK, True, None)
    assert page.one("label", **{"for": f"{kind}.answer"}).words == "Would you recommend us?"
    assert len([one for one in page.all() if one.get("id") == f"{kind}.answer"]) == 1
    assert not [one for one in page.all("input", "select") if "checked" in one]
    assert sent(center, page) == {}
    unanswered = page_of(center, state(), "link")
    assert unanswered.one("input", id=f"{kind}.answer").get("value") == ""
    # With a fresh link it is there, and says what it is.
    assert sent(center, page_of(center, held)) == {}
    assert str(value if kind != "many_of" else value[0]) in str(pages.submitted(page_of(center, held)))


def test_a_scale_has_its_ends_and_its_steps() -> None:
    page = page_of(QUESTIONS, state(attributes={"recommend": 0}))
    steps = [one for one in page.all("input") if one.get("name") == "scale.answer"]
    assert [one.get("value") for one in steps] == [str(step) for step in range(11)]
    assert [one.get("value") for one in steps if "checked" in one] == ["0"]
    assert "Never" in page.one("fieldset", id="scale.answer").text


def test_a_profile_is_filled_in_by_the_browser_and_its_limits_hold() -> None:
    page = page_of(of(PROFILE), state(attributes={"given_name": "<b>Aa</b>", "country": "DE"}))
    name = page.one("input", id="profile.given_name")
    assert (name.get("value"), name.get("autocomplete"), name.get("maxlength")) == (
        "<b>Aa</b>",
        "given-name",
        "200",
    )
    assert page.one("input", id="profile.phone").get("type") == "tel"
    assert page.one("input", id="profile.email").get("type") == "email"
    assert "autocomplete" not in page.one("input", id="profile.nickname")
    country = page.one("select", id="profile.country")
    assert country.get("autocomplete") == "country"
    assert [one.get("value") for one in country.all("option")] == ["AT", "DE", "UY"]
    assert next(page.one("select", id="profile.language").all("option")).get("value") == ""


def test_of_a_profile_an_old_mail_opens_country_and_language_only() -> None:
    held = state(attributes={"given_name": "Aa", "phone": "+4930123456", "nickname": "Bb", "country": "DE"})
    page = page_of(of(PROFILE), held, "link")
    open_to_all = {
        one.get("name") for one in page.all("input", "select") if (one.get("name") or "").startswith("p")
    }
    assert open_to_all == {"profile.country", "profile.language"}
    assert "Aa" not in page.text and "+4930123456" not in str([one.attributes for one in page.all()])
    assert page.one("input", id="profile.given_name").get("value") == MASK
    assert page.one("input", id="profile.city").get("value") == ""


def test_the_reason_is_asked_of_who_has_left_and_of_nobody_else() -> None:
    center = of(LEAVING, REASON)
    before = page_of(center, state(), "link")
    assert not [one for one in before.all("section") if "pc-reason" in (one.get("class") or "")]
    after = page_of(center, state(opted_out=True, attributes={"reason_text": "Too loud."}), "link")
    assert "Before you go" in after.text and "Too loud." not in after.text
    assert after.one("textarea", name="reason.reason_text").text == ""
    answers = sent(center, after, {"reason.reason": ["other"], "reason.reason_text": ["Too\r\nloud."]})
    assert answers == {"reason": {"reason": "other", "reason_text": "Too\nloud."}}
    again = page_of(center, state(opted_out=True, attributes={"reason": {"code": "other"}}), "link")
    assert pages.submitted(again)["reason.reason"] == ["other"]
