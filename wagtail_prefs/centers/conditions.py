"""The public condition `when` (docs/reference/center-document.md): the element evaluates the same in answers.ts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..values import Json


def holds(when: Json, answer: Any) -> bool:
    """Whether a condition holds against an answer; absent counts as null, of a list one member is enough."""
    values = answer if isinstance(answer, list | tuple) else [answer]
    if "in" in when:
        return any(_among(value, when["in"]) for value in values)
    return not any(_among(value, when["not_in"]) for value in values)


def _among(value: Any, wanted: Iterable[Any]) -> bool:
    return any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted
    )  # 1 is not true
