"""The border: only our JSON gets in."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from wagtail_prefs.api.body import MAX_DEPTH, only, parse
from wagtail_prefs.errors import BodyRefused

BAD = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"a":1,}',
    b'{"a":1} x',
    b"{'a':1}",
    b'{"a":1,"a":1}',
    b'{"a":{"b":1,"b":2}}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":1.0}',
    b'{"a":1e3}',
    b'{"a":9007199254740992}',
    b'{"a":' + b"9" * 400 + b"}",
    b'{"a":"\\ud800"}',
    b'{"\\udc00":1}',
    b'{"a":"\\u0000"}',
    b'{"a":["\\ud83d"]}',
    b'{"a":{"\\u0000":1}}',
    b'{"a":"\\ude00\\ud83d"}',
    b'{"a":"\xed\xa0\x80"}',  # a surrogate in what looks like UTF-8
    b'{"a":"\x00"}',
    b'{"a":"\xff"}',
    b'\xef\xbb\xbf{"a":1}',
    b'{"a":' + b"[" * 100_000,
    b'{"a":' * 17 + b"1" + b"}" * 17,
    json.dumps({str(number): 1 for number in range(1001)}).encode(),
    '{"a":1}'.encode("utf-16"),
]


@pytest.mark.parametrize("raw", BAD, ids=range(len(BAD)))
def test_what_is_not_our_json_is_refused_with_400(raw: bytes) -> None:
    with pytest.raises(BodyRefused) as caught:
        parse(raw)
    assert caught.value.status == 400


def test_depth_sixteen_is_the_deepest_and_brackets_in_strings_are_no_depth() -> None:
    assert parse(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)
    assert parse(json.dumps({"a": "[{" * 50 + '\\"[[[[' * 9}).encode())


def test_what_escapes_spell_properly_gets_in() -> None:
    assert parse(b'{"a":"\\ud83d\\ude00 \\\\u0000 \\u00e9"}') == {"a": "\U0001f600 \\u0000 \u00e9"}


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_but_never_crash(raw: bytes) -> None:
    with suppress(BodyRefused):  # anything else raised fails the test
        assert isinstance(parse(raw), dict)


@pytest.mark.parametrize("body", [{}, {"n": True}, {"n": "1"}, {"n": 1, "extra": 1}, {"n": None}, {"n": 1.5}])
def test_keys_and_types_are_exact(body: dict[str, object]) -> None:
    with pytest.raises(BodyRefused):
        only(body, n=int)
    only({"n": 1}, n=int)
