"""How many people have a topic, where it stands and where it goes: for the screens of the topics library."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import swapper
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..backends.base import Backend
from ..backends.registry import backends
from ..blocks.words import CHANNEL_LABELS, in_order
from ..centers.models import PublishedCenter
from ..centers.services import Snapshot, get_snapshot
from ..contacts.models import State
from ..errors import NotPublished
from ..topics.models import Topic
from ..values import CHANNELS, SUBSCRIBED, UNSUBSCRIBED, controls_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelNumbers:
    """What people have said of a topic on one channel."""

    label: str
    subscribed: int
    unsubscribed: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Place:
    """A published center on which a topic stands; `edit_url` is "" where its page is gone."""

    title: str
    locale: str
    edit_url: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a backend keeps a topic."""

    alias: str
    words: str


def _yes() -> Q:
    """Who gets it now: whoever left or was merged or erased has no yes left, and some end by themselves."""
    standing = Q(choice_until=None) | Q(choice_until__gt=timezone.now()) | Q(pending=True)
    return Q(choice=SUBSCRIBED) & standing


def with_subscribers(topics: QuerySet[Topic]) -> QuerySet[Topic]:
    """Topics with `subscribers`: how many people have a yes, by whichever channel. No query more."""
    people = (
        State.objects.filter(_yes(), topic=OuterRef("key"), contact__audience=OuterRef("audience"))
        .order_by()
        .values("topic")
        .annotate(people=Count("contact", distinct=True))
        .values("people")
    )
    counted: QuerySet[Topic] = topics.annotate(
        subscribers=Coalesce(Subquery(people), 0, output_field=models.IntegerField())
    )
    return counted


def by_channel(topic: Topic) -> list[ChannelNumbers]:
    """What was said of a topic, by channel; also of channels it no longer has, where somebody said something."""
    rows = (
        live_states(topic)
        .exclude(channel="")
        .order_by()
        .values("channel")
        .annotate(
            yes=Count("contact", filter=_yes()),
            no=Count("contact", filter=Q(choice=UNSUBSCRIBED)),
            waiting=Count("contact", filter=Q(pending=True) & ~Q(choice=UNSUBSCRIBED)),
        )
    )
    found = {row["channel"]: row for row in rows if row["yes"] or row["no"] or row["waiting"]}
    return [
        ChannelNumbers(
            str(CHANNEL_LABELS[channel]),
            *(found[channel][name] if channel in found else 0 for name in ("yes", "no", "waiting")),
        )
        for channel in in_order([*topic.channels, *found], CHANNELS)
    ]


def centers_with(topic: Topic) -> list[Place]:
    """The published centers that show a topic, in any language."""
    published = [
        row
        for row in PublishedCenter.objects.filter(audience=topic.audience_id).order_by("page_url", "locale")
        if _shows(row, topic.key)
    ]
    page_model = swapper.load_model("wagtailcore", "Page")
    titles: Mapping[int, str] = dict(
        page_model.objects.filter(pk__in={row.page_id for row in published}).values_list("pk", "title")
    )
    return [
        Place(
            titles.get(row.page_id, row.page_url),
            row.locale,
            reverse("wagtailadmin_pages:edit", args=[row.page_id]) if row.page_id in titles else "",
        )
        for row in published
    ]


def _shows(published: PublishedCenter, key: str) -> bool:
    try:
        snapshot = get_snapshot(published.digest)
    except NotPublished:
        return False
    return _is_in(snapshot, key)


def _is_in(snapshot: Snapshot, key: str) -> bool:
    """Whether a topic can be chosen there, or stands in a row that says that it always comes."""
    return any(
        any(path.startswith(f"choice:{key}:") for path in spec.paths)
        or any(
            row["key"] == key
            for control in controls_of(spec.document)
            if control["type"] == "matrix" and control["name"] == "choices"
            for row in control["rows"]
        )
        for spec in snapshot.specs
    )


def mapped(topic: Topic) -> Sequence[Mapped]:
    """Where each backend keeps a topic. From the settings: no platform is asked."""
    found = []
    for alias in backends:
        try:
            words = _mapped_at(backends[alias], topic)
        except ImproperlyConfigured:
            words = _("The settings of this backend must be mended.")
        except Exception:  # a backend may be anybody's, and this only shows something
            logger.exception("The backend %s cannot describe a topic.", alias)
            words = _("The backend could not say it.")
        found.append(Mapped(alias, words))
    return found


def _mapped_at(backend: Backend, topic: Topic) -> str:
    left_out = [channel for channel in topic.channels if not backend.maps(topic.key, channel)]
    if left_out and len(left_out) == len(topic.channels):
        return _("Not at all: nothing is named for it in the settings.")
    words = backend.describe_topic(topic.key) or _("Under its key, “%(key)s”.") % {"key": topic.key}
    if not left_out:
        return words
    channels = ", ".join(str(CHANNEL_LABELS.get(channel, channel)) for channel in left_out)
    return _("%(where)s Not by %(channels)s: nothing is named for that in the settings.") % {
        "where": words,
        "channels": channels,
    }


def live_states(topic: Topic) -> QuerySet[State]:
    """The state rows about a topic of people who are there: neither erased nor merged into another."""
    return State.objects.filter(
        topic=topic.key,
        contact__audience=topic.audience_id,
        contact__merged_into=None,
        contact__erased_at=None,
    )
