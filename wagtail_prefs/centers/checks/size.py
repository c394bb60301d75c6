"""More than people read through."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from ..values import Snapshot
from .shown import asks, offered, private_topics
from .values import Facts, Finding

MAX_TOPICS = 6
MAX_FIELDS = 10


def many_topics(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`topics-many`: private ones are not counted, for few see them."""
    private = set().union(*(private_topics(spec) for spec in snapshot.specs))
    topics = {topic for topic, _channel in offered(snapshot.specs)} - private
    if len(topics) > MAX_TOPICS:
        text = _(
            "People choose among %(count)s topics here; beyond %(max)s they tend to leave altogether. Bring some "
            "together, or show them by role."
        )
        block = next(spec.block_id for spec in snapshot.specs if offered([spec]))
        words = {"count": len(topics), "max": MAX_TOPICS}
        yield Finding("warning", "topics-many", text % words, block, facts.field_of(block, "topics"))


def many_fields(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`fields-many`: whatever wants an answer counts as one, and a table of choices as one."""
    count = sum(len(asks(spec)) for spec in snapshot.specs)
    if count > MAX_FIELDS:
        text = _(
            "This page asks %(count)s things; beyond %(max)s few people answer any. Keep what you will use, and ask "
            "the rest another time."
        )
        yield Finding("warning", "fields-many", text % {"count": count, "max": MAX_FIELDS})
