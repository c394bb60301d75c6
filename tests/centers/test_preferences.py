"""What one contact sees beside the document: her answers, masked, and what to expect."""

from __future__ import annotations

from dataclasses import replace

from tests.blocks.conftest import state
from tests.centers.test_answers import snapshot
from wagtail_prefs.blocks.base import control
from wagtail_prefs.canonical import canonical
from wagtail_prefs.centers.services import Snapshot, outlook, preferences
from wagtail_prefs.centers.values import make_snapshot
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


def test_what_is_not_for_her_is_neither_told_nor_counted() -> None:
    shown = special()
    guest = state(country="AT")
    member = state(country="AT", attributes={"invited": ["secret"]})
    found = preferences(shown, guest, "anna@mail.example.org")
    assert found["hidden"] == ["frequency"]
    assert found["private"] == {}
    assert found["outlook"][0]["text"] == "E-mail: you get 0 of 3 topics."
    found = preferences(shown, member, "anna@mail.example.org")
    assert [row["key"] for row in found["private"]["topics"]["choices"]] == ["secret"]
    assert found["outlook"][0]["text"] == "E-mail: you get 0 of 4 topics."


def special() -> Snapshot:
    """A center with a private topic, a block for Germany, and a personal field."""
    plain = snapshot("topics", "frequency")
    topics, frequency = plain.specs
    phone = control("text", "phone", "Phone", personal=True)
    topics = replace(
        topics,
        document={**topics.document, "controls": [*topics.document["controls"], phone]},
        rules={**topics.rules, "private": {"choices": [{"key": "secret", "label": "Secret"}]}},
        paths={**topics.paths, "choice:secret:email": ("choices.secret.email", "Secret by e-mail")},
    )
    frequency = replace(frequency, conditions=({"fact": "country", "in": ["DE"]},))
    return make_snapshot(
        {**plain.document, "blocks": [topics.document, frequency.document]}, [topics, frequency]
    )
