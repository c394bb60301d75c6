"""The facts around a page, and what the rules make of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from wagtail.blocks import URLBlock
from wagtail.blocks.list_block import ListValue
from wagtail.blocks.stream_block import StreamValue
from wagtail.blocks.struct_block import StructBlock
from wagtail.models import Locale
from wagtail.rich_text import RichText

from ...backends.registry import backends
from ...conf import conf
from ...html import html_to_tree
from ...topics.models import Audience, Topic, TopicGroupText, TopicText
from ...values import Capabilities, CompileContext, Key, TopicInfo
from ..compile import compile_center
from ..models import PublishedCenter
from ..serving import get_snapshot
from ..values import Snapshot
from .promises import DECIDE
from .rules import check
from .values import Facts, Finding, Written
from .wording import notice_words

if TYPE_CHECKING:
    from ..mixins import PreferenceCenterMixin

logger = logging.getLogger(__name__)

_HREF = re.compile(r"""<a\s[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


def check_page(page: PreferenceCenterMixin) -> list[Finding]:
    """What stands against publishing the page as it is in memory; stores nothing.

    Nothing goes out of here but findings: a page that cannot even be compiled must still open in the editor.
    """
    try:
        audience_id = _audience_id(page)
        return check(compile_center(page, audience_id), facts_of(page, audience_id))
    except Exception:  # a block of a third party can raise anything
        logger.exception("The preference center %s could not be checked.", page.pk)
        text = _(
            "This page could not be put together, so it cannot be checked. Ask your developers to look into the log "
            "of the site."
        )
        return [Finding("error", "not-compiled", text)]


def check_snapshot(page: PreferenceCenterMixin, snapshot: Snapshot) -> list[Finding]:
    """The same for what has just been compiled of the page."""
    try:
        return check(snapshot, facts_of(page, _audience_id(page)))
    except Exception:
        logger.exception("The preference center %s could not be checked.", page.pk)
        return []


def facts_of(page: PreferenceCenterMixin, audience_id: int | None) -> Facts:
    """Three statements for the topics library, however large it is; none without an audience. Two for other languages."""
    library = _library(audience_id, page.locale.language_code) if audience_id is not None else _Library()
    return Facts(
        language=str(page.locale),
        senders=conf.senders,
        capabilities=(capabilities := _capabilities()),
        unmapped=_unmapped(capabilities, library.topics.values()),
        place=_place,
        topics={info.key: info for info in library.topics.values()},
        untranslated=library.untranslated,
        headings=library.headings,
        written={str(child.id): _written(child, page, library) for child in page.body},
        elsewhere=_elsewhere(page),
    )


def _audience_id(page: PreferenceCenterMixin) -> int | None:
    site = page.get_site()
    return Audience.objects.filter(site=site).values_list("pk", flat=True).first() if site else None


def _elsewhere(page: PreferenceCenterMixin) -> dict[str, str]:
    """The notices of the same center in languages that were published before this one: those it was translated from.

    "de-AT" and "de" are one language.
    """
    code, found = page.locale.language_code, dict[str, str]()
    published = PublishedCenter.objects.filter(center=page.translation_key).order_by("pk")
    before = list(takewhile(lambda row: row[0] != code, published.values_list("locale", "digest")))
    others = [(other, digest) for other, digest in before if _language(other) != _language(code)]
    names = {locale.language_code: str(locale) for locale in Locale.objects.all()} if others else {}
    for other, digest in others:
        for spec in get_snapshot(digest).specs:
            found.setdefault(notice_words(spec), names.get(other, other))
    found.pop("", None)
    return found


def _language(code: str) -> str:
    return code.partition("-")[0].lower()


# --- the topics library ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Library:
    topics: dict[int, TopicInfo] = field(default_factory=dict)  # by primary key
    untranslated: frozenset[str] = frozenset()
    headings: dict[str, str] = field(default_factory=dict)


def _library(audience_id: int, locale: str) -> _Library:
    """Topics with the words they have in the locale, or in any: a finding must call them something."""
    texts, worded = _labels(TopicText.objects.filter(topic__audience_id=audience_id), "topic_id", locale)
    groups, headed = _labels(
        TopicGroupText.objects.filter(group__audience_id=audience_id), "group_id", locale
    )
    topics = list(Topic.objects.filter(audience_id=audience_id).order_by("sort_order", "key"))
    return _Library(
        {
            topic.pk: TopicInfo(
                key=topic.key,
                label=texts.get(topic.pk, topic.key),
                channels=tuple(topic.channels),
                transactional=topic.transactional,
                private=topic.private,
                archived=topic.archived,
            )
            for topic in topics
        },
        frozenset(topic.key for topic in topics if topic.pk not in worded),
        {
            topic.key: groups.get(topic.group_id, "")
            for topic in topics
            if topic.group_id is not None and topic.group_id not in headed
        },
    )


def _labels(rows: Any, owner: str, locale: str) -> tuple[dict[int, str], set[int]]:
    """{owner: its label}, and the owners that have one in exactly this locale."""
    found: dict[int, str] = {}
    exact: set[int] = set()
    for key, code, label in rows.order_by("pk").values_list(owner, "locale__language_code", "label"):
        if code == locale:
            found[key] = label
            exact.add(key)
        found.setdefault(key, label)
    return found, exact


def _capabilities() -> dict[str, Capabilities]:
    """Of the backends that send anything. One that is not set up is as good as none; a check of the system says so."""
    named = {sender for of in conf.senders.values() for sender in of.values()} - {DECIDE}
    found: dict[str, Capabilities] = {}
    for alias in named:
        try:
            found[alias] = backends[alias].capabilities
        except ImproperlyConfigured:
            logger.warning("The sender %r is no backend that could be set up.", alias)
    return found


def _unmapped(senders: Iterable[str], topics: Iterable[TopicInfo]) -> dict[str, frozenset[tuple[str, str]]]:
    """What the settings of these backends leave out of what there is."""
    pairs = [(info.key, channel) for info in topics if not info.transactional for channel in info.channels]
    found: dict[str, frozenset[tuple[str, str]]] = {}
    for alias in senders:
        try:
            found[alias] = frozenset(pair for pair in pairs if not backends[alias].maps(*pair))
        except Exception as error:  # noqa: BLE001 - a backend may be anybody's, and editors must get on with their work
            logger.warning("The sender %r cannot say what it maps (%s).", alias, type(error).__name__)
    return found


def _place(sender: str, concept: str, scope: Key, topic: str, channel: str) -> str | None:
    """Which field of a sender's holds such a wish; None where it has no place there."""
    try:
        backend = backends[sender]
        if not backend.keeps(concept, scope, topic, channel):
            return None
        return backend.describe_field(concept, topic, channel)
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("The sender %r cannot say what it keeps (%s).", sender, type(error).__name__)
        return ""


# --- what the editor wrote -------------------------------------------------------------------------------------------


def _written(child: Any, page: PreferenceCenterMixin, library: _Library) -> Written:
    fields: Mapping[str, Any] = getattr(child.block, "child_blocks", {})
    purpose = child.value.get("purpose") if "purpose" in fields else None
    ctx = CompileContext(
        locale=page.locale.language_code, direction="ltr", topics=library.topics, rich_text=html_to_tree
    )
    return Written(
        label=str(child.block.label),
        fields=frozenset(fields),
        links=tuple(
            (name, href) for name, block in fields.items() for href in _links(block, child.value.get(name))
        ),
        purpose=None if "purpose" not in fields else str(purpose or ""),
        roles=tuple(child.block.row_conditions(child.value, ctx, str(child.id))),
    )


def _links(block: Any, value: Any) -> Iterator[str]:
    """Every address in a value, at any depth: in rich text, and in fields that are addresses."""
    if isinstance(value, RichText):
        for match in _HREF.finditer(value.source):
            yield unescape(next(filter(None, match.groups()), ""))
    elif isinstance(block, URLBlock):
        if value:
            yield str(value)
    elif isinstance(value, StreamValue):
        for child in value:
            yield from _links(child.block, child.value)
    elif isinstance(value, ListValue):
        for item in value:
            yield from _links(block.child_block, item)
    elif isinstance(block, StructBlock) and isinstance(value, Mapping):
        for name, inner in block.child_blocks.items():
            yield from _links(inner, value.get(name))
