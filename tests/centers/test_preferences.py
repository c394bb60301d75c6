"""What one contact sees beside the document: her answers, masked, and what to expect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from tests.blocks.conftest import compiled, state
from tests.centers.test_answers import snapshot
from wagtail_prefs.blocks.base import control
from wagtail_prefs.canonical import canonical
from wagtail_prefs.centers.services import Snapshot, outlook, preferences
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Json, Key, Pause


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


def paused(*keys: Key, zone: str = "", at: datetime = datetime(2027, 3, 2, 23, tzinfo=UTC)) -> ContactState:
    return state(pauses={key: Pause(at) for key in keys}, timezone=zone)


def test_the_outlook_says_what_is_paused_until_which_day() -> None:
    held = paused(("news", ""), ("", "sms"), ("", ""), ("secret", ""), ("gone", ""), zone="Europe/Berlin")
    assert [said.text for said in outlook(snapshot("topics"), held) if said.kind == "pause"] == [
        "Paused until March 3, 2027.",  # where she lives it is the 3rd already
        "Text message: paused until March 3, 2027.",
        "News: paused until March 3, 2027.",
    ]
    german = replace(snapshot("topics"), locale="de", digest="de")
    assert "3. März 2027" in outlook(german, paused(("", ""), zone="Europe/Berlin"))[0].text


def test_a_topic_that_can_only_be_paused_here_is_named() -> None:
    shown = snapshot(pause=compiled("pause", lengths=[]))
    shown = make_snapshot(shown.document, [spec for spec in shown.specs if spec.block_id == "pause"])
    assert [said.text for said in outlook(shown, paused(("news", ""), zone="UTC"))] == [
        "News: paused until March 2, 2027."
    ]


def test_a_pause_that_is_over_is_not_told_of() -> None:
    held = paused(("", ""), at=timezone.now() - timedelta(seconds=1))
    assert [said.kind for said in outlook(snapshot("topics"), held)] == ["topics", "topics"]


def test_whoever_left_is_not_told_of_pauses() -> None:
    held = replace(paused(("", "")), opted_out=True)
    assert [said.kind for said in outlook(snapshot(), held)] == ["opted_out"]


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
