"""Answers against the snapshot that was shown: what it offered is accepted, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.utils import timezone, translation
from django.utils.translation import gettext as _
from rest_framework import serializers

from ..blocks.fields import AnyField, ObjectField
from ..blocks.registry import block_classes
from ..changes import Change
from ..contacts.rules import contradictions, effective
from ..errors import InvalidAnswers
from ..values import Answers, ContactState, Json, Spec
from .values import Snapshot, remembered

#: Where an answer that is wrong as a whole is reported.
WHOLE = "__all__"

Errors = dict[str, dict[str, list[str]]]


def answers_to_changes(snapshot: Snapshot, answers: Answers) -> tuple[Change, ...]:
    """Validate answers and say what they change, in the order of the blocks on the page.

    Raises InvalidAnswers, with messages in the snapshot's language, for an unknown block, a field that the snapshot
    does not offer, a wrong type, and for answers that contradict each other.
    """
    classes = block_classes()
    with translation.override(snapshot.locale):
        errors: Errors = {}
        found: list[tuple[Spec, Change]] = []
        for block_id in answers:
            if snapshot.spec(block_id) is None:
                errors[block_id] = {WHOLE: [_("This center has no such block.")]}
        for spec in snapshot.specs:
            block = classes.get(spec.type)
            if spec.block_id not in answers or block is None:  # the site has taken that block away since
                continue
            try:
                valid = _field(snapshot, spec.block_id, block.fields).run_validation(answers[spec.block_id])
            except serializers.ValidationError as refused:
                errors[spec.block_id] = dict(_flat(refused.detail))
                continue
            found += [(spec, change) for change in block.changes(spec, valid)]
        errors = errors or _contradictions(found)
    if errors:
        raise InvalidAnswers(errors)
    # Two blocks that say the same thing say it once.
    return tuple(dict.fromkeys(change for _spec, change in found))


def today(state: ContactState) -> ContactState:
    """The state as it holds now: without pauses that are over, and with consents that have ended as a no."""
    return effective(state, timezone.now()) if state.pauses or state.until else state


def initial_answers(snapshot: Snapshot, state: ContactState) -> dict[str, Json]:
    """The contact's present answers by block. Absent is "never asked"; such a block is left out."""
    state = today(state)
    classes = block_classes()
    drawn = {
        spec.block_id: classes[spec.type].initial(spec, state)
        for spec in snapshot.specs
        if spec.type in classes
    }
    return {block_id: answers for block_id, answers in drawn.items() if answers}


def pending_paths(snapshot: Snapshot, state: ContactState) -> list[str]:
    """Answers that wait for a confirmation, as `block_id.choices.offers.email`."""
    state = today(state)
    if not state.pending:
        return []
    waiting = {f"choice:{topic}:{channel}" for topic, channel in state.pending}
    return [
        f"{spec.block_id}.{path}"
        for spec in snapshot.specs
        for key, (path, _l) in spec.paths.items()
        if key in waiting
    ]


@remembered  # making fields takes longer than using them
def _field(snapshot: Snapshot, block_id: str, fields: Callable[[Spec], dict[str, AnyField]]) -> ObjectField:
    """What answers to a block of a snapshot may be. Threads share it: to validate changes nothing in a field."""
    spec = snapshot.spec(block_id)
    assert spec is not None  # noqa: S101 - whoever asks has found it there
    return ObjectField(fields(spec))


def _contradictions(found: list[tuple[Spec, Change]]) -> Errors:
    """Nobody can mean two things at once, and guessing which one would be choosing for her."""
    torn = {change for pair in contradictions(change for _spec, change in found) for change in pair}
    errors: Errors = {}
    for spec, change in found:
        if change in torn:
            where = spec.paths.get(change.path, (WHOLE, ""))[0]
            message = _("This contradicts another of these answers. Send one of the two.")
            errors.setdefault(spec.block_id, {})[where] = [message]
    return errors


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """DRF's nested errors with dotted keys: {"choices.news.sms": [...]}."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path or WHOLE, [str(message) for message in detail]
