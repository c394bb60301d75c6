"""What mails say and never say; and a site that says it in its own words."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.core import mail as django_mail
from django.utils import translation
from pytest_django import Settings

import wagtail_prefs
from tests.mail.conftest import ROOT
from wagtail_prefs.mail import sending
from wagtail_prefs.mail.kinds import KINDS
from wagtail_prefs.mail.messages import Brand, message, render
from wagtail_prefs.mail.models import Mail

Leave = Callable[..., Mail]

FOLDER = Path(wagtail_prefs.__file__).parent / "templates" / "wagtail_prefs" / "mail"
BRAND = Brand("Example", "Example Ltd", ROOT)
#: Of bulk mail, and of whoever counts (security.md EM-14).
PROMOTION = re.compile(
    r"^(list-.*|precedence|feedback-id|x-campaign.*|x-mailer|return-receipt-to|disposition-.*)$",
    re.IGNORECASE,
)
#: Loads something, runs something, or is sent somewhere.
FORBIDDEN = {
    "img",
    "script",
    "link",
    "iframe",
    "form",
    "input",
    "object",
    "embed",
    "base",
    "video",
    "svg",
    "area",
}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("locale", ["en", "de", "ar"])
def test_nothing_is_loaded_run_or_counted(kind: str, locale: str) -> None:
    context = KINDS[kind].sample(ROOT)
    said = render(KINDS[kind], context, BRAND, locale)
    reader = Reader()
    reader.feed(said.html)
    assert reader.open == []
    assert not FORBIDDEN & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {
        name for name in names if name.startswith("on") or name in {"src", "srcset", "background", "style"}
    }
    links = [value for name, value in reader.attributes if name == "href"]
    assert links == [context["url"]] * 2 if "url" in context else links == []
    assert not re.search(r"url\(|@import|expression\(", said.html, re.IGNORECASE)
    assert reader.tags.count("h1") == 1
    assert ("lang", locale) in reader.attributes
    assert said.text.count(context.get("url", "Example Ltd")) >= 1
    assert "\n\n\n" not in said.text
    assert said.subject
    assert "{" not in said.subject + said.text


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_no_header_of_bulk_mail(kind: str, leave: Leave) -> None:
    made = message(leave("anna@mail.example.org", kind))
    assert not [name for name in made.message() if PROMOTION.match(name)]


def test_templates_hold_no_address_and_trust_nothing() -> None:
    files = sorted(FOLDER.iterdir())
    named = {f"{kind}{ending}" for kind in KINDS for ending in ("_subject.txt", ".txt", ".html")}
    assert {file.name for file in files} == named | {"base.txt", "base.html"}
    for file in files:
        source = file.read_text()
        assert not re.search(r"https?://|mailto:|\|\s*safe|autoescape|mark_safe|include", source), file.name


def test_both_parts_say_the_same() -> None:
    """Every translated paragraph of the text stands in the HTML, but for its own words about the button."""
    words = re.compile(
        r'\{% translate "([^"]+)" %\}|\{% blocktranslate[^%]*%\}(.*?)\{% endblocktranslate %\}', re.DOTALL
    )
    for kind in KINDS:
        text, html = (
            {"".join(found) for found in words.findall((FOLDER / f"{kind}{end}").read_text())}
            for end in (".txt", ".html")
        )
        assert text == html, kind
        assert text


@pytest.mark.django_db
def test_html_is_escaped_and_text_is_not(leave: Leave) -> None:
    leave(
        "anna@mail.example.org", "confirm", center_title="Tom & <b>Jerry</b>'s", topics=["<script>1</script>"]
    )
    sending.drain()
    (sent,) = django_mail.outbox
    html = str(sent.alternatives[0][0])
    assert sent.subject == "Please confirm your sign-up: Tom & <b>Jerry</b>'s"
    assert "* <script>1</script>\n" in str(sent.body)
    assert "<script>" not in html
    assert "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;&#x27;s" in html


@pytest.mark.django_db
def test_a_site_overrides_what_it_likes(leave: Leave, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "wagtail_prefs" / "mail"
    folder.mkdir(parents=True)
    (folder / "confirm_subject.txt").write_text("Hi,\n  is it you, {{ center_title }} & {{ brand }}?\n")
    (folder / "confirm.txt").write_text("Yes: {{ url }}?a=1&b=2 {{ center_title }}\n\n\n\n{{ site_name }}")
    (folder / "base.html").write_text(
        "<html lang='{{ lang }}' dir='{{ dir }}'>{% block body %}{% endblock %}{{ site_root }}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    leave("anna@mail.example.org", "confirm", center_title="Q&A", locale="ar")
    sending.drain()
    (sent,) = django_mail.outbox
    assert sent.subject == "Hi, is it you, Q&A & localhost?"
    assert sent.body == f"Yes: {ROOT}/prefs/c/sample/?a=1&b=2 Q&A\n\nlocalhost\n"
    html = str(sent.alternatives[0][0])
    assert html.startswith("<html lang='ar' dir='rtl'><p>سجّل")
    assert html.endswith(ROOT)


@pytest.mark.django_db
def test_a_mail_is_in_its_own_language_and_not_in_the_workers(leave: Leave) -> None:
    leave("anna@mail.example.org", locale="en")
    with translation.override("ar"):
        sending.drain()
        assert translation.get_language() == "ar"
    (sent,) = django_mail.outbox
    assert '<html lang="en" dir="ltr">' in str(sent.alternatives[0][0])
