"""The lists of deliveries and subscribers in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from pytest_django import Settings

from tests.delivery.people import JOIN, LEAVE, OUT, person, row
from tests.factories import make_editor
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db

DELIVERIES, SUBSCRIBERS = "prefs_deliveries", "prefs_subscribers"


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(make_editor())
    return client


def staff(client: Client, *codenames: str) -> Client:
    user = get_user_model().objects.create_user("staff", "staff@brand.example", "password")
    names = ["access_admin", *codenames]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def test_deliveries_show_what_is_wrong_and_no_address(editor: Client) -> None:
    contact = person("anna", LEAVE)
    Delivery.objects.update(
        last_outcome=Outcome.REFUSED, last_code="http-422", attempts=3,
        parked=[{"kind": "contact.preferences", "code": "http-422"}],
        log=[
            {"at": "2026-11-22T12:00:00Z", "version": 2, "outcome": "refused", "code": "http-<422>", "kinds": ["join", "set"]},
            {"at": "2026-11-21T12:00:00Z", "version": 1, "outcome": "done", "code": "", "kinds": []},
        ],
    )  # fmt: skip
    listing = editor.get(reverse(f"{DELIVERIES}:index")).content.decode()
    for words in (str(contact), "Refused", "http-422", "database"):
        assert words in listing
    page = editor.get(reverse(f"{DELIVERIES}:inspect", args=[row(contact, "database").pk])).content.decode()
    assert "contact.preferences: http-422" in page
    assert "11/22/2026 noon: version 2 (join, set): Refused (http-&lt;422&gt;)</div>" in page
    assert "11/21/2026 noon: version 1 (–): Delivered</div>" in page
    person_page = editor.get(reverse("prefs_contacts:person", args=[contact])).content.decode()
    assert "version 2 (join, set): Refused (http-&lt;422&gt;)" in person_page
    assert "Refused" in page
    assert "anna@" not in listing + page


def test_deliveries_can_be_filtered(editor: Client) -> None:
    first, second = person("anna", JOIN), person("ben", LEAVE)
    run_once()
    Delivery.objects.filter(contact=second).update(last_outcome=Outcome.RETRY)
    url = reverse(f"{DELIVERIES}:index")
    found = editor.get(url, {"last_outcome": "retry", "backend": "database"}).content.decode()
    assert str(second) in found
    assert str(first) not in found


def test_subscribers_show_choices(editor: Client) -> None:
    contact = person("anna", JOIN)
    run_once()
    listing = editor.get(reverse(f"{SUBSCRIBERS}:index")).content.decode()
    assert "a***@m***.org" in listing
    assert "anna@" not in listing
    url = reverse(f"{SUBSCRIBERS}:inspect", args=[contact])
    assert "anna" not in url
    assert "news / email: subscribed" in editor.get(url).content.decode()
    person("anna", OUT)
    run_once()
    assert "news / email: unsubscribed" in editor.get(url).content.decode()


@pytest.mark.parametrize("name", [DELIVERIES, SUBSCRIBERS])
@pytest.mark.parametrize("action", ["add", "edit", "delete", "copy"])
def test_nobody_changes_them_by_hand(editor: Client, name: str, action: str) -> None:
    contact = person("anna", JOIN)
    run_once()
    key = contact if name == SUBSCRIBERS else row(contact, "database").pk
    try:
        url = reverse(f"{name}:{action}", args=[] if action == "add" else [key])
    except NoReverseMatch:
        return
    before = (list(Delivery.objects.values()), list(Subscriber.objects.values()))
    for answer in (editor.get(url), editor.post(url)):
        assert answer.status_code == 302
        assert answer["Location"] == reverse("wagtailadmin_home")
    assert (list(Delivery.objects.values()), list(Subscriber.objects.values())) == before
    listing = editor.get(reverse(f"{name}:index")).content.decode()
    assert url not in listing


@pytest.mark.parametrize(
    ("name", "codename", "allowed"),
    [
        (DELIVERIES, "view_delivery", True),
        (DELIVERIES, "change_delivery", False),
        (DELIVERIES, "view_subscriber", False),
        (SUBSCRIBERS, "view_subscriber", True),
        (SUBSCRIBERS, "view_delivery", False),
    ],
)
def test_who_may_look(client: Client, name: str, codename: str, allowed: bool) -> None:
    contact = person("anna", JOIN)
    run_once()
    key = contact if name == SUBSCRIBERS else row(contact, "database").pk
    staff(client, codename)
    for url in (reverse(f"{name}:index"), reverse(f"{name}:inspect", args=[key])):
        assert client.get(url).status_code == (200 if allowed else 302)


@pytest.mark.parametrize("name", [DELIVERIES, SUBSCRIBERS])
def test_the_cost_of_a_list_does_not_grow(editor: Client, name: str) -> None:
    counts = []
    for size in (1, 15):
        for number in range(size):
            person(f"p{size}x{number}", JOIN)
        run_once()
        editor.get(reverse(f"{name}:index"))  # fills what is cached for the process
        with CaptureQueriesContext(connection) as queries:
            assert editor.get(reverse(f"{name}:index")).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 12


def test_both_stand_in_the_menu_of_preferences(editor: Client) -> None:
    home = editor.get(reverse("wagtailadmin_home")).content.decode()
    for name in (DELIVERIES, SUBSCRIBERS):
        assert reverse(f"{name}:index") in home


def test_a_site_without_these_backends_still_lists_old_deliveries(editor: Client, settings: Settings) -> None:
    person("anna", JOIN)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    assert editor.get(reverse(f"{DELIVERIES}:index")).status_code == 200
