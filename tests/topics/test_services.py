"""Topics with words in one locale, and the audience of a site."""

from __future__ import annotations

from typing import Any

import pytest
from wagtail.models import Site

from tests import factories
from wagtail_prefs.topics.models import Audience, Topic, TopicText
from wagtail_prefs.topics.services import audience_for_site, default_audience, topics_for

pytestmark = pytest.mark.django_db


def test_topics_come_in_the_editors_order_with_their_words() -> None:
    audience = factories.make_audience()
    topics = factories.make_topics(audience)
    found = topics_for(audience.pk, "de")
    assert [info.key for info in found.values()] == ["news", "offers", "events", "orders"]
    news = found[topics["news"].pk]
    assert (news.label, news.text, news.cadence, news.group) == (
        "Neues",
        "Was es Neues gibt.",
        "etwa einmal im Monat",
        "Von uns",
    )
    assert news.channels == ("email", "sms")
    assert found[topics["orders"].pk].transactional


@pytest.mark.parametrize(
    ("locale", "label"),
    [("en", "News"), ("de", "Neues"), ("de-at", "Neues"), ("ar", "News"), ("fr-ca", "News")],
)
def test_missing_words_are_taken_from_the_base_language_then_from_the_default(
    locale: str, label: str
) -> None:
    audience = factories.make_audience()
    news = factories.make_topics(audience)["news"]
    assert topics_for(audience.pk, locale)[news.pk].label == label


def test_a_topic_without_words_in_the_default_language_takes_what_there_is() -> None:
    audience = factories.make_audience()
    topics = factories.make_topics(audience)
    TopicText.objects.filter(topic=topics["news"], locale__language_code="en").delete()
    TopicText.objects.filter(topic=topics["offers"]).delete()
    found = topics_for(audience.pk, "en")
    assert found[topics["news"].pk].label == "Neues"
    assert found[topics["offers"].pk].label == "offers"


def test_three_statements_however_many_topics(django_assert_num_queries: Any) -> None:
    audience = factories.make_audience()
    factories.make_topics(audience)
    with django_assert_num_queries(3):
        topics_for(audience.pk, "de")
    for number in range(20):
        topic = Topic.objects.create(audience=audience, key=f"more-{number}", channels=["email"])
        TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label="More")
    with django_assert_num_queries(3):
        assert len(topics_for(audience.pk, "de")) == 24


def test_another_audience_sees_none_of_them() -> None:
    factories.make_topics()
    other = audience_for_site(factories.make_site("other.example"))
    assert topics_for(other.pk, "en") == {}


def test_a_site_has_one_audience_and_gets_it_once() -> None:
    site = factories.make_site()
    assert not Audience.objects.exists()
    assert audience_for_site(site) == audience_for_site(Site.objects.get(pk=site.pk)) == default_audience()
    assert Audience.objects.get().key == "default"


def test_two_sites_of_one_name_have_two_audiences() -> None:
    first = audience_for_site(factories.make_site("brand.example"))
    second = audience_for_site(factories.make_site("brand.example", port=8443))
    assert first != second
    assert first.key == "brandexample"
    assert second.key.startswith("brandexample-")


def test_editors_see_topics_by_their_words_in_their_language() -> None:
    from django.utils import translation

    news = factories.make_topics()["news"]
    with translation.override("de"):
        assert str(news) == "Neues"
        assert str(news.group) == "Von uns"
    with translation.override("ar"):
        assert str(news) == "News"
    assert str(Topic(key="unsaved")) == "unsaved"
