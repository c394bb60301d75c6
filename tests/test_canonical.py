"""Canonical JSON: one byte form for one value, and no form for what another language would read differently."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
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


def spelled_out(value: object) -> str:
    """RFC 8785 once more and as plainly as can be, for integers only."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        members = (f"{json.dumps(key, ensure_ascii=False)}:{spelled_out(value[key])}" for key in keys)
        return f"{{{','.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(spelled_out, value))}]"
    return json.dumps(value, ensure_ascii=False)


class Word(enum.StrEnum):
    ONE = "one"


ascii_texts = st.text(st.characters(max_codepoint=127), max_size=5)
mixed = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | texts | st.just(Word.ONE),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(ascii_texts, inner)
        | st.dictionaries(texts, inner)
        | st.builds(MappingProxyType, st.dictionaries(ascii_texts, inner))
    ),
    max_leaves=20,
)


@pytest.mark.property
@examples(300)
@given(mixed)
def test_the_quick_way_and_the_long_way_spell_alike(value: object) -> None:
    def plain(one: object) -> object:
        if isinstance(one, Mapping):
            return {key: plain(item) for key, item in one.items()}
        return [plain(item) for item in one] if isinstance(one, list | tuple) else one

    assert canonical(value).decode() == spelled_out(plain(value))


@pytest.mark.property
@examples(200)
@given(
    mixed, st.sampled_from([1.5, b"x", 2**53, -(2**53), float("inf"), object(), {1: 2}, {True: 0}, "\ud800"])
)
def test_what_is_refused_is_refused_however_deep_it_stands(around: object, bad: object) -> None:
    for value in ([around, bad], {"a": around, "b": [bad]}, {"\u00e9": {"z": (bad,)}, "a": around}):
        with pytest.raises((TypeError, ValueError)):
            canonical(value)


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
