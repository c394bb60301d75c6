"""Exact origins and full addresses, or an explanation of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given, strategies as st

from wagtail_prefs.centers.origins import (
    allowed_origins,
    lines,
    origin_of,
    validate_host_pages,
    validate_origins,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://www.example.org", "https://www.example.org"),
        ("https://WWW.Example.org:443/a?b#c", "https://www.example.org"),
        ("https://www.example.org:8443/", "https://www.example.org:8443"),
        ("http://localhost:8000/x", "http://localhost:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example"),
        ("http://my_site:8000/", "http://my_site:8000"),
    ],
)
def test_an_address_has_the_origin_that_browsers_send(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.org",
            "//example.org",
            "ftp://example.org",
            "https://",
            "https:///x",
            "javascript:1",
            "null",
        ),
        *(
            "https://user@example.org",
            "https://a b.example",
            "https://*.example.org",
            "https://example.org:99999",
        ),
        *(
            "https://example.org\\@evil.test",
            "https://-a.example",
            "https://exa mple.org",
            "https://[::1",
            "https://a..b",
        ),
    ],
)
def test_what_has_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that is the contract
        origin_of(url)
    if url:
        with pytest.raises(ValidationError):
            validate_origins(url)
        with pytest.raises(ValidationError):
            validate_host_pages(url)


@given(st.text())
def test_any_text_has_an_origin_or_none(text: str) -> None:
    try:
        origin = origin_of(text)
    except ValueError:
        return
    assert origin_of(origin) == origin


@pytest.mark.parametrize(
    "line",
    [
        *("https://www.example.org/", "https://www.example.org/path", "https://WWW.example.org", "*"),
        *(
            "https://www.example.org:443",
            "http://www.example.org",
            "https://www.example.org?x",
            "https://www.example.org#x",
        ),
    ],
)
def test_an_origin_is_exact_and_encrypted(line: str) -> None:
    with pytest.raises(ValidationError):
        validate_origins(line)
    with pytest.raises(ValidationError):
        validate_origins(f"https://fine.example\n{line}")


def test_this_machine_needs_no_encryption_and_development_none_at_all(settings: Any) -> None:
    validate_origins("http://localhost:8001\nhttp://127.0.0.1:8001\nhttp://shop.localhost")
    with pytest.raises(ValidationError):
        validate_origins("http://localhost.evil.test")
    settings.DEBUG = True
    validate_origins("http://shop.test")
    validate_host_pages("http://shop.test/account/")


@pytest.mark.parametrize(
    "line", ["https://a.example/#x", "https://a.example/a b", "https://a.example/\\x", "http://a.example/"]
)
def test_a_host_page_is_a_full_address_that_can_take_a_code(line: str) -> None:
    with pytest.raises(ValidationError):
        validate_host_pages(line)
    validate_host_pages("https://a.example/account/?tab=mail")


def test_a_list_has_an_end() -> None:
    with pytest.raises(ValidationError):
        validate_origins("\n".join(f"https://a{number}.example" for number in range(101)))


def test_lines_are_trimmed_and_each_counts_once() -> None:
    assert lines(" a \r\n\r\nb\na") == ["a", "b"]


def test_a_center_only_narrows() -> None:
    site = ["https://a.example", "https://b.example"]
    assert allowed_origins("https://own.example/x/", site, []) == ["https://own.example", *site]
    assert allowed_origins("https://own.example/x/", site, ["https://b.example/y", "https://c.example/"]) == [
        "https://own.example",
        "https://b.example",
    ]
