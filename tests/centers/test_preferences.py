"""What one contact sees beside the document: her answers, masked, and what to expect."""

from __future__ import annotations

from dataclasses import replace

from tests.blocks.conftest import compiled, state
from tests.centers.test_answers import snapshot
from wagtail_prefs.blocks.base import control
from wagtail_prefs.canonical import canonical
from wagtail_prefs.centers.services import Snapshot, preferences
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.values import SUBSCRIBED, Json


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
        "hidden": ["your_data.export", "your_data.erase"],  # of a page with all blocks
        "records": {},
        "outlook": [
            {"text": "E-mail: you get 1 of 3 topics.", "kind": "topics"},
            {"text": "Text message: nothing.", "kind": "nothing"},
            {"text": "These messages still come: Orders.", "kind": "always"},
        ],
    }
    assert b"anna" not in canonical(found)


def test_what_is_not_for_her_is_neither_told_nor_counted() -> None:
    shown = special()
    yes = {("news", "email"): SUBSCRIBED}
    guest = state(country="AT", choices=yes)
    member = state(country="AT", choices=yes, attributes={"invited": ["secret"]})
    found = preferences(shown, guest, "anna@mail.example.org")
    assert found["hidden"] == ["frequency"]
    assert found["private"] == {}
    assert found["outlook"][0]["text"] == "E-mail: you get 1 of 3 topics."
    found = preferences(shown, member, "anna@mail.example.org")
    assert [row["key"] for row in found["private"]["topics"]["choices"]] == ["secret"]
    assert found["outlook"][0]["text"] == "E-mail: you get 1 of 4 topics."


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


def test_what_was_recorded_is_asked_for_once_and_only_where_it_is_shown() -> None:
    asked: list[int] = []

    def records(limit: int) -> list[Json]:
        asked.append(limit)
        return [{"title": str(number)} for number in range(limit)]

    few, many = replace(compiled("history", entries=2), block_id="few"), compiled("history", entries=7)
    shown = preferences(snapshot("topics", few=few, many=many), state(), "", records=records)
    assert asked == [7]
    assert [len(shown["records"][block]) for block in ("few", "many")] == [2, 7]
    assert preferences(snapshot("topics"), state(), "", records=records)["records"] == {}
    hidden = replace(many, conditions=({"fact": "country", "in": ["DE"]},))
    assert preferences(snapshot("topics", many=hidden), state(), "", records=records)["records"] == {}
    assert asked == [7]
