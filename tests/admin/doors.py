"""Every door of ours in the admin: the URLs, a row for each that needs one, and what a forged form would send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.contacts.models import Contact, State, Suppression
from wagtail_prefs.delivery.models import Backfill, Delivery
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.rights.models import Duplicate, DuplicateScan, Erasure, RetentionRun
from wagtail_prefs.sync.models import DriftRun, ImportRun, ImportUpload
from wagtail_prefs.topics.models import Audience, Topic, TopicGroup, TopicMerge, TopicText

#: What nobody may change who may not.
TABLES = (
    ApiKey, Audience, Backfill, Contact, Delivery, DriftRun, Duplicate, DuplicateScan, Erasure, ImportRun, ImportUpload, Record, RetentionRun, State, Subscriber, Suppression, Topic, TopicGroup, TopicMerge, TopicText,
)  # fmt: skip
#: Wagtail's own, for everybody who may open the admin: names of topics for the editors of pages, and pages that a user
#: may edit, which is none here.
FOR_ALL = (
    "wagtailsnippetchoosers_wagtail_prefs_topic:", "wagtailsnippetchoosers_wagtail_prefs_topicgroup:",
    "wagtailsnippetchoosers_wagtail_prefs_audience:", "prefs_centers:",
)  # fmt: skip

#: About no site and no person: whoever may look at it for one site looks at the same as everybody.
OF_NO_SITE = ("prefs_law:",)


def our_urls() -> Iterator[tuple[str, str]]:
    """(name, path) of every URL in the admin that is ours, or about something of ours."""

    def walk(resolver: Any, names: tuple[str, ...], prefix: str) -> Iterator[tuple[str, str, Any]]:
        for entry in resolver.url_patterns:
            if isinstance(entry, URLResolver):
                inner = (*names, entry.namespace) if entry.namespace else names
                yield from walk(entry, inner, prefix + str(entry.pattern))
            elif isinstance(entry, URLPattern) and entry.name:
                yield ":".join((*names, entry.name)), prefix + str(entry.pattern), entry.callback

    for name, path, callback in walk(get_resolver(), (), ""):
        if path.startswith("admin/") and ("prefs" in name or _is_ours(callback)):
            yield name, path


def _is_ours(callback: Any) -> bool:
    while hasattr(callback, "__wrapped__"):
        callback = callback.__wrapped__
    return str(getattr(callback, "view_class", callback).__module__).startswith("wagtail_prefs")


#: A form that would do something anywhere.
FORGED = {
    "everything": "opt_out", "reason": "forged", "base_version": "1", "step": "confirm", "into": "1",
    "act": "00000000-0000-4000-8000-000000000000", "word": "erase", "key": "forged", "name": "Forged",
}  # fmt: skip


def everything() -> list[Any]:
    return [list(model._default_manager.order_by("pk").values()) for model in TABLES]


def turned_away(answer: Any) -> bool:
    """To the door of the admin, as Wagtail does it, or told that there is nothing."""
    return answer.status_code in {403, 404, 405} or (
        answer.status_code == 302 and answer["Location"] == reverse("wagtailadmin_home")
    )
