"""An HTML form, as a browser without JavaScript sends it, turned into answers (design.md s5).

Beside each input stands a hidden `was.{name}` with the value that was drawn. Only what differs from it is an answer:
a tab that is days old sends what the person touched, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.utils import translation
from django.utils.translation import gettext as _

from ..errors import InvalidAnswers
from ..values import Answers, Json, controls_of
from .leaves import Leaf, leaves, unspell, write
from .values import Snapshot

WAS = "was."
#: A bearer that says how she came in, where that was by a fresh link.
SESSION = "session"
#: What stands in the form once.
HIDDEN = ("base_version", "revision", "idempotency_key", SESSION)
#: Begins the value of the button that takes back what was saved just now; behind its dot stands the receipt.
UNDO = "undo"
#: The button that ends everything on a page whose blocks have none.
OPT_OUT = "opt_out"
#: What a button does that mails a fresh link.
STEP_UP = "step_up"
#: What buttons do that take one: her data, and forgetting her.
EXPORT, ERASE = "export", "erase"

_VERSION = re.compile(r"[0-9]{1,15}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY = re.compile(r"[!-~]{1,64}", re.ASCII)
_RECEIPT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a form says: the answers that differ from what was drawn, and on what they were made.

    `undo` is the receipt of what is to be taken back, `step_up` asks for a fresh link, `right` is EXPORT or ERASE, and
    `leave` is the page's own way out; then there are no answers.
    """

    answers: Answers
    base_version: int
    revision: str
    idempotency_key: str
    undo: UUID | None = None
    step_up: bool = False
    leave: bool = False
    right: str = ""


def form_to_answers(snapshot: Snapshot, data: QueryDict) -> Submitted:
    """Read the form of a page that was drawn from `snapshot`.

    A pressed action sends its own answers and ignores the rest. Raises InvalidAnswers for names that the snapshot
    does not have and for values no form of ours would send; whether an answer is allowed is judged later, by the
    same code that judges the API's.
    """
    with translation.override(snapshot.locale):
        for name, pattern in (("base_version", _VERSION), ("revision", _DIGEST), ("idempotency_key", _KEY)):
            if len(data.getlist(name)) != 1 or not pattern.fullmatch(one(data, name)):
                raise InvalidAnswers(
                    {"": {name: [_("The form is not complete. Please load the page again.")]}}
                )
        if one(data, "revision") != snapshot.digest:
            raise InvalidAnswers(
                {"": {"revision": [_("The page has changed. Please check your choices and save again.")]}}
            )
        pressed = data.getlist("do")
        undo, does = _taken_back(snapshot, pressed), _does(snapshot, pressed)
        step_up, right = does == STEP_UP, does if does in {EXPORT, ERASE} else ""
        leave = pressed == [OPT_OUT]
        if undo is not None or step_up or leave or right:
            answers: Answers = {}
        else:
            answers = _pressed(snapshot, pressed) if pressed else _edited(snapshot, data)
    return Submitted(
        answers,
        int(one(data, "base_version")),
        snapshot.digest,
        one(data, "idempotency_key"),
        undo,
        step_up,
        leave,
        right,
    )


def one(data: QueryDict, name: str) -> str:
    """The value of a name that a form has once, "" without it."""
    return next(iter(data.getlist(name)), "")


def revision_of(data: QueryDict) -> str:
    """The snapshot a form was drawn from, "" where it does not say so properly."""
    revision = one(data, "revision")
    return revision if _DIGEST.fullmatch(revision) else ""


def form_bytes(snapshot: Snapshot) -> int:
    """More bytes than a browser ever sends for this center, whatever is ticked: names twice, keys, the longest texts.

    The names are long (a block id is a UUID), so a center of a hundred topics is beyond what is plenty for JSON.
    """
    size = 2048
    for block, found in blocks_with_leaves(snapshot):
        size += sum(2 * len(name) + 96 for name in found)
        for control in controls_of(block):
            # A character is at most four bytes, and each is written as three; what was drawn comes back as well.
            size += 24 * int((control.get("constraints") or {}).get("max_length") or 0)
            size += sum(
                2 * len(option["key"]) + len(control["name"]) + 64 for option in control.get("options", ())
            )
    return size


def blocks_with_leaves(snapshot: Snapshot) -> Iterator[tuple[Json, Mapping[str, Leaf]]]:
    """Each block's document, with all that can be answered in it."""
    paths = {spec.block_id: [where for where, _label in spec.paths.values()] for spec in snapshot.specs}
    for block in snapshot.document["blocks"]:
        yield block, leaves(block, paths.get(block["id"], ()))


def _edited(snapshot: Snapshot, data: QueryDict) -> Answers:
    known = {name: leaf for _block, found in blocks_with_leaves(snapshot) for name, leaf in found.items()}
    sent = [name.removeprefix(WAS) for name in data if name not in HIDDEN]
    answers: dict[str, dict[str, Any]] = {}
    errors: dict[str, dict[str, list[str]]] = {}
    for name in dict.fromkeys(sent):
        leaf = known.get(name)
        if leaf is None:
            block, _dot, field = name.partition(".")
            errors.setdefault(block, {})[field] = [_("This is not offered here.")]
            continue
        was = data.getlist(WAS + name)
        try:
            if len(was) > 1:
                raise ValueError("drawn once, sent twice")
            differs, value = unspell(leaf.kind, data.getlist(name), one(data, WAS + name))
        except ValueError:
            errors.setdefault(leaf.block, {})[leaf.field] = [_("Please check this answer.")]
            continue
        if differs:
            write(answers.setdefault(leaf.block, {}), leaf.path, value)
    if errors:
        raise InvalidAnswers(errors)
    return answers


def _taken_back(snapshot: Snapshot, pressed: list[str]) -> UUID | None:
    """The receipt that the button of an entry, or of the message of a save, names; whose it is, and whether it is too
    late, is found out later.
    """
    if len(pressed) == 1:
        place, _dot, receipt = pressed[0].rpartition(".")
        if _RECEIPT.fullmatch(receipt) and place in {UNDO, *records_of(snapshot).values()}:
            return UUID(receipt)
    return None


def _does(snapshot: Snapshot, pressed: list[str]) -> str:
    """What the one button that was pressed does, where that is no answer; "" for any other."""
    for block in snapshot.document["blocks"]:
        for control in controls_of(block):
            if control["type"] == "action" and pressed == [f"{block['id']}.{control['name']}"]:
                return control["do"] if isinstance(control["do"], str) else ""
    return ""


def records_of(snapshot: Snapshot) -> dict[str, str]:
    """Where what was recorded is shown: {block id: name of the control in the form}."""
    return {
        spec.block_id: f"{spec.block_id}.{spec.rules['records']}"
        for spec in snapshot.specs
        if spec.rules.get("records")
    }


def _pressed(snapshot: Snapshot, pressed: list[str]) -> Answers:
    for block in snapshot.document["blocks"]:
        for control in controls_of(block):
            if control["type"] == "action" and pressed == [f"{block['id']}.{control['name']}"]:
                do = control["do"]
                if isinstance(do, Mapping) and not control.get("locked"):
                    return {block["id"]: dict(do["answers"])}
    block_id, _dot, field = pressed[0].partition(".")
    raise InvalidAnswers({block_id: {field: [_("This is not offered here.")]}})
