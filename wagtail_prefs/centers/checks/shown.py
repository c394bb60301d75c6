"""What stands on a page, read from its compiled blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...values import Json, Spec, controls_of
from ..leaves import leaf_kind
from ..values import Snapshot

OPTED_OUT = "opted_out"


def offered(specs: Iterable[Spec]) -> list[tuple[str, str]]:
    """(topic, channel) for every choice that can be made, each once, in the order of the page."""
    found: dict[tuple[str, str], None] = {}
    for spec in specs:
        for path in spec.paths:
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if kind == "choice" and topic:
                found[topic, channel] = None
    return list(found)


def topics_of(spec: Spec) -> list[str]:
    """The topics that a block names: to choose, to pause, to limit."""
    scopes = (path.partition(":")[2] for path in spec.paths if path.startswith(("pause:", "frequency:")))
    named = [scope.removeprefix("topic:") for scope in scopes if scope.startswith("topic:")]
    return list(dict.fromkeys([*(topic for topic, _channel in offered([spec])), *named]))


def private_topics(spec: Spec) -> set[str]:
    """The topics of a block that only some people see."""
    return {row["key"] for rows in spec.rules.get("private", {}).values() for row in rows}


def leaving(snapshot: Snapshot) -> list[Spec]:
    """The blocks by which a person leaves everything."""
    return [spec for spec in snapshot.specs if OPTED_OUT in spec.paths]


def asks(spec: Spec) -> list[Json]:
    """The controls that want an answer; a table is one of them, a button is none."""
    return [
        control
        for control in controls_of(spec.document)
        if not control.get("locked")
        and (leaf_kind(control) is not None or (control["type"] == "matrix" and _has_rows(spec, control)))
    ]


def name_of(spec: Spec, fallback: str) -> str:
    """What an editor knows a block by: its heading, else what it is called in the editor."""
    return str(spec.document.get("heading") or fallback or spec.type)


def words_of(spec: Spec) -> Iterator[tuple[str, str]]:
    """(part, text) of every short text of a block that people read: headings and labels, no running text."""
    yield "heading", spec.document.get("heading") or ""
    for control in controls_of(spec.document):
        yield "label", control.get("label") or ""
        for item in (*control.get("items", ()), *control.get("options", ()), *control.get("columns", ())):
            yield "label", item.get("label") or ""
        for row in (*control.get("rows", ()), *spec.rules.get("private", {}).get(control["name"], ())):
            yield "topic", row.get("label") or ""
            yield "group", row.get("group") or ""


def hrefs(part: Any) -> Iterator[str]:
    """Every address in a piece of a document, however deep."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name == "href" and isinstance(value, str):
                yield value
            else:
                yield from hrefs(value)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from hrefs(item)


def _has_rows(spec: Spec, matrix: Json) -> bool:
    return bool(matrix["rows"] or spec.rules.get("private", {}).get(matrix["name"]))
