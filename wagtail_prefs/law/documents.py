"""A strict reading of YAML: plain data and the line each value stands on, and nothing a reader could take for another thing.

Refused: aliases and anchors, tags, keys that come twice, keys that are no text, more than one document, deep nesting,
more than 1 MiB - and the words yes, no, on and off without quotes, which YAML 1.1 takes for true and false: Norway
would be `False`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16
_AMBIGUOUS = "!ambiguous"

#: Where a value stands: the keys, and the positions in lists, that lead to it.
Place = tuple[str, ...]


class Unreadable(Exception):
    """No such document; `problems` name the line of each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """What stands in a file, and the line (from 1) of each key and list item."""

    data: Any
    lines: Mapping[Place, int]


class _Loader(yaml.SafeLoader):
    """Makes nodes only, never objects; true, false, null and decimal numbers are the only scalars that are no text."""

    yaml_implicit_resolvers = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are refused", problem_mark=event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are refused", problem_mark=event.start_mark)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"null|Null|NULL|~|", "nN~"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_AMBIGUOUS, r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", "yYnNoO"),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]{0,15})", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?(0|[1-9][0-9]{0,15})\.[0-9]{1,15}", "-0123456789"),
):
    _Loader.add_implicit_resolver(
        _tag, re.compile(rf"(?:{_pattern})\Z"), [*_first, *([""] if "~" in _first else [])]
    )


def parse(raw: bytes) -> Document:
    """Read a file's bytes. Raises Unreadable."""
    if len(raw) > MAX_BYTES:
        raise Unreadable([f"larger than {MAX_BYTES // 1024} KiB"])
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
    except UnicodeDecodeError as problem:
        raise Unreadable([f"byte {problem.start} is not UTF-8"]) from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise Unreadable([f"{where}{problem.problem or problem.context}"]) from None
    except yaml.YAMLError as problem:  # a character that is not printable
        raise Unreadable([str(problem).replace("\n", " ")]) from None
    plain = _Plain()
    data = plain.value(node, ()) if node is not None else None
    if plain.problems:
        raise Unreadable(plain.problems)
    return Document(data, plain.lines)


class _Plain:
    """Nodes to dicts, lists, texts, numbers, true, false and None."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.lines: dict[Place, int] = {}

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, str(i))) for i, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            scalar = isinstance(key_node, yaml.ScalarNode)
            key = self._scalar(key_node, (*place, key_node.value)) if scalar else None
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                if key is not _REFUSED:
                    shown = key_node.value if scalar else "a list or a mapping"
                    self._say(place, line, f"the key {shown!r} is no text; quote it")
                continue
            if key in found:
                self._say((*place, key), line, "stands here a second time")
            self.lines[(*place, key)] = line
            found[key] = self.value(value_node, (*place, key))
        return found

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "!ambiguous":
                self._say(
                    place,
                    node.start_mark.line + 1,
                    f'{text} without quotes is read as {text.lower() in {"yes", "on"}}; write "{text}", or true or false',
                )
                return _REFUSED
        return text

    def _say(self, place: Place, line: int, problem: str) -> None:
        self.problems.append(f"{written(place)} (line {line}): {problem}")


#: Stands for a value about which something was said already.
_REFUSED = object()


def written(place: Place) -> str:
    """("jurisdictions", "DE", "model") -> "jurisdictions.DE.model"."""
    return ".".join(place) or "the file"
