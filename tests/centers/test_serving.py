"""What a visitor's request costs, and which language it gets."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests import factories
from wagtail_prefs.centers import services, serving
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.errors import NotPublished

pytestmark = pytest.mark.django_db


def cache_seconds(settings: Any, seconds: float) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": seconds}


def test_a_hit_asks_the_database_nothing(settings: Any, django_assert_num_queries: Any) -> None:
    cache_seconds(settings, 60)
    page = factories.make_center()
    with django_assert_num_queries(2):  # which one is current, and its document
        first = services.current(page.translation_key)
    with django_assert_num_queries(0):
        assert services.current(page.translation_key, "de", "fr") is first


def test_freshness_costs_one_statement(settings: Any, django_assert_num_queries: Any) -> None:
    cache_seconds(settings, 0)
    page = factories.make_center()
    services.current(page.translation_key)
    for _ in range(3):
        with django_assert_num_queries(1):
            services.current(page.translation_key)


def test_another_process_notices_a_publish_when_the_time_is_over(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_seconds(settings, 5)
    page = factories.make_center()
    clock = [1000.0]
    monkeypatch.setattr(serving.time, "monotonic", lambda: clock[0])
    before = services.current(page.translation_key)
    PublishedCenter.objects.update(page_url="https://elsewhere.example/")  # as another process would
    clock[0] += 4.9
    assert services.current(page.translation_key) is before
    clock[0] += 0.2
    assert services.current(page.translation_key).page_url == "https://elsewhere.example/"


def test_a_snapshot_is_asked_for_once(django_assert_num_queries: Any) -> None:
    page = factories.make_center()
    digest = services.current(page.translation_key).digest
    with django_assert_num_queries(1):
        services.get_snapshot(digest)
    with django_assert_num_queries(0):
        services.get_snapshot(digest)


def test_unknown_centers_and_snapshots_are_not_published_and_not_remembered() -> None:
    for _ in range(3):
        with pytest.raises(NotPublished):
            services.current(uuid.uuid4())
        with pytest.raises(NotPublished):
            services.get_snapshot("0" * 64)
    assert len(serving._centers) <= serving.MAX_CENTERS


@pytest.mark.parametrize(
    ("locale", "accept", "served"),
    [
        (None, "", "en"),
        ("de", "", "de"),
        ("de-AT", "", "de"),
        ("DE", "", "de"),
        ("fr", "", "en"),
        ("fr", "de", "de"),
        (None, "fr-CH, fr;q=0.9, de-CH;q=0.8, en;q=0.7", "de"),
        (None, "en;q=0.3, de;q=0.9", "de"),
        (None, "*", "en"),
        (None, "not a header \x00 ;;;q=x", "en"),
        ("en", "de", "en"),
        ("../../etc", "", "en"),
        ("", "de", "de"),
    ],
)
def test_the_language_falls_back_by_wagtails_order(locale: str | None, accept: str, served: str) -> None:
    page = factories.make_center()
    factories.make_center(locale="de", title="Ihre Wahl", translation_of=page)
    center = services.current(page.translation_key, locale, accept)
    assert center.locale == served
    assert json.loads(center.body)["locale"] == served


def test_a_center_without_the_default_language_is_served_in_what_it_has() -> None:
    page = factories.make_center(locale="de")
    assert services.current(page.translation_key, "en").locale == "de"


def test_a_translation_has_its_own_words_and_unpublishing_it_leaves_the_other() -> None:
    page = factories.make_center()
    german = factories.make_center(locale="de", title="Ihre Wahl", translation_of=page)
    document = json.loads(services.current(page.translation_key, "de").body)
    assert document["title"] == "Ihre Wahl"
    assert document["blocks"][0]["controls"][0]["rows"][0]["label"] == "Neues"
    german.unpublish()
    assert services.current(page.translation_key, "de").locale == "en"


def test_a_right_to_left_language_says_so() -> None:
    page = factories.make_center(locale="ar")
    assert json.loads(services.current(page.translation_key, "ar").body)["direction"] == "rtl"


def test_the_page_shows_the_center_without_anybodys_choices(client: Any) -> None:
    page = factories.make_center()
    response = client.get(page.url)
    assert response.status_code == 200
    assert response.context["preferences"] is None
    assert response.context["snapshot"].digest == services.current(page.translation_key).digest
    assert "Your choices" in response.content.decode()


def test_a_live_page_without_a_snapshot_is_still_shown(client: Any) -> None:
    page = factories.make_center()
    services.unpublish(page)
    assert client.get(page.url).status_code == 200
    with pytest.raises(NotPublished):  # a safe request stores nothing
        services.current(page.translation_key)


def test_the_preview_draws_the_draft_and_stores_nothing(admin_client: Any) -> None:
    from wagtail_prefs.centers.models import CenterSnapshot

    page = factories.make_center(publish=False, title="A draft")
    request_page = type(page).objects.get(pk=page.pk)
    response = request_page.make_preview_request()
    assert response.status_code == 200
    response.render() if hasattr(response, "render") and not response.is_rendered else None
    assert "A draft" in response.content.decode()
    assert not CenterSnapshot.objects.exists()
