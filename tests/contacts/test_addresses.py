"""One mailbox, one contact - in whatever spelling; and nothing shown that a forwarded mail should not show."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings

from wagtail_prefs.contacts.addresses import address_key, address_keys, canonical_email, masked


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Reader@Example.ORG", "reader@example.org"),
        (" reader@example.org\n", "reader@example.org"),
        ("ｒｅａｄｅｒ@example.org", "reader@example.org"),
        ("reader@BÜCHER.example", "reader@bücher.example"),
        ("reader@bücher.example", "reader@xn--bcher-kva.example"),
    ],
)
def test_two_spellings_of_one_mailbox_have_one_key(one: str, other: str) -> None:
    assert canonical_email(one) == canonical_email(other)
    assert address_key("brand", one) == address_key("brand", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.b@example.org", "ab@example.org"), ("a@example.org", "a@example.com")],
)
def test_different_mailboxes_have_different_keys(one: str, other: str) -> None:
    assert address_key("brand", one) != address_key("brand", other)


def test_audiences_do_not_share_keys_and_old_keys_still_find() -> None:
    assert address_key("a", "x@example.org") != address_key("b", "x@example.org")
    old = {"kid": "o", "key": "o" * 40}
    new = {"kid": "n", "key": "n" * 40}
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": [old]}):
        written = address_key("a", "x@example.org")
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": [new, old]}):
        assert written in address_keys("a", "x@example.org")
        assert address_key("a", "x@example.org") != written


@pytest.mark.parametrize(
    "text",
    ["", "x", "\u0430@example.org", "x@", "@y", "x@y\r\nBcc: z@example.org", "x" * 300 + "@example.org"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        canonical_email(text)


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("ada@example.org", "a***@e***.org"),
        ("a@b.co.uk", "a***@b***.uk"),
        ("anna@mail.example.org", "a***@m***.org"),
        ('"a@b"@c.example', '"***@c***.example'),
        ("nonsense", "***"),
        ("@example.org", "***"),
        ("root@localhost", "***"),
        ("", "***"),
    ],
)
def test_masking(email: str, shown: str) -> None:
    assert masked(email) == shown
