"""The single things that can be answered in a center, and how each is spelled in an HTML form.

A leaf is a toggle, a pick, a text; a matrix has one for each cell. Its HTML name is its answer's path,
`{block_id}.{control}[.{row}[.{column}]]` (design.md s5), so what is drawn and what is parsed cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..values import Json, controls_of

Kind = Literal["toggle", "pick", "many", "integer", "text", "date"]

_KINDS: Mapping[str, Kind] = {
    "toggle": "toggle",
    "one_of": "pick",
    "select": "pick",
    "many_of": "many",
    "scale": "integer",
    "text": "text",
    "date": "date",
}
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing that can be answered: where its answer stands in the block's answers, and of what kind it is."""

    block: str
    path: tuple[str, ...]  # control[, row[, column]]
    kind: Kind

    @property
    def name(self) -> str:
        """Its name in the form."""
        return ".".join((self.block, *self.path))

    @property
    def field(self) -> str:
        """Its key in the errors of the block."""
        return ".".join(self.path)


def leaf_kind(control: Json) -> Kind | None:
    """The kind of a control that is one leaf; None for a matrix and for what cannot be answered."""
    return _KINDS.get(control["type"])


def cell_kind(matrix: Json) -> Kind:
    """The kind of the cells of a matrix."""
    return "pick" if matrix["cell"] == "one_of" else "toggle"


def is_flat(matrix: Json) -> bool:
    """Whether a row of this matrix has one answer instead of one for each column."""
    return bool(matrix.get("single")) or matrix["cell"] == "one_of"


def columns_of(matrix: Json, row: Json) -> list[Json]:
    """The columns that a row offers."""
    offered = row.get("columns")
    return [column for column in matrix["columns"] if offered is None or column["key"] in offered]


def leaves(block: Json, paths: Iterable[str] = ()) -> dict[str, Leaf]:
    """All leaves of a block's document by name, without what is locked.

    `paths` are the answer paths of the spec: rows that only some people see stand there and not in the document.
    """
    found: dict[str, Leaf] = {}
    beyond = [tuple(path.split(".")) for path in paths]
    for control in controls_of(block):
        if control.get("locked"):
            continue
        kind = leaf_kind(control)
        if kind:
            places: Iterable[tuple[str, ...]] = [(control["name"],)]
        elif control["type"] == "matrix":
            kind = cell_kind(control)
            places = _matrix_places(control, beyond)
        else:
            continue
        for place in places:
            leaf = Leaf(block["id"], place, kind)
            found[leaf.name] = leaf
    return found


def _matrix_places(matrix: Json, beyond: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    name, flat = matrix["name"], is_flat(matrix)
    public = {row["key"] for row in matrix["rows"]}
    for row in matrix["rows"]:
        if row.get("locked"):
            continue
        if flat:
            yield (name, row["key"])
        else:
            yield from ((name, row["key"], column["key"]) for column in columns_of(matrix, row))
    for place in beyond:
        if place[0] == name and len(place) == (2 if flat else 3) and place[1] not in public:
            yield place


# --- spelling --------------------------------------------------------------------------------------------------------


def spell(kind: Kind, value: Any) -> str:
    """An answer as the hidden `was.{name}` holds it; "" is absent."""
    if value is None:
        return ""
    if kind == "toggle":
        return "1" if value else "0"
    if kind == "many":
        return " ".join(value)  # keys hold no spaces
    return str(value)


def unspell(kind: Kind, given: Sequence[str], was: str) -> tuple[bool, Any]:
    """Whether what a form sent differs from what was drawn, and the answer it then is.

    `given` are all values sent under the name. Raises ValueError for what no form of ours would send.
    """
    if kind == "toggle":
        if list(given) not in ([], ["1"]):
            raise ValueError("not a tick")
        return (bool(given) != (was == "1"), bool(given))
    if kind == "many":
        return (set(given) != set(was.split()), list(dict.fromkeys(given)))
    if len(given) > 1:
        raise ValueError("more than one value")
    if not given:  # no option of a group was picked
        return (False, None)
    text = lines(given[0])
    if text == lines(was):
        return (False, None)
    if kind == "text":
        return (True, text)
    if not text:
        return (True, None)
    if kind == "integer":
        if not _INTEGER.fullmatch(text):
            raise ValueError("not a whole number")
        return (True, int(text))
    return (True, text)


def lines(text: str) -> str:
    """Line ends as we keep them: a form sends CR LF, whatever was drawn (HTML s4.10.21.8)."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(answers: Mapping[str, Any], place: Sequence[str]) -> Any:
    """The answer at a path below a block, or None."""
    at: Any = answers
    for key in place:
        if not isinstance(at, Mapping):
            return None
        at = at.get(key)
    return at


def write(answers: dict[str, Any], place: Sequence[str], value: Any) -> None:
    """Put an answer at a path below a block."""
    for key in place[:-1]:
        answers = answers.setdefault(key, {})
    answers[place[-1]] = value
