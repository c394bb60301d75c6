"""What a save says it did: labels of the page, and of what people told of themselves no value."""

from __future__ import annotations

from typing import Any

import pytest

from wagtail_prefs.submissions.words import Words
from wagtail_prefs.values import Effect, Merged, MergeRule, Spec

SECRET = "Aa Bb"
VALUES = [SECRET, 7, True, [SECRET], {"code": "too_many", "text": SECRET}]
WORDS = Words(
    [
        Spec(
            "b1",
            "profile",
            {"controls": []},
            paths={
                "attribute:name": ("name", "Name"),
                "address:email": ("email", "New e-mail address"),
                "choice:news:email": ("choices.news.email", "News by e-mail"),
                "frequency:all": ("frequency.all", "How often: Everything"),
                "pause:all": ("until", "Pause: Everything"),
            },
        )
    ],
    "en",
)


def effect(path: str, before: Any, after: Any, action: str = "set") -> Effect:
    return Effect(path, before, after, action, "", "", None)


def holds_no_value(text: str) -> bool:
    return not any(word in text for word in (SECRET, "too_many", "7", "True", "[", "{"))


@pytest.mark.parametrize("value", VALUES)
def test_a_save_says_of_what_she_told_only_that_it_is_saved(value: Any) -> None:
    (line,) = WORDS.applied([effect("attribute:name", SECRET, value)])
    assert (line.path, line.text) == ("b1.name", "Name: saved")
    (gone,) = WORDS.applied([effect("attribute:name", value, None, "cleared")])
    assert gone.text == "Name: taken back"


def test_a_new_address_is_told_to_nobody() -> None:
    (line,) = WORDS.applied([effect("address:email", "old@person.example", "new@person.example")])
    assert line.text == "New e-mail address: saved"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("rule", ["newest", "changed", "stricter", "erased", "hidden", "refused"])
@pytest.mark.parametrize("path", ["attribute:name", "attribute:elsewhere", "address:email"])
def test_what_yielded_is_told_without_values(path: str, rule: MergeRule, value: Any) -> None:
    (line,) = WORDS.merged([Merged(path, value, value, rule)])
    assert holds_no_value(line.text)
    assert line.text.startswith(WORDS.where.get(path, ("", "elsewhere"))[1] + ": ")


def test_choices_are_told_with_their_value() -> None:
    (line,) = WORDS.applied([effect("choice:news:email", None, "subscribed", "given")])
    assert line.text == "News by e-mail: subscribed"
    (kept,) = WORDS.merged([Merged("choice:news:email", "subscribed", "unsubscribed", "stricter")])
    assert "“unsubscribed” stays" in kept.text


SOON, LATER, LONG_AGO = (
    "2100-03-02T23:00:00.000000Z",
    "2100-04-01T10:00:00.000000Z",
    "2020-01-01T00:00:00.000000Z",
)


@pytest.mark.parametrize(
    ("path", "before", "after", "expected"),
    [
        ("frequency:all", None, "weekly", "How often: Everything: At most one a week"),
        (
            "frequency:all",
            "daily",
            "weekly",
            "How often: Everything: At most one a week (before: At most one a day)",
        ),
        (
            "frequency:all",
            "weekly",
            None,
            "How often: Everything: nothing chosen (before: At most one a week)",
        ),
        ("pause:all", None, SOON, "Pause: Everything: until March 3, 2100"),
        ("pause:all", LATER, SOON, "Pause: Everything: until March 3, 2100 (before: until April 1, 2100)"),
        ("pause:all", SOON, None, "Pause: Everything: ended (before: until March 3, 2100)"),
        ("pause:all", LONG_AGO, SOON, "Pause: Everything: until March 3, 2100"),  # it was over by itself
        ("choice:news:email", "subscribed", "unsubscribed", "News by e-mail: unsubscribed"),
        ("choice:news:email", "unsubscribed", "subscribed", "News by e-mail: subscribed"),
    ],
)
def test_a_save_says_what_it_was_and_what_it_is(
    path: str, before: str | None, after: str | None, expected: str
) -> None:
    (line,) = WORDS.there("Europe/Berlin").applied([effect(path, before, after)])
    assert line.text == expected


def test_what_was_recorded_says_when_a_pause_was_ended() -> None:
    (line,) = WORDS.past([effect("pause:all", SOON, None, "cleared")])
    assert line.text == "Pause: Everything: ended"
