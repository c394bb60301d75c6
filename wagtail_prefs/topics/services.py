"""Topics with their texts in one locale, and the audience a site's contacts and topics belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify
from wagtail.models import Site

from ..values import Media, Planned, TopicInfo
from . import calendar
from .models import Audience, Topic, TopicGroupText, TopicMerge, TopicText
from .pictures import pictures_of

if TYPE_CHECKING:
    from typing import TypeVar

    from ..values import Per

    Text = TypeVar("Text", TopicText, TopicGroupText)


def topics_for(audience_id: int, locale: str, base_url: str = "") -> Mapping[int, TopicInfo]:
    """All topics of an audience by primary key, in the editors' order, with their words in the locale.

    Where the locale has none, its base language is taken, then the site's default language, then any: a topic
    without words could not be chosen. `base_url` is the address that those of pictures are completed with. Three
    queries, however many topics there are, and two more where there are pictures.
    """
    topics = list(Topic.objects.filter(audience_id=audience_id).order_by("sort_order", "key"))
    texts = _by_owner(
        TopicText.objects.filter(topic__audience_id=audience_id).select_related("locale"), "topic_id", locale
    )
    headings = _by_owner(
        TopicGroupText.objects.filter(group__audience_id=audience_id).select_related("locale"),
        "group_id",
        locale,
    )
    pictures = pictures_of(topics, base_url)
    return {
        topic.pk: _info(topic, texts.get(topic.pk), headings.get(topic.group_id or 0), pictures.get(topic.pk))
        for topic in topics
    }


def planned_of(topic: Topic) -> Planned | None:
    """How many messages of a topic are planned, and on which days."""
    if not topic.planned:
        return None
    return calendar.read(topic.planned, cast("Per", topic.planned_per), topic.planned_on)


def goes_on_as(audience_id: int, key: str) -> tuple[str, ...]:
    """The keys of the topics that an archived one was merged into, step by step; () for any other. One query.

    Whoever says no to what is no longer sent means what is sent in its place.
    """
    merges = TopicMerge.objects.filter(loser__audience_id=audience_id, loser__archived=True).order_by("pk")
    into: dict[str, str] = dict(merges.values_list("loser__key", "winner__key"))
    found = [key]
    while (key := into.get(key, "")) and key not in found:
        found.append(key)
    return tuple(found[1:])


def audience_for_site(site: Site) -> Audience:
    """The site's audience, made when it is first needed. Never call this for a safe request."""
    found = Audience.objects.filter(site=site).first()
    if found:
        return found
    key = "default" if site.is_default_site else slugify(site.hostname)[:48] or "site"
    with transaction.atomic():
        if Audience.objects.filter(key=key).exists():
            key = f"{key}-{site.pk}"
        audience, _ = Audience.objects.get_or_create(
            site=site, defaults={"key": key, "name": site.site_name or site.hostname}
        )
    return audience


def default_audience() -> Audience | None:
    """The audience of the default site, or of the only site there is."""
    site = Site.objects.order_by("-is_default_site", "pk").first()
    return audience_for_site(site) if site else None


def locale_order(locale: str) -> tuple[str, ...]:
    """The codes to look for, best first: `de-at`, `de`, then the default language with its base."""
    default = settings.LANGUAGE_CODE
    return tuple(dict.fromkeys([locale, locale.split("-")[0], default, default.split("-")[0]]))


def _info(
    topic: Topic, text: TopicText | None, heading: TopicGroupText | None, picture: Media | None
) -> TopicInfo:
    return TopicInfo(
        key=topic.key,
        label=text.label if text else topic.key,
        text=text.text if text else "",
        group=heading.label if heading else "",
        media=picture,
        channels=tuple(topic.channels),
        frequencies=tuple(topic.frequencies),
        basis=topic.basis,
        transactional=topic.transactional,
        private=topic.private,
        archived=topic.archived,
        cadence=text.cadence if text else "",
        benefit=text.benefit if text else "",
        sample=text.sample if text else "",
        planned=planned_of(topic),
    )


def _by_owner(texts: Iterable[Text], owner: str, locale: str) -> dict[int, Text]:
    order = locale_order(locale)

    def rank(text: Text) -> tuple[int, str]:
        code = text.locale.language_code
        return (order.index(code) if code in order else len(order), code)

    best: dict[int, Text] = {}
    for text in sorted(texts, key=rank):
        best.setdefault(getattr(text, owner), text)
    return best
