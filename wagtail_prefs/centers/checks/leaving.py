"""To leave must be as easy as to stay. Staying takes one press, so leaving may not take more, nor be looked for.

Measured on the compiled page: whether everybody gets the button, whether it is one press, how it looks, how far down
it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.utils.translation import gettext as _

from ...values import Json, Spec, controls_of
from ..values import Snapshot
from .shown import OPTED_OUT, asks, leaving, name_of
from .values import Facts, Finding

#: Blocks that ask something and stand above the way out.
MAX_ABOVE = 6
#: How the button that saves looks is "primary"; these are not weaker.
STRONG = ("primary", "danger")


def hidden_from_some(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`leaving-hidden`: there is a way out, and some people do not get it."""
    blocks = leaving(snapshot)
    if blocks and all(_is_for_some(spec) for spec in blocks):
        text = _(
            "“%(block)s” is not shown to everybody. Take away its conditions: whoever gets messages must be able to "
            "end them."
        )
        yield _finding(
            "leaving-hidden", text, blocks[0], facts, facts.field_of(blocks[0].block_id, "conditions")
        )


def more_presses(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`leaving-longer`: leaving takes a tick and a save, where one button would do."""
    blocks = leaving(snapshot)
    if blocks and not any(_way_out(spec) for spec in blocks):
        text = _(
            "Leaving by “%(block)s” takes more than one press. Use the block “Unsubscribe from everything”, whose "
            "button works at once."
        )
        yield _finding("leaving-longer", text, blocks[0], facts)


def weaker_button(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`leaving-weaker`: the button to leave is drawn less than the one that saves."""
    buttons = [(spec, button) for spec in leaving(snapshot) for button in _way_out(spec)]
    if buttons and not any(button.get("style") in STRONG for _spec, button in buttons):
        text = _(
            "The button to leave in “%(block)s” is drawn weaker than the one that saves. Give it the same weight."
        )
        yield _finding("leaving-weaker", text, buttons[0][0], facts)


def far_down(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`leaving-far`: one must pass by many questions to get there."""
    above = 0
    for spec in snapshot.specs:
        if OPTED_OUT in spec.paths:
            if above > MAX_ABOVE:
                text = _(
                    "“%(block)s” stands below %(count)s blocks that ask something. Move it up, so that people who want to "
                    "leave find it."
                )
                yield _finding("leaving-far", text, spec, facts, count=above)
            return
        above += bool(asks(spec))


def _way_out(spec: Spec) -> list[Json]:
    """The buttons that end everything at one press."""
    return [
        control
        for control in controls_of(spec.document)
        if control["type"] == "action"
        and isinstance(control.get("do"), Mapping)
        and (control["do"].get("answers") or {}).get(spec.paths[OPTED_OUT][0]) is True
    ]


def _is_for_some(spec: Spec) -> bool:
    own = spec.paths[OPTED_OUT][0]
    ways = _way_out(spec) or [control for control in asks(spec) if control["name"] == own]
    hidden = [condition for condition in spec.conditions if condition != {"fact": OPTED_OUT, "in": [False]}]
    return bool(hidden) or (bool(ways) and all(_hides(control.get("when"), spec, own) for control in ways))


def _hides(when: Json | None, spec: Spec, own: str) -> bool:
    """Whether a condition can hide the way out; one on itself only swaps it with the way back."""
    return when is not None and (when["block"], when["control"]) != (spec.block_id, own)


def _finding(code: str, text: str, spec: Spec, facts: Facts, field: str = "", **words: object) -> Finding:
    named = {"block": name_of(spec, facts.of(spec.block_id).label), **words}
    return Finding("warning", code, text % named, spec.block_id, field)
