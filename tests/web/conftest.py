"""A published center, a person with a few choices, and her links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import factories, pages
from wagtail_prefs.access.services import manage_url, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import Change, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source


def path_of(url: str) -> str:
    return urlsplit(url).path


def choose(contact: Contact, *changes: Change) -> None:
    """What the person did earlier, somewhere else."""
    submissions.record(
        contact.pk, changes, actor=Actor(ActorType.SUBJECT_SESSION), source=Source(method="element")
    )


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    return factories.make_center()


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    contact = factories.make_contact()
    choose(
        contact,
        SetChoice("news", "email", SUBSCRIBED),
        SetChoice("offers", "email", UNSUBSCRIBED),
        SetFrequency("", "", "weekly"),
    )
    return Contact.objects.get(pk=contact.pk)


@pytest.fixture
def manage(contact: Contact, center: PreferenceCenterPage) -> str:
    """The path of her manage page."""
    return path_of(manage_url(contact, center.translation_key))


@pytest.fixture
def one_click(contact: Contact, center: PreferenceCenterPage) -> str:
    """The path that unsubscribes her from news by e-mail."""
    return path_of(one_click_url(contact, "news", "email", center.translation_key))


@pytest.fixture
def strict(client: Client) -> Client:
    """A client that has no cookie, and meets the site's CSRF protection."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def send(strict: Client) -> Callable[..., Any]:
    """Fills the form of a page and presses its button, as a browser does."""

    def send(path: str, change: dict[str, str | None] | None = None, **headers: str) -> Any:
        data: dict[str, Any] = pages.submitted(pages.parse(strict.get(path).content.decode()))
        for name, value in (change or {}).items():
            data.pop(name, None)
            if value is not None:
                data[name] = value
        return post(strict, path, data, **headers)

    return send


def post(client: Client, path: str, data: dict[str, Any], **headers: str) -> Any:
    from django.utils.http import urlencode

    return client.post(
        path,
        urlencode(data, doseq=True),
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": "null", "Sec-Fetch-Site": "same-origin", **headers},
    )


@pytest.fixture
def statements() -> Callable[[], Any]:
    """Counts the statements that ask or change something; BEGIN, COMMIT and savepoints are not counted."""

    class Counted(CaptureQueriesContext):
        def __len__(self) -> int:
            words = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
            return sum(not query["sql"].startswith(words) for query in self.captured_queries)

    return lambda: Counted(connection)


@pytest.fixture(autouse=True)
def _no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ever set a cookie or look at a session (security.md EM-03, design.md s9)."""
    answered = Client.request

    def request(self: Client, **environment: Any) -> Any:
        response = answered(self, **environment)
        assert not response.cookies
        assert not self.cookies
        return response

    monkeypatch.setattr(Client, "request", request)
