"""The center document over HTTP: bytes, cached, for everyone."""

from __future__ import annotations

import uuid

import pytest
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings

from tests import factories
from wagtail_prefs.api.base import asked_locale
from wagtail_prefs.centers import services as centers

from .conftest import Visit

pytestmark = pytest.mark.django_db


def test_the_document_is_public_bytes_with_an_etag(visit: Visit, django_assert_num_queries: object) -> None:
    answer = visit.client.get(visit.url())
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Cache-Control"] == "public, no-cache"
    assert answer["ETag"] == f'"{answer.json()["revision"]}"'
    assert answer["Content-Language"] == "en"
    assert not answer.cookies
    assert answer.content == centers.current(visit.page.translation_key).body


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*", 'W/"x" , W/{}'])
def test_an_unchanged_document_is_304_without_a_body(visit: Visit, form: str) -> None:
    etag = visit.client.get(visit.url())["ETag"]
    answer = visit.client.get(visit.url(), headers={"If-None-Match": form.format(etag)})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)


def test_a_changed_document_is_sent_again(visit: Visit) -> None:
    answer = visit.client.get(visit.url(), headers={"If-None-Match": '"other"'})
    assert answer.status_code == 200


def test_a_hit_costs_no_statement(visit: Visit, django_assert_num_queries: object) -> None:
    visit.client.get(visit.url())
    with (
        override_settings(WAGTAIL_PREFS={**_settings(), "CENTER_CACHE_SECONDS": 60}),
        django_assert_num_queries(0),
    ):  # type: ignore[operator]
        assert visit.client.get(visit.url()).status_code == 200


def test_with_no_caching_a_hit_costs_one_statement(visit: Visit, django_assert_num_queries: object) -> None:
    visit.client.get(visit.url())
    with (
        override_settings(WAGTAIL_PREFS={**_settings(), "CENTER_CACHE_SECONDS": 0}),
        django_assert_num_queries(1),
    ):  # type: ignore[operator]
        assert visit.client.get(visit.url()).status_code == 200


def _settings() -> dict[str, object]:
    from django.conf import settings

    return dict(settings.WAGTAIL_PREFS)


def test_the_locale_asked_for_is_served_or_a_fallback_that_says_so(visit: Visit) -> None:
    factories.make_center(locale="de", translation_of=visit.page, title="Ihre Wahl")
    for query, accept, expected in (
        ("?locale=de", "", "de"),
        ("?locale=de-AT", "", "de"),
        ("", "de-DE,de;q=0.9,en;q=0.5", "de"),
        ("", "fr", "en"),
        ("?locale=xx-nonsense-zz", "", "en"),
        ("?locale=" + "x" * 5000, "", "en"),
        ("?locale=en", "de", "en"),
    ):
        answer = visit.client.get(visit.url() + query, headers={"Accept-Language": accept})
        assert (answer.status_code, answer["Content-Language"]) == (200, expected), query
        assert answer.json()["locale"] == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("locale=", None),
        ("locale=de", "de"),
        ("locale=en&locale=de", "de"),
        ("loc%61le=de", "de"),
        ("locale=" + "x" * 50, "x" * 35),
        ("x=\u00fc&locale=de", "de"),
        ("locale=\u00e9", "\u00e9"),
        ("locale=%C3%A9", "\u00e9"),
        ("locale=\u4e2d", "\u4e2d"),
    ],
)
def test_the_locale_is_read_alike_from_wsgi_and_asgi(query: str, expected: str | None) -> None:
    raw = query.encode()
    wsgi = RequestFactory().get("/", QUERY_STRING=raw.decode("iso-8859-1"))
    asgi = AsyncRequestFactory().get("/")
    asgi.META["QUERY_STRING"] = query  # as ASGIRequest decodes it
    for request in (wsgi, asgi):
        assert asked_locale(request) == expected
        assert (asked_locale(request) or "") == (request.GET.get("locale") or "")[:35]


def test_unknown_and_unpublished_centers_are_404_problems(visit: Visit) -> None:
    answer = visit.client.get(f"/prefs/api/v1/centers/{uuid.uuid4()}/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer["Access-Control-Allow-Origin"] == "*"
    visit.page.unpublish()
    centers.forget(visit.page.translation_key)
    assert visit.client.get(visit.url()).status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "trace"])
def test_no_other_method_is_allowed(visit: Visit, method: str) -> None:
    answer = getattr(visit.client, method)(visit.url())
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, OPTIONS"


def test_a_preflight_is_answered(visit: Visit) -> None:
    answer = visit.client.options(visit.url(), headers={"Origin": "https://anyone.example"})
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_a_hosts_own_rest_framework_settings_do_not_reach_us(visit: Visit) -> None:
    editor = factories.make_editor()
    client = Client(enforce_csrf_checks=True)
    client.force_login(editor)
    hostile = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
    }
    with override_settings(REST_FRAMEWORK=hostile):
        answer = client.get(
            visit.url("preferences/"), headers={"Origin": "https://shop.example", "Accept": "text/html"}
        )
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
