"""What one contact sees beside the document: her answers, masked, and what to expect."""

from __future__ import annotations

from tests.blocks.conftest import state
from tests.centers.test_answers import snapshot
from wagtail_prefs.canonical import canonical
from wagtail_prefs.centers.services import outlook, preferences
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED


def test_the_preferences_are_what_the_reference_says() -> None:
    shown = snapshot()
    held = state(version=7, choices={("news", "email"): SUBSCRIBED})
    found = preferences(shown, held, "anna@mail.example.org", assurance="link")
    assert found == {
        "version": 7,
        "revision": shown.digest,
        "assurance": "link",
        "contact": {"email": "a***@m***.org"},
        "answers": {"topics": {"choices": {"news": {"email": True}}}},
        "pending": [],
        "private": {},
        "hidden": [],
        "records": {},
        "outlook": [
            {"text": "E-mail: you get 1 of 3 topics.", "kind": "topics"},
            {"text": "Text message: you get 0 of 2 topics.", "kind": "topics"},
        ],
    }
    assert b"anna" not in canonical(found)


def test_a_pending_choice_is_not_promised() -> None:
    held = state(choices={("news", "email"): SUBSCRIBED}, pending=frozenset({("news", "email")}))
    assert outlook(snapshot("topics"), held)[0].text == "E-mail: you get 0 of 3 topics."


def test_after_an_opt_out_there_is_one_sentence() -> None:
    held = state(opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    assert [sentence.kind for sentence in outlook(snapshot(), held)] == ["opted_out"]


def test_a_center_without_topics_promises_nothing() -> None:
    assert outlook(snapshot("unsubscribe_all"), state()) == []
