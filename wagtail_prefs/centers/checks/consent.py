"""Nothing is ticked that its owner did not tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from ...blocks.registry import block_class
from ...values import ContactState, Spec, controls_of
from ..values import Snapshot
from .shown import name_of
from .values import Facts, Finding

#: Somebody of whom nothing is known: whatever is ticked for her was ticked by somebody else.
NOBODY = ContactState(id=UUID(int=0), audience="")

#: Names under which renderers and other systems know a choice made beforehand. No control of ours has any.
_DEFAULTS = ("default", "checked", "selected", "initial", "value")


def pre_ticked(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`consent-preset`: answers that stand there before anybody gave one. Also of blocks that a site has added."""
    for spec in snapshot.specs:
        labels = dict(spec.paths.values())
        controls = {control["name"]: control.get("label") or "" for control in controls_of(spec.document)}
        for path in dict.fromkeys([*_given(spec), *_drawn(spec)]):
            what = labels.get(path) or controls.get(path.partition(".")[0]) or path
            text = _(
                "“%(what)s” in “%(block)s” is chosen before anybody has chosen it. Take the preset away: only what a "
                "person ticks herself counts as her consent."
            )
            words = {"what": what, "block": name_of(spec, facts.of(spec.block_id).label)}
            yield Finding(
                "error",
                "consent-preset",
                text % words,
                spec.block_id,
                facts.field_of(spec.block_id, path.partition(".")[0]),
            )


def _given(spec: Spec) -> Iterator[str]:
    """The paths of what the block answers in the name of somebody who was never asked."""
    try:
        block = block_class(spec.type)
    except LookupError:
        return
    yield from _held(block.initial(spec, NOBODY))


def _held(answers: Any, path: str = "") -> Iterator[str]:
    if isinstance(answers, Mapping):
        for name, value in answers.items():
            yield from _held(value, f"{path}.{name}" if path else str(name))
    elif answers or (isinstance(answers, int | float) and answers is not False):  # 0 is an answer to a scale
        yield path


def _drawn(spec: Spec) -> Iterator[str]:
    """The controls, rows and options that a renderer would draw as chosen."""
    for control in controls_of(spec.document):
        name = control["name"]
        if _is_preset(control) or any(
            _is_preset(part) for kind in ("options", "columns") for part in control.get(kind, ())
        ):
            yield name
        yield from (f"{name}.{row['key']}" for row in control.get("rows", ()) if _is_preset(row))


def _is_preset(part: Mapping[str, Any]) -> bool:
    return any(part.get(name) for name in _DEFAULTS)
