"""Who sees what of a center: decided by the server, from a snapshot and a contact's state. Pure.

Three things keep something from a screen, and each means another thing for an answer to it. What is *hidden* from this
contact - by a block's conditions, or because a topic is private - was never offered to her: such an answer is refused.
What a `when` hides depends on other answers, which may have changed since: such an answer is dropped, and named. What
is *personal* is shown only to whoever came by a fresh link. Hiding changes no choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from ..errors import InvalidAnswers, StepUpRequired
from ..values import SUBSCRIBED, Answers, Assurance, ContactState, Json, Spec, controls_of
from .conditions import holds
from .form import ERASE, EXPORT, STEP_UP
from .leaves import leaf_kind, read, write
from .values import Snapshot, remembered

#: The attribute that a block of roles keeps, and the one that names the private topics a contact is invited to.
ROLE, INVITED = "role", "invited"
#: Stands for a personal value that is not told.
MASK = "•••"


#: A control, or a row of a matrix: (name,) or (name, row).
Place = tuple[str, ...]


@remembered
def is_same_for_all(snapshot: Snapshot) -> bool:
    """Whether everybody gets the same to answer, so that nothing here needs to be asked."""
    return not any(
        spec.conditions or spec.rules.get("private") or any(map(_is_special, controls_of(spec.document)))
        for spec in snapshot.specs
    )


def _is_special(control: Json) -> bool:
    if control["type"] != "matrix" and leaf_kind(control) is None:
        return False  # no answer, nothing to refuse
    whens = [control.get("when"), *(row.get("when") for row in control.get("rows", ()))]
    return bool(control.get("personal")) or any(whens)


def is_open(state: ContactState, topic: str) -> bool:
    """Whether a private topic is for this contact: she was invited to it, or was asked about it before."""
    invited = state.attributes.get(INVITED) or ()
    return (
        topic in state.private_topics
        or (isinstance(invited, list | tuple) and topic in invited)
        or any(key[0] == topic for key in (*state.choices, *state.pending))
    )


def meets(state: ContactState, condition: Json) -> bool:
    """Whether a condition of a block holds for this contact; a fact that is not known counts as ""."""
    match condition["fact"]:
        case "language":
            # "de" is for "de-AT" as well.
            values: list[Any] = [state.language, state.language.partition("-")[0]]
        case "country":
            values = [state.country]
        case "role":
            values = [state.attributes.get(ROLE) or ""]
        case "subscribed":
            values = (
                []
                if state.opted_out
                else [key[0] for key, said in state.choices.items() if said == SUBSCRIBED]
            )
        case "opted_out":
            values = [state.opted_out]
        case _:
            return False  # of a release that knows more: rather too little on a screen than too much
    if "in" in condition:
        return any(value in condition["in"] for value in values)
    return not any(value in condition["not_in"] for value in values)


def hidden(snapshot: Snapshot, state: ContactState) -> list[str]:
    """The blocks that this contact does not get, by their ids."""
    return [
        spec.block_id
        for spec in snapshot.specs
        if spec.conditions and not all(meets(state, condition) for condition in spec.conditions)
    ]


def private_rows(snapshot: Snapshot, state: ContactState) -> dict[str, dict[str, list[Json]]]:
    """The rows that this contact gets beyond those of the document: {block: {control: [row]}}."""
    found: dict[str, dict[str, list[Json]]] = {}
    for spec in snapshot.specs:
        for name, rows in spec.rules.get("private", {}).items():
            shown = [row for row in rows if is_open(state, row["key"])]
            if shown:
                found.setdefault(spec.block_id, {})[name] = shown
    return found


def closed_rows(spec: Spec, state: ContactState) -> list[Json]:
    """The private rows of a block that this contact does not get."""
    rows = [row for rows in spec.rules.get("private", {}).values() for row in rows]
    return [row for row in rows if not is_open(state, row["key"])]


def told(
    snapshot: Snapshot, answers: Mapping[str, Json], gone: Collection[str], assurance: Assurance
) -> dict[str, Json]:
    """Answers as they may be told: none of the blocks that are `gone` for this contact.

    Of a personal one, who came by an old mail hears only that there is one (security.md TK-08).
    """
    found = {block_id: given for block_id, given in answers.items() if block_id not in gone}
    if assurance == "fresh":
        return found
    for spec in snapshot.specs:
        personal = _personal(spec) & found.get(spec.block_id, {}).keys()
        if personal:
            found[spec.block_id] = {**found[spec.block_id], **dict.fromkeys(personal, MASK)}
    return found


def sift(
    snapshot: Snapshot,
    answers: Answers,
    state: ContactState,
    initial: Mapping[str, Json],
    assurance: Assurance = "link",
) -> Answers:
    """Hold answers against what this contact can see, and leave out what other answers hide.

    `initial` are the answers of her state, as `initial_answers` gives them. Raises InvalidAnswers for what is hidden
    from her, StepUpRequired for personal fields without a fresh link.
    """
    gone = set(hidden(snapshot, state))
    errors: dict[str, dict[str, list[str]]] = {}
    kept: dict[str, Any] = {}
    now_on_screen = _merged(
        {block_id: stored for block_id, stored in initial.items() if block_id not in gone}, answers
    )
    with translation.override(snapshot.locale):
        refusal = _("This is not offered here.")
    for block_id, given in answers.items():
        spec = snapshot.spec(block_id)
        if spec is None:
            kept[block_id] = given  # not here to judge
            continue
        if block_id in gone:
            errors[block_id] = {"__all__": [refusal]}
            continue
        if assurance != "fresh" and _personal(spec) & given.keys():
            raise StepUpRequired
        closed = {row["key"] for row in closed_rows(spec, state)}
        own: dict[str, Any] = {}
        for place, value in _places(spec, given):
            if len(place) > 1 and place[-1] in closed:
                errors.setdefault(block_id, {})[".".join(place)] = [refusal]
            elif _is_shown(spec, place, now_on_screen):
                write(own, place, value)
        if own or not given:
            kept[block_id] = own
    if errors:
        raise InvalidAnswers(errors)
    return kept


def pointless(snapshot: Snapshot, assurance: Assurance) -> tuple[str, ...]:
    """The buttons, as `block_id.control`, that are nothing for who came this way: those that mail a fresh link for whoever
    has just come by one, and those that take one for everybody else.
    """
    mailing, taking = _by_link(snapshot)
    return mailing if assurance == "fresh" else taking


@remembered
def _by_link(snapshot: Snapshot) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for spec in snapshot.specs:
        for control in controls_of(spec.document):
            if control["type"] == "action" and isinstance(control["do"], str):
                found.setdefault(control["do"], []).append(f"{spec.block_id}.{control['name']}")
    return tuple(found.get(STEP_UP, ())), (*found.get(EXPORT, ()), *found.get(ERASE, ()))


def told_attributes(snapshot: Snapshot) -> set[str]:
    """The paths of attributes that this page tells anybody who has a link of hers."""
    return {
        path
        for spec in snapshot.specs
        for path, (where, _label) in spec.paths.items()
        if path.startswith("attribute:") and where.partition(".")[0] not in _personal(spec)
    }


# --- one block -------------------------------------------------------------------------------------------------------


def _personal(spec: Spec) -> set[str]:
    return {control["name"] for control in controls_of(spec.document) if control.get("personal")}


def _rows(spec: Spec) -> dict[str, list[Json]]:
    private = spec.rules.get("private", {})
    return {
        control["name"]: [*control["rows"], *private.get(control["name"], ())]
        for control in controls_of(spec.document)
        if control["type"] == "matrix"
    }


def _places(spec: Spec, given: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    """Answers by what a `when` can stand on: controls, and rows of a matrix."""
    matrices = _rows(spec)
    for name, value in given.items():
        if name in matrices and isinstance(value, Mapping) and value:
            yield from (((name, row), answer) for row, answer in value.items())
        else:
            yield (name,), value


def _is_shown(spec: Spec, place: Place, answers: Mapping[str, Any]) -> bool:
    name, *row = place
    conditions = [control.get("when") for control in controls_of(spec.document) if control["name"] == name]
    if row:
        conditions += [found.get("when") for found in _rows(spec).get(name, ()) if [found["key"]] == row]
    return all(
        holds(when, read(answers.get(when["block"], {}), when["control"].split(".")))
        for when in conditions
        if when
    )


def _merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Answers over answers, member by member: what is on the screen of whoever gave these."""
    found = dict(stored)
    for name, value in given.items():
        before = found.get(name)
        found[name] = (
            _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return found
