"""Words: that there are any, in the language that is published, and that they are no internal names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from ...blocks.registry import BUILT_IN
from ...html import tree_to_text
from ...values import Json, Spec, controls_of
from ..leaves import leaf_kind
from ..values import Snapshot
from .shown import leaving, name_of, private_topics, topics_of, words_of
from .values import Facts, Finding

#: A notice with fewer words may be the same in two languages.
_SO_MANY_WORDS = 4
#: Only inside a longer text is it clear what these are; alone they are unusable.
_NEEDS_LABEL = {"action"}
_NEEDS_CONTENT = {"rich_text"}

# A name that was made for machines: parts joined by underscores, a version at the end, a code of letters and at least
# three digits in a row ("NL2024", "CRM-1234", "2024-NL"). Not "COVID-19", "B2B", "A4", "2026".
_OPERATIONAL = re.compile(
    r"\w+_\w+|\b[vV]\d+(?:\.\d+)*\b|\b[A-Z]{2,}[-/.]?\d{3,}\w*\b|\b\d{3,}[-/.]?[A-Z]{2,}\b"
)


def untranslated(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`topic-untranslated`, `group-untranslated`: the words that people would get in another language."""
    told: set[str] = set()
    for spec in snapshot.specs:
        shown = [*topics_of(spec), *sorted(private_topics(spec))]
        if spec.type == "transactional":
            shown += [
                info.key
                for info in facts.topics.values()
                if info.transactional and not info.archived and not info.private
            ]
        for topic in dict.fromkeys(shown):
            field = facts.field_of(spec.block_id, "topics")
            words = {"topic": facts.label_of(topic), "language": facts.language}
            if topic in facts.untranslated and f"topic {topic}" not in told:
                told.add(f"topic {topic}")
                text = _(
                    "The topic “%(topic)s” has no words in this page's language (%(language)s). Write them under "
                    "Preferences › Topics, or take the topic out."
                )
                yield Finding("error", "topic-untranslated", text % words, spec.block_id, field)
            group = facts.headings.get(topic)
            if group is not None and f"group {group}" not in told:
                told.add(f"group {group}")
                text = _(
                    "The topic group “%(group)s” has no heading in this page's language (%(language)s). Write it under "
                    "Preferences › Topic groups."
                )
                yield Finding(
                    "error", "group-untranslated", text % {**words, "group": group}, spec.block_id, field
                )


def foreign_notices(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`notice-untranslated`: what people must be told, word for word as on the page in another language.

    Whoever reads only this page's language was told nothing, and the record would say that she was (security.md LW-17).
    """
    for spec in snapshot.specs:
        language = facts.elsewhere.get(notice_words(spec))
        if language is None:
            continue
        text = _(
            "“%(block)s” has the same words as on the page in %(other)s. People must be told in the language of the page "
            "(%(language)s): translate it."
        )
        words = {"block": name_of(spec, facts.of(spec.block_id).label), "other": language}
        yield Finding(
            "error",
            "notice-untranslated",
            text % {**words, "language": facts.language},
            spec.block_id,
            facts.field_of(spec.block_id, "content", "text"),
        )


def notice_words(spec: Spec) -> str:
    """What an editor wrote for a block that the law wants: a privacy notice, what always comes. "" for any other, and for
    so few words that they may be the same in two languages.
    """
    if not (spec.rules.get("notice") or spec.type == "transactional"):
        return ""
    trees = [spec.document.get("text"), *(control.get("content") for control in controls_of(spec.document))]
    if spec.type == "transactional":
        trees = trees[:1]  # below it are topics, which have words of their own
    words = " ".join(tree_to_text(tree) for tree in trees if tree).split()
    return " ".join(words) if len(words) >= _SO_MANY_WORDS else ""


def wordless(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`text-missing`: an empty block, a control without a label, a text without words."""
    for spec in snapshot.specs:
        block = {"block": name_of(spec, facts.of(spec.block_id).label)}
        document = spec.document
        controls = controls_of(document)
        if not controls and not document.get("text") and _says_nothing(spec, snapshot):
            text = _("“%(block)s” is empty: people would find nothing in it. Fill it in, or take it out.")
            yield Finding(
                "error",
                "text-missing",
                text % block,
                spec.block_id,
                facts.field_of(spec.block_id, "topics", "text"),
            )
        for control in controls:
            name = control["name"]
            if control["type"] == "matrix" and not control["rows"] and not private_topics(spec):
                text = _(
                    "“%(block)s” offers nothing: what was chosen for it is archived, belongs to another site, or "
                    "does not come by these channels."
                )
                yield Finding(
                    "error",
                    "text-missing",
                    text % block,
                    spec.block_id,
                    facts.field_of(spec.block_id, "topics", "channels"),
                )
            elif _is_wordless(control):
                text = _("Something in “%(block)s” has no words (%(name)s). Write them, or take it out.")
                yield Finding(
                    "error",
                    "text-missing",
                    text % {**block, "name": name},
                    spec.block_id,
                    facts.field_of(spec.block_id, name),
                )


def operational_names(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`name-operational`: what systems call a thing is nothing that people can choose by."""
    yield from _operational(snapshot.document.get("title") or "", "", "", set())
    for spec in snapshot.specs:
        told: set[str] = set()
        for part, text in words_of(spec):
            fields = {"heading": ("heading",), "topic": ("topics",), "group": ("topics",)}.get(part, ())
            yield from _operational(text, spec.block_id, facts.field_of(spec.block_id, *fields), told)


def _operational(text: str, block_id: str, field: str, told: set[str]) -> Iterator[Finding]:
    if text not in told and _OPERATIONAL.search(text):
        told.add(text)
        words = _("“%(name)s” looks like an internal name. Call it what people would call it.") % {
            "name": text
        }
        yield Finding("warning", "name-operational", words, block_id, field)


def _says_nothing(spec: Spec, snapshot: Snapshot) -> bool:
    """Whether a block without text and controls is a mistake. Alone, a heading is something in a block of words only."""
    if spec.type == "reason" and not leaving(snapshot):
        return False  # `reason-alone` says what it waits for
    return not spec.document.get("heading") or spec.type in BUILT_IN.keys() - {"rich_text"}


def _is_wordless(control: Json) -> bool:
    kind = control["type"]
    if kind in _NEEDS_CONTENT:
        return not control.get("content") and not control.get("label")
    if kind == "links":
        return any(not item.get("label") for item in control.get("items", ()))
    if leaf_kind(control) is not None or kind in _NEEDS_LABEL:
        parts = [control, *control.get("options", ())]
        return any(not str(part.get("label") or "").strip() for part in parts)
    return any(not str(row.get("label") or "").strip() for row in control.get("rows", ()))
