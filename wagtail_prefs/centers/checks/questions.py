"""Questions that somebody needs, and that fit together."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from ..values import Snapshot
from .shown import leaving, name_of, offered
from .values import Facts, Finding


def without_purpose(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`question-purpose`: an attribute is asked for, and nobody says what for."""
    for spec in snapshot.specs:
        written = facts.of(spec.block_id)
        attributes = spec.rules.get("attributes") or {}
        idle = [one.get("label") or key for key, one in attributes.items() if not one.get("purpose")]
        if not attributes and written.purpose is not None and not written.purpose.strip():
            idle = [name_of(spec, written.label)]
        if idle:
            text = _("Say in “%(block)s” what the answer is for (%(what)s). Do not ask what nobody will use.")
            words = {"block": name_of(spec, written.label), "what": ", ".join(map(str, idle))}
            field = facts.field_of(spec.block_id, "purpose")
            yield Finding("warning", "question-purpose", text % words, spec.block_id, field)


def asked_twice(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`attribute-twice`: two blocks write the same attribute, so the last answer replaces the first."""
    first: dict[str, str] = {}
    for spec in snapshot.specs:
        name = name_of(spec, facts.of(spec.block_id).label)
        for path in spec.paths:
            kind, _colon, key = path.partition(":")
            if kind != "attribute":
                continue
            if path in first:
                text = _(
                    "“%(block)s” and “%(other)s” keep their answers under the same key (%(key)s), so one replaces the "
                    "other. Give one of them another key."
                )
                words = {"block": name, "other": first[path], "key": key}
                field = facts.field_of(spec.block_id, "key", "attribute")
                yield Finding("warning", "attribute-twice", text % words, spec.block_id, field)
            first.setdefault(path, name)


def reason_alone(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`reason-alone`: asks why somebody leaves where nobody can."""
    if leaving(snapshot):
        return
    for spec in snapshot.specs:
        if spec.type == "reason":
            text = _(
                "“%(block)s” asks why somebody leaves, but nobody can leave here. Add “Unsubscribe from everything”."
            )
            words = {"block": name_of(spec, facts.of(spec.block_id).label)}
            yield Finding("warning", "reason-alone", text % words, spec.block_id)


def role_without_topics(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`role-topics`: a role shows topics that are not on the page."""
    topics = {topic for topic, _channel in offered(snapshot.specs)}
    for spec in snapshot.specs:
        written = facts.of(spec.block_id)
        missing = [facts.label_of(topic) for topic in written.roles if topic not in topics]
        if missing:
            text = _(
                "“%(block)s” shows topics that are not on this page: %(topics)s. Add them to a block of topics, or "
                "take them out of the roles."
            )
            words = {"block": name_of(spec, written.label), "topics": ", ".join(missing)}
            field = facts.field_of(spec.block_id, "roles")
            yield Finding("warning", "role-topics", text % words, spec.block_id, field)
