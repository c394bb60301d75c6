"""YAML is read strictly: what could be taken for another thing is refused, with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from wagtail_prefs.law.documents import MAX_BYTES, Unreadable, parse


def refused(text: str | bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        parse(text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


def test_plain_data_comes_with_its_lines() -> None:
    document = parse(b'a: 1\nb: [x, "NO", null, 2.5]\nc:\n  d: {e: true, f: "2026-11-21"}\n  g: 2026-11-21\n')
    assert document.data == {
        "a": 1,
        "b": ["x", "NO", None, 2.5],
        "c": {"d": {"e": True, "f": "2026-11-21"}, "g": "2026-11-21"},
    }
    assert document.lines["a",] == 1
    assert document.lines["b", "1"] == 2
    assert document.lines["c", "d", "f"] == 4
    assert document.lines["c", "g"] == 5


@pytest.mark.parametrize("word", "yes Yes YES no No NO on On ON off Off OFF".split())
@pytest.mark.parametrize("text", ["{0}: 1", "a: {0}", "a: [DE, {0}]", "a:\n  {0}: {{v: 1}}"])
def test_words_that_yaml_takes_for_a_truth_need_quotes(word: str, text: str) -> None:
    said = refused(text.format(word))
    assert f'write "{word}"' in said
    assert f"line {text.count(chr(10), 0, text.index('{0}')) + 1}" in said
    parse(text.format(f'"{word}"').encode())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "a (line 3): stands here a second time"),
        ("a: {b: 1, c: {d: 1, d: 1}}", "a.c.d (line 1): stands here a second time"),
        ('a: 1\n"a": 2', "a (line 2): stands here a second time"),
        ("1: a", "'1' is no text"),
        ("true: a", "'true' is no text"),
        ("a: &x 1\nb: *x", "line 1: anchors and aliases are refused"),
        ("a: 1\nb: *x", "line 2: anchors and aliases are refused"),
        ("a: &x [1]", "anchors"),
        ("a: !!python/object/apply:os.system [ls]", "tags are refused"),
        ("a: !!str 1", "tags are refused"),
        ("!local {a: 1}", "tags are refused"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: [1", "line 1: expected ',' or ']'"),
        ("a: b: c", "line 1"),
        ("\ta: 1", "line 1"),
        ("? [1, 2]\n: 3", "is no text"),
        (b"a: \xff", "byte 3 is not UTF-8"),
        ("a: \x00", "special characters are not allowed"),
        ("[" * 100_000, "line 1: nested too deeply"),
        ("a: " * 20 + "1", "line 1"),
        ("\n".join(" " * n + "a:" for n in range(40)), "nested too deeply"),
        ("a" * (MAX_BYTES + 1), "larger than 1024 KiB"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refused(text: str | bytes, problem: str) -> None:
    assert problem in refused(text)


@pytest.mark.parametrize(
    "text", ["012", "0x1F", "1_000", "20:30", ".inf", ".nan", "1e9", "+1", "=", "<<", "9" * 30]
)
def test_what_is_no_plain_number_is_text(text: str) -> None:
    assert parse(f"a: {text}".encode()).data == {"a": text}


def test_an_empty_file_is_nothing() -> None:
    assert parse(b"").data is None
    assert parse(b"# only a comment\n").data is None


@settings(max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=60), st.text(alphabet="ab:{}[]&*!|>-?,#\"' \n\tNO~0", max_size=40).map(str.encode)
    )
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    problems = ["none: it was read"]
    try:
        parse(raw)
    except Unreadable as refusal:
        problems = refusal.problems
    assert problems
