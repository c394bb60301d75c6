"""Answers: waits that platforms ask for in their own ways, bodies that are no JSON, words that may be logged."""

from __future__ import annotations

import pytest

from wagtail_prefs.backends.answers import Answer, parse_reset, word
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.values import Outcome

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("0", 0),
        ("42", 42),
        ("1800000060", 60),  # seconds since 1970
        ("1800000060000", 60),  # milliseconds
        ("1799999999", 0),
        ("99999999", 86_400),
        ("1" * 21, None),
    ],
)
def test_when_a_limit_ends(value: str | None, seconds: float | None) -> None:
    assert parse_reset(value, NOW) == seconds


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a":', b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 60_000, b"1" * 5_000],
)
def test_what_is_no_json_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(PlatformError) as caught:
        Answer(200, {}, body).json()
    assert (caught.value.outcome, caught.value.code) == (Outcome.RETRY, "not-json")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("invalid_parameter", "invalid_parameter"),
        ("Member In Compliance State", "member-in-compliance-state"),
        ("REQUEST_LIMIT_EXCEEDED", "request_limit_exceeded"),
        ("http-422", "http-422"),
        ("anna@mail.example.org is not valid", ""),
        ("+49 170 1234567", ""),
        ("contact.4917012345678", ""),
        ("Ungültig", ""),
        ("a\x00b", ""),
        ("x" * 65, ""),
        ("", ""),
        (None, ""),
        (42, ""),
        ({"code": "x"}, ""),
    ],
)
def test_only_a_word_is_kept_of_what_a_platform_says(said: object, kept: str) -> None:
    assert word(said) == kept
