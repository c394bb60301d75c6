"""One spelling for every token: base64url without padding, and nothing that only decodes to the same."""

from __future__ import annotations

import base64
import string
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.ids import b64, unb64

ALPHABET = string.ascii_letters + string.digits + "-_"


@pytest.mark.property
@examples(200)
@given(st.binary(max_size=80))
def test_it_is_the_standard_librarys_without_padding(data: bytes) -> None:
    assert b64(data) == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert unb64(b64(data)) == data


@pytest.mark.property
@examples(500)
@given(
    st.one_of(
        st.text(ALPHABET, max_size=12), st.text(ALPHABET + "+/=\n é\ud800", max_size=8), st.text(max_size=8)
    )
)
def test_what_is_read_would_be_written_the_same(text: str) -> None:
    with suppress(ValueError):  # refused
        assert b64(unb64(text)) == text


@pytest.mark.parametrize(
    "text", ["QQ==", "QR", "Q", "QUI=", "QU I", "Q\nQ", "+-8", "/-8", "QQé", "QQ\ud800", "QQ==QQ", "é", "="]
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        unb64(text)
