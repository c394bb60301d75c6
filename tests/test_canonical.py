"""Canonical JSON: one byte form for one value, and no form for what another language would read differently."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from wagtail_prefs.canonical import MAX_INT, canonical, sha256_hex

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values)
def test_the_bytes_read_back_to_the_value_and_are_stable(value: object) -> None:
    data = canonical(value)
    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data


def test_keys_are_ordered_by_utf16_units_as_rfc_8785_asks() -> None:
    # The example of RFC 8785 s3.2.3: the emoji's surrogates sort before U+FB33.
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    given_order = list(json.loads(canonical(dict.fromkeys(keys, 0))))
    assert given_order == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize("value", [1.0, float("nan"), b"x", {1: 2}, {"a": {2}}, object()])
def test_what_is_not_plain_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), "\ud800", {"\udfff": 1}])
def test_what_other_languages_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(value)


def test_digest_vector() -> None:
    expected = "43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777"
    assert sha256_hex({"b": 2, "a": 1}) == expected  # sha256 of {"a":1,"b":2}
