"""Mails that are really sent, and parsed back with the standard library."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core import mail as django_mail
from hypothesis import given, strategies as st
from pytest_django import Settings

from tests.factories import make_audience
from tests.mail.conftest import ROOT, URL
from tests.mail.smtp import Sink
from tests.properties import examples
from wagtail_prefs.mail import sending
from wagtail_prefs.mail.kinds import KINDS
from wagtail_prefs.mail.messages import message
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db

HEADERS = sorted(
    [
        "Auto-Submitted",
        "Content-Language",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
)
WEB = re.compile(r"[a-z]+://[^\s\"'<>]+")


@pytest.mark.parametrize(("locale", "direction"), [("en", "ltr"), ("de", "ltr"), ("ar", "rtl")])
def test_each_kind_is_sent_to_one_and_says_the_same_twice(
    sink: Sink, leave: Callable[..., Mail], locale: str, direction: str
) -> None:
    rows = {kind: leave(f"{kind}@mail.example.org", kind, locale=locale) for kind in KINDS}
    urls = {kind: row.context.get("url") for kind, row in rows.items()}
    assert sending.drain() == sending.Tally(claimed=len(KINDS), sent=len(KINDS))
    assert sink.connections == 1
    by_kind = {got.recipients[0].partition("@")[0]: got for got in sink.got}
    assert set(by_kind) == set(KINDS)
    for kind, got in by_kind.items():
        address = f"{kind}@mail.example.org"
        assert got.recipients == [address]
        assert got.header_names == HEADERS
        said = got.message
        assert [str(to) for to in said.get_all("To")] == [address]
        assert said["Auto-Submitted"] == "auto-generated"
        assert said["Content-Language"] == locale
        assert said["Message-ID"] == f"<{rows[kind].pk.hex}@localhost>"
        assert said.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in said.iter_parts()] == ["text/plain", "text/html"]
        text, html = got.part("text/plain"), got.part("text/html")
        # Both parts hold the same link and no other; nobody's address stands in either.
        links = {urls[kind]} - {None}
        assert set(WEB.findall(text)) == links
        assert set(WEB.findall(html)) == links
        assert "@" not in text
        assert "@" not in html.replace("@media", "")
        assert html.count(f'<html lang="{locale}" dir="{direction}">') == 1
        assert f'lang="{locale}" dir="{direction}" role="article"' in html
        for word in rows[kind].context.get("topics", []):
            assert f"* {word}\n" in text
            assert f">{word}</li>" in html
    for row in Mail.objects.all():
        assert (row.to, row.context, row.due_at, row.code, row.lease) == ("", {}, None, "", "")
        assert row.sent_at is not None


def test_who_writes(sink: Sink, leave: Callable[..., Mail], settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "site@brand.example"
    leave("anna@mail.example.org")
    sending.drain()
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "MAIL_FROM": "Bücher & mehr <post@bücher.example>"}
    Audience.objects.update(name="Bücher <b>& mehr</b>")
    leave("anna@mail.example.org")
    sending.drain()
    first, second = sink.got
    assert (first.sender, first.message["From"]) == ("site@brand.example", "site@brand.example")
    assert second.sender == "post@xn--bcher-kva.example"
    assert second.message["From"].addresses[0].display_name == "Bücher & mehr"
    assert second.message["Message-ID"].endswith("@xn--bcher-kva.example>")
    assert "Bücher <b>& mehr</b> sends you" in second.part("text/plain")
    assert "Bücher &lt;b&gt;&amp; mehr&lt;/b&gt; sends you" in second.part("text/html")


HOSTILE = [
    "anna@mail.example.org\r\nBcc: eve@evil.example",
    "anna@mail.example.org\nBcc: eve@evil.example",
    "anna@mail.example.org\rBcc: eve@evil.example",
    "anna@mail.example.org\x85Bcc: eve@evil.example",
    "anna@mail.example.org\u2028Bcc: eve@evil.example",
    "anna@mail.example.org\u2029Bcc: eve@evil.example",
    "anna@mail.example.org\r\n\r\nHello",
    "anna@mail.example.org, eve@evil.example",
    "anna@mail.example.org;eve@evil.example",
    "anna@mail.example.org>\r\nRCPT TO:<eve@evil.example",
    "eve@evil.example, <anna@mail.example.org>",
    "Anna <anna@mail.example.org>",
    "anna",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_an_address_makes_no_header_and_no_second_recipient(
    sink: Sink, leave: Callable[..., Mail], address: str
) -> None:
    row = leave("anna@mail.example.org")
    Mail.objects.update(to=address[:254])  # whatever may have written it there
    leave("ben@mail.example.org")
    assert sending.drain() == sending.Tally(claimed=2, sent=1, given_up=1)
    assert sink.to == ["ben@mail.example.org"]
    row.refresh_from_db()
    assert row.code in {"line-end", "address"}
    assert (row.to, row.context, row.due_at, row.sent_at) == ("", {}, None, None)


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x85", "\u2028", "\u2029", "\v", "\f", "\x1e", "\r\n\r\n"]
)
def test_words_of_editors_make_no_header(sink: Sink, leave: Callable[..., Mail], end: str) -> None:
    Audience.objects.filter(pk=make_audience().pk).update(name=f"Brand{end}Bcc: eve@evil.example")
    row = leave(
        "anna@mail.example.org",
        "confirm",
        center_title=f"Choices{end}Bcc: eve@evil.example",
        topics=[f"News{end}List-Unsubscribe: <https://evil.example>", f"{end}.{end}"],
    )
    assert sending.drain().sent == 1
    (got,) = sink.got
    assert got.recipients == ["anna@mail.example.org"]
    assert got.header_names == HEADERS
    assert str(got.message["Subject"]).endswith("Choices Bcc: eve@evil.example")
    # No line of the text is one that an editor began.
    assert not [line for line in got.part("text/plain").splitlines() if line.startswith(("Bcc", "List", "."))]
    assert row.context["url"] in got.part("text/plain")


@given(title=st.text(max_size=80), topic=st.text(max_size=80), brand=st.text(max_size=80))
@examples(60)
@pytest.mark.property
def test_whatever_editors_write_headers_are_ours(title: str, topic: str, brand: str) -> None:
    audience = make_audience()
    Audience.objects.filter(pk=audience.pk).update(
        name=brand.replace("\0", "").encode(errors="ignore").decode()
    )
    context = {**KINDS["confirm"].sample(ROOT), "center_title": title, "topics": [topic]}
    made = message(
        Mail(
            kind="confirm", to="anna@mail.example.org", audience_id=audience.pk, locale="en", context=context
        )
    )
    assert made.recipients() == ["anna@mail.example.org"]
    assert len(made.subject.splitlines()) == 1
    assert sorted(made.message().keys()) == HEADERS
    assert made.body.count(context["url"]) == 1


def test_a_setting_with_two_lines_loses_no_mail(
    sink: Sink, leave: Callable[..., Mail], settings: Settings
) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "MAIL_FROM": "post@brand.example\nBcc: eve@evil.example",
    }
    row = leave("anna@mail.example.org")
    assert sending.drain().failed == 1
    assert sink.connections == 0
    row.refresh_from_db()
    assert (row.code, row.to) == ("unusable-ImproperlyConfigured", "anna@mail.example.org")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/prefs/l/token/",
        "https://localhost/prefs/l/token/",
        "http://localhost.evil.example/prefs/l/token/",
        "http://localhost@evil.example/prefs/l/token/",
        "http://localhost:8000/prefs/l/token/",
        "http://localhost",
    ],
)
def test_a_foreign_address_is_never_mailed(sink: Sink, leave: Callable[..., Mail], url: str) -> None:
    row = leave("anna@mail.example.org", url=url)
    assert sending.drain().given_up == 1
    assert sink.got == []
    row.refresh_from_db()
    assert row.code == "foreign-url"


def test_a_second_site_has_its_own_root(sink: Sink, leave: Callable[..., Mail]) -> None:
    from tests.factories import make_site
    from wagtail_prefs.mail.services import post

    other = make_audience(make_site("other.example", port=443))
    ours = {"url": URL, "center_title": "Choices"}
    theirs = {**ours, "url": "https://other.example/prefs/l/token/"}
    make_audience()
    for context in (ours, theirs):
        post("access_link", to="anna@mail.example.org", audience_id=other.pk, locale="en", context=context)
    assert sending.drain() == sending.Tally(claimed=2, sent=1, given_up=1)
    (got,) = sink.got
    assert theirs["url"] in got.part("text/plain")
    assert "used on other.example" in got.part("text/plain")


@pytest.mark.parametrize(
    ("asked", "given_"), [("de-AT", "de"), ("xx", "en"), ("../../etc", "en"), ("", "en")]
)
def test_the_language_that_there_is(leave: Callable[..., Mail], asked: str, given_: str) -> None:
    leave("anna@mail.example.org", locale=asked)
    sending.drain()
    (sent,) = django_mail.outbox
    assert sent.extra_headers["Content-Language"] == given_
