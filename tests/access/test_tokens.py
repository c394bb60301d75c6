"""Tokens: nothing but the exact bytes we signed, for the kind we signed them for, opens anything."""

from __future__ import annotations

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st

from wagtail_prefs import keys
from wagtail_prefs.access.tokens import MAX_LENGTH, sign, verify
from wagtail_prefs.errors import BadToken

PAYLOAD = {"p": "manage", "l": "AAAAAAAAAAAAAAAAAAAAAA", "a": 1, "e": 0, "i": 1795305600}
OLD = {"kid": "old", "key": "an-old-key-that-is-long-enough-0123456789abcdef", "created": "2025-01-01"}
NEW = {"kid": "new", "key": "a-new-key-that-is-long-enough-0123456789abcdefg", "created": "2026-01-01"}


def test_what_was_signed_reads_back() -> None:
    assert verify("v1", sign("v1", PAYLOAD)) == PAYLOAD


def test_every_flipped_bit_and_every_truncation_is_refused() -> None:
    token = sign("v1", PAYLOAD)
    tried = 0
    for index, char in enumerate(token):
        for bit in range(7):
            other = token[:index] + chr(ord(char) ^ (1 << bit)) + token[index + 1 :]
            with pytest.raises(BadToken):
                verify("v1", other)
            tried += 1
        with pytest.raises(BadToken):
            verify("v1", token[:index])
    assert tried == 7 * len(token)


@given(st.text(max_size=600))
def test_no_text_is_a_token_or_a_crash(text: str) -> None:
    with pytest.raises(BadToken):
        verify("v1", text)


@pytest.mark.parametrize("made", ["v1", "c1", "s1"])
@pytest.mark.parametrize("used", ["v1", "c1", "s1", "v2"])
def test_a_token_of_one_kind_is_none_of_another(made: str, used: str) -> None:
    token = sign(made, PAYLOAD)
    if made == used:
        assert verify(used, token) == PAYLOAD
        return
    with pytest.raises(BadToken):
        verify(used, token)
    with pytest.raises(BadToken):
        verify(used, used + token[2:])  # nor by renaming it


def test_too_long_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(BadToken):
        verify("v1", sign("v1", {**PAYLOAD, "t": "x" * MAX_LENGTH}))


def test_an_old_key_still_verifies_after_a_rotation_and_a_removed_one_does_not() -> None:
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": [OLD]}):
        token = sign("v1", PAYLOAD)
    with override_settings(
        WAGTAIL_PREFS={"SIGNING_KEYS": [NEW, OLD]}, SECRET_KEY="rotated as well, it does not matter"
    ):
        assert verify("v1", token) == PAYLOAD
        assert sign("v1", PAYLOAD).split(".")[1] == "new"
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": [NEW]}), pytest.raises(BadToken):
        verify("v1", token)


def test_purposes_cannot_be_spelled_into_each_other() -> None:
    """CVE-2026-6873's class: "a" + "bc" must not be "ab" + "c"."""
    key = "0123456789abcdef0123456789abcdef"
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": [{"kid": "k", "key": key}]}):
        parts = ["a", "b", "ab", "bc", "abc", "c", '","', "\n", ""]
        seen = {keys.mac(purpose, message.encode())[1] for purpose in parts for message in parts}
        assert len(seen) == len(parts) ** 2
