"""A center in a frame: for the origins that may embed it, without anybody's choices, and closed to all others."""

from __future__ import annotations

import re
import uuid
from html import unescape
from typing import Any

import pytest
from django.test import Client, override_settings

from tests import factories, pages
from wagtail_prefs.centers.embed import frame_snippet
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import current

pytestmark = pytest.mark.django_db


@pytest.fixture
def framed() -> PreferenceCenterPage:
    factories.make_site(origins=["https://shop.example", "https://www.example"])
    return factories.make_center(host_pages="https://shop.example/account/")


def path(page: PreferenceCenterPage, **query: str) -> str:
    return f"/prefs/embed/{page.translation_key}/" + "".join(
        f"?{name}={value}" for name, value in query.items()
    )


def ancestors(response: Any) -> list[str]:
    (found,) = re.findall(r"frame-ancestors ([^;]*)", response["Content-Security-Policy"])
    return str(found).split()


def test_only_the_origins_of_the_center_may_frame_it(client: Client, framed: PreferenceCenterPage) -> None:
    response = client.get(path(framed))
    assert response.status_code == 200
    assert ancestors(response) == ["http://localhost", "https://shop.example"]
    assert "X-Frame-Options" not in response  # Django's middleware would put DENY there


@pytest.mark.parametrize("option", ["DENY", "SAMEORIGIN"])
def test_the_sites_own_setting_does_not_close_it(
    client: Client, framed: PreferenceCenterPage, option: str
) -> None:
    with override_settings(X_FRAME_OPTIONS=option):
        assert "X-Frame-Options" not in client.get(path(framed))


def test_pages_behind_links_stay_closed(client: Client, framed: PreferenceCenterPage) -> None:
    response = client.get("/prefs/l/v1.t1.abc.def/")
    assert ancestors(response) == ["'none'"]
    assert response["X-Frame-Options"] == "DENY"
    missing = client.get(f"/prefs/embed/{uuid.uuid4()}/")
    assert missing.status_code == 404
    assert ancestors(missing) == ["'none'"]
    assert missing["X-Frame-Options"] == "DENY"


def test_nothing_in_it_can_be_changed_and_nothing_runs(client: Client, framed: PreferenceCenterPage) -> None:
    response = client.get(path(framed))
    html = response.content.decode()
    assert "News" in html
    assert "<form" not in html
    assert "<script" not in html
    assert not response.cookies
    assert "default-src 'none'" in response["Content-Security-Policy"]
    fields = re.findall(r"<(?:input|select|textarea|button)\b[^>]*>", html)
    assert fields
    assert all(" disabled" in field for field in fields)
    assert framed.full_url in html


def test_it_tells_its_height_to_an_origin_that_may_frame_it(
    client: Client, framed: PreferenceCenterPage
) -> None:
    response = client.get(path(framed), {"host": "https://shop.example"})
    page, policy = pages.parse(response.content.decode()), response["Content-Security-Policy"]
    script = page.one("script")
    assert (script.get("src"), script.text) == ("/static/wagtail_prefs/frame-height.js", "")
    assert f"script-src 'nonce-{script.get('nonce')}' 'strict-dynamic'" in policy
    assert "trusted-types 'none'" in policy
    assert [one.get("data-host") for one in page.all("p") if "data-host" in one] == ["https://shop.example"]
    assert ancestors(response) == ["http://localhost", "https://shop.example"]


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "/",
        "null",
        "https://evil.example",
        "https://shop.example/",
        "https://shop.example.evil.example",
        "HTTPS://SHOP.EXAMPLE",
        "https://www.example",  # of the site, but not of this center
        '"><script>alert(1)</script>',
        "https://shop.example\r\nX: y",
    ],
)
def test_and_to_nobody_else(client: Client, framed: PreferenceCenterPage, host: str) -> None:
    response = client.get(path(framed), {"host": host})
    assert response.status_code == 200
    html = response.content.decode()
    assert "<script" not in html
    assert "data-host" not in html
    assert "script-src" not in response["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_can_only_be_read(client: Client, framed: PreferenceCenterPage, method: str) -> None:
    assert client.generic(method, path(framed)).status_code == 405


def test_it_speaks_the_language_that_the_code_asks_for(client: Client, framed: PreferenceCenterPage) -> None:
    german = factories.make_center(locale="de", translation_of=framed)
    assert german.translation_key == framed.translation_key
    response = client.get(path(framed, locale="de"))
    assert response["Content-Language"] == "de"
    assert '<html lang="de"' in response.content.decode()
    assert client.get(path(framed, locale="x" * 5000)).status_code == 200


def test_an_unpublished_center_is_in_no_frame(client: Client, framed: PreferenceCenterPage) -> None:
    framed.unpublish()
    assert client.get(path(framed)).status_code == 404


def test_the_code_leads_there(client: Client, framed: PreferenceCenterPage) -> None:
    tag = pages.parse(frame_snippet(current(framed.translation_key, "en"))).one("iframe")
    assert client.get(str(tag.get("src")).removeprefix("http://localhost")).status_code == 200
    assert "allow-scripts" not in str(tag.get("sandbox"))
    assert "allow-same-origin" not in str(tag.get("sandbox"))
    assert tag.get("title")
    assert "style" not in tag


def test_it_costs_what_a_page_from_memory_costs(
    client: Client, framed: PreferenceCenterPage, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 3600}
    client.get(path(framed))
    with django_assert_num_queries(0):
        client.get(path(framed))


def test_an_address_cannot_smuggle_a_second_directive(client: Client, framed: PreferenceCenterPage) -> None:
    """What stands in the header are origins that were held against the rules when they were saved."""
    response = client.get(path(framed, locale="en;frame-ancestors%20*"))
    assert ancestors(response) == ["http://localhost", "https://shop.example"]
    assert "*" not in unescape(response["Content-Security-Policy"])
