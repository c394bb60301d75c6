"""The Wagtail page of a center, without anybody's choices."""

from __future__ import annotations

from django.test import Client

from tests import pages
from wagtail_prefs.centers.page import PreferenceCenterPage


def test_everybody_sees_what_there_is_and_nobody_can_change_it(
    client: Client, center: PreferenceCenterPage
) -> None:
    response = client.get(center.url)
    assert response.status_code == 200
    page = pages.parse(response.content.decode())
    assert page.one("html").get("lang") == "en"
    assert "open the link in one of our mails" in page.text
    assert "News" in page.text
    fields = list(page.all("input", "select", "textarea", "button"))
    assert fields
    assert all("disabled" in field for field in fields)
    assert not [field for field in fields if "checked" in field]
    assert not list(page.all("form"))
    assert not list(page.all("input", type="hidden"))


def test_a_link_of_a_contact_is_never_on_it(client: Client, center: PreferenceCenterPage) -> None:
    assert "/prefs/l/" not in client.get(center.url).content.decode()
