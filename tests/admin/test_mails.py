"""The mails in the admin: what each is for, how it looks, a test to oneself, and how they are going."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.admin.staff import make_staff
from tests.factories import make_audience, make_editor, make_locale, make_site
from wagtail_prefs.mail import sending
from wagtail_prefs.mail.kinds import KINDS
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db

INDEX, PREVIEW, HTML, TEST = (f"prefs_mails:{name}" for name in ("index", "preview", "html", "test"))


@pytest.fixture
def editor(client: Client) -> Client:
    make_audience()
    for code in ("en", "de", "ar"):
        make_locale(code)
    client.force_login(make_editor())
    return client


def page(client: Client, name: str, **data: str) -> str:
    answer = client.get(reverse(name), data)
    assert answer.status_code == 200
    return answer.content.decode()


def cells(text: str, row: str) -> list[str]:
    """The cells of the table row that begins with these words."""
    found = [part for part in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL) if row in part]
    assert len(found) == 1, row
    return [
        re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", found[0], re.DOTALL)
    ]


def test_every_kind_is_listed_with_what_it_is_for(editor: Client) -> None:
    text = page(editor, INDEX)
    for name, kind in KINDS.items():
        assert f'?kind={name}">{kind.label}</a>' in text
        assert cells(text, f'?kind={name}"')[0] == str(kind.occasion)
    assert "Nothing has failed" in text
    assert reverse(INDEX) in page(editor, "wagtailadmin_home")


def test_what_waits_and_what_failed_is_counted_with_its_reason(editor: Client) -> None:
    now, audience = timezone.now(), make_audience().pk

    def rows(count: int, **fields: Any) -> None:
        row = {"kind": "confirm", "audience_id": audience, "locale": "en", **fields}
        Mail.objects.bulk_create(Mail(**row) for _ in range(count))

    rows(3, sent_at=now)
    rows(2, due_at=now)
    rows(1, due_at=now, code="smtp-450 4.2.0")
    rows(4, code="smtp-550 5.1.1")
    rows(1, kind="fresh_link", code="too-old")
    rows(1, kind="of-another-app", code="server-ConnectionRefusedError", due_at=now)
    rows(9, audience_id=audience + 1000, code="address")
    text = page(editor, INDEX)
    assert cells(text, '?kind=confirm"')[1:] == ["3", "3", "4"]
    assert cells(text, '?kind=fresh_link"')[1:] == ["0", "0", "1"]
    assert cells(text, "smtp-550") == ["The mail server refused it for good.", "smtp-550 5.1.1", "0", "4"]
    assert cells(text, "smtp-450")[0] == "The mail server refused it for now."
    assert cells(text, "too-old")[0].startswith("It could not be sent before its link ended")
    assert cells(text, "of-another-app")[0] == "There was no mail server to take it."
    assert "address</code>" not in text  # not of these audiences


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("locale", "direction"), [("en", "ltr"), ("de", "ltr"), ("ar", "rtl")])
def test_a_preview_shows_both_parts(editor: Client, kind: str, locale: str, direction: str) -> None:
    text = page(editor, PREVIEW, kind=kind, locale=locale)
    assert f'<option value="{locale}" selected>' in text
    (frame,) = re.findall(r"<iframe [^>]*>", text)
    assert " sandbox " in frame
    (source,) = re.findall(r'src="([^"]+)"', frame)
    answer = editor.get(source.replace("&amp;", "&"))
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f'<html lang="{locale}" dir="{direction}">' in html
    if "url" in KINDS[kind].shapes:
        assert "http://localhost/prefs/" in html
        assert "http://localhost/prefs/" in text


def test_the_html_of_a_mail_can_do_nothing_in_the_admin(editor: Client) -> None:
    Audience.objects.update(name="<script>alert(1)</script>")
    answer = editor.get(reverse(HTML))
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.endswith("; sandbox")  # no scripts, no forms, no origin of ours
    assert "script-src" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert "no-store" in answer["Cache-Control"]
    assert "<script>" not in answer.content.decode()
    assert "<script>alert" not in page(editor, PREVIEW)


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "newsletter"},
        {"kind": "../confirm"},
        {"locale": "xx"},
        {"locale": "../../etc"},
        {"audience": "nobody"},
    ],
)
def test_what_there_is_not(editor: Client, asked: dict[str, str]) -> None:
    for name in (PREVIEW, HTML):
        assert editor.get(reverse(name), asked).status_code == 404
    assert editor.post(reverse(TEST), asked).status_code == 404
    assert not Mail.objects.exists()


def test_a_mistake_in_a_template_of_the_site_is_shown(
    editor: Client, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "wagtail_prefs" / "mail"
    folder.mkdir(parents=True)
    (folder / "confirm.txt").write_text("{% nonsense %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    text = page(editor, PREVIEW, kind="confirm")
    assert "This mail cannot be made" in text
    assert "TemplateSyntaxError" in text
    assert "<iframe" not in text
    assert "<iframe" in page(editor, PREVIEW, kind="access_link")


def test_a_test_goes_to_oneself_and_to_nobody_else(editor: Client) -> None:
    data = {"kind": "confirm", "locale": "ar", "audience": make_audience().key}
    more = {"to": "eve@evil.example", "email": "eve@evil.example", "url": "https://evil.example/"}
    answer = editor.post(reverse(TEST), {**data, **more}, follow=True)
    assert answer.redirect_chain[0][0].startswith(reverse(PREVIEW))
    assert "The worker sends a test" in answer.content.decode()
    row = Mail.objects.get()
    assert (row.kind, row.to, row.locale, row.contact) == ("confirm", "editor@brand.example", "ar", None)
    assert sending.drain().sent == 1
    (sent,) = django_mail.outbox
    assert sent.recipients() == ["editor@brand.example"]
    assert "/prefs/c/sample/" in str(sent.body)


def test_looking_leaves_nothing(editor: Client) -> None:
    for name in (INDEX, PREVIEW, HTML):
        assert editor.get(reverse(name)).status_code == 200
        assert editor.head(reverse(name)).status_code == 200
    assert editor.get(reverse(TEST)).status_code == 405
    assert not Mail.objects.exists()


def test_a_forged_form_leaves_nothing(editor: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_editor())
    assert strict.post(reverse(TEST), {"kind": "confirm"}).status_code == 403
    assert not Mail.objects.exists()


def test_an_account_without_an_address(editor: Client) -> None:
    user = make_editor("nameless")
    user.email = ""
    user.save()
    editor.force_login(user)
    assert "Your account has no e-mail address" in page(editor, PREVIEW)
    answer = editor.post(reverse(TEST), {"kind": "confirm"}, follow=True)
    assert "no e-mail address to send" in answer.content.decode()
    assert not Mail.objects.exists()


@pytest.mark.parametrize("codename", ["results_contact", "change_topic"])
def test_who_may_look(client: Client, codename: str) -> None:
    make_audience()
    client.force_login(make_staff("staff", codename))
    assert reverse(INDEX) in page(client, "wagtailadmin_home")
    assert "Confirm a sign-up" in page(client, INDEX)
    client.force_login(make_staff("other", "view_contact"))
    assert reverse(INDEX) not in page(client, "wagtailadmin_home")
    for name in (INDEX, PREVIEW, HTML):
        assert client.get(reverse(name)).status_code == 302
    assert client.post(reverse(TEST), {"kind": "confirm"}).status_code == 302
    assert not Mail.objects.exists()


def test_staff_of_a_site_see_the_mails_of_their_audience_alone(client: Client) -> None:
    ours, theirs = make_audience(), make_audience(make_site("other.example", port=443))
    for audience, code in ((ours, "smtp-550 5.1.1"), (theirs, "smtp-554 5.7.1")):
        Mail.objects.create(kind="confirm", audience_id=audience.pk, locale="en", code=code)
    assert theirs.site is not None
    client.force_login(make_staff("there", "results_contact", site=theirs.site))
    text = page(client, INDEX)
    assert "smtp-554" in text
    assert "smtp-550" not in text
    text = page(client, PREVIEW)
    assert "https://other.example/prefs/" in text
    assert ours.name not in text
    for name in (PREVIEW, HTML):
        assert client.get(reverse(name), {"audience": ours.key}).status_code == 404
    assert client.post(reverse(TEST), {"audience": ours.key}).status_code == 404
    client.force_login(make_editor())
    assert f'<option value="{theirs.key}">' in page(client, PREVIEW)


def test_without_an_audience_there_is_nobody_to_write_to(client: Client) -> None:
    client.force_login(make_editor())
    assert not Audience.objects.exists()
    assert "There is no audience yet" in page(client, INDEX)
    assert client.get(reverse(PREVIEW)).status_code == 404


def test_what_the_pages_cost(editor: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    page(editor, INDEX)
    of_every_page = 3  # the session, the user and her profile
    # audiences, the numbers of each kind, what failed, and what Wagtail's menu asks
    with CaptureQueriesContext(connection) as captured:
        page(editor, INDEX)
    ours = [query["sql"] for query in captured if "wagtail_prefs_mail" in query["sql"]]
    assert len(ours) == 2
    Mail.objects.bulk_create(
        Mail(kind=kind, audience_id=make_audience().pk, locale="en", code=f"smtp-55{number}")
        for kind in KINDS
        for number in range(5)
    )
    with django_assert_num_queries(len(captured)):
        page(editor, INDEX)
    # audiences, and the audience with its site for the sample and for what is drawn
    with django_assert_num_queries(of_every_page + 3):
        assert editor.get(reverse(HTML)).status_code == 200
