"""Lists, numbers, texts and taking back, as the element sends them."""

from __future__ import annotations

import pytest

from tests import factories
from tests.api.conftest import SHOP, Visit
from tests.blocks.asking import asking
from wagtail_prefs.contacts.services import load_state


@pytest.fixture
def asked(db: None) -> Visit:
    site = factories.make_site(origins=[SHOP])
    visit = Visit(
        factories.make_center(asking(), site=site, host_pages=f"{SHOP}/mail"), factories.make_contact()
    )
    visit.enter()
    return visit


def test_answers_are_saved_shown_and_taken_back(asked: Visit) -> None:
    saved = asked.patch(
        asked.body(
            {"question": {"answer": ["blue", "red"]}, "profile": {"country": "AT"}, "role": {"role": "press"}}
        )
    ).json()
    held = {"question": {"answer": ["red", "blue"]}, "profile": {"country": "AT"}, "role": {"role": "press"}}
    assert saved["preferences"]["answers"] == held
    assert load_state(asked.contact.pk).attributes == {
        "colour": ["red", "blue"],
        "country": "AT",
        "role": "press",
    }
    nothing = {"question": {"answer": []}, "profile": {"country": None}, "role": {"role": None}}
    gone = asked.patch(asked.body(nothing, saved["version"])).json()
    assert gone["preferences"]["answers"] == {}
    assert load_state(asked.contact.pk).attributes == {}
    back = asked.undo(gone["receipt"]).json()
    assert back["preferences"]["answers"] == held


def test_what_is_said_of_a_save_holds_no_answer(asked: Visit) -> None:
    said = asked.patch(asked.body({"question": {"answer": ["blue"]}, "profile": {"country": "AT"}})).json()
    assert said["applied"] == [
        {"path": "question.answer", "text": "Which colour?: saved"},
        {"path": "profile.country", "text": "Country: saved"},
    ]
    # Another tab, still on the screen of before.
    late = asked.patch(asked.body({"question": {"answer": ["red"]}})).json()
    texts = [line["text"] for line in [*late["applied"], *late["merged"]]]
    assert texts
    assert not any(word in text for text in texts for word in ("blue", "red", "["))


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"question": {"answer": ["black"]}}, "answer"),
        ({"question": {"answer": "blue"}}, "answer"),
        ({"question": {"colour": ["blue"]}}, "colour"),
        ({"role": {"role": "admin"}}, "role"),
        ({"profile": {"country": "XX"}}, "country"),
        ({"profile": {"street": "Elm Street"}}, "street"),
    ],
)
def test_what_is_not_asked_is_refused_in_words(
    asked: Visit, answers: dict[str, dict[str, object]], field: str
) -> None:
    refused = asked.patch(asked.body(answers))
    assert refused.status_code == 422
    (block_id,) = answers
    assert refused.json()["errors"][block_id].keys() == {field}
    assert load_state(asked.contact.pk).version == 0
