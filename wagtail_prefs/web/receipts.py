"""What a save did, said again after the redirect: read from the ledger, for its own contact only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..centers.form import UNDO
from ..centers.services import Snapshot, get_snapshot
from ..contacts.rules import OPTED_OUT
from ..errors import NotPublished
from ..ledger.models import Record
from ..ledger.services import effects_of, merged_of, read_body
from ..submissions.services import Saved, can_be_taken_back
from ..submissions.words import Line, Words
from ..values import Assurance, Effect

#: Stands in the address in place of a receipt when a save had nothing to change.
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Told:
    """The message of a save: its headline, what was applied, and what yielded to something newer.

    `undo` is the value of the button that takes it back, "" where nothing can be; `receipt` is its receipt.
    """

    text: str
    applied: Sequence[Line] = ()
    merged: Sequence[Line] = ()
    undo: str = ""
    receipt: str = ""


def told(
    receipt: str, contact_id: UUID, snapshot: Snapshot, zone: str = "", assurance: Assurance = "link"
) -> Told | None:
    """The message for the `?saved=` of a contact's page; None for a receipt that is not hers or none at all.

    Days are those of `zone`, the contact's time zone.
    """
    labels = snapshot.document["labels"]
    if receipt == NOTHING:
        return Told(labels.get("nothing_changed", ""))
    record = find(receipt, contact_id)
    if record is None:
        return None
    body = read_body(record)
    words = Words(_shown(body["form_version"], snapshot).specs, snapshot.locale, zone)
    yielded = merged_of(body)
    applied = _applied(words, effects_of(body), words.applied(effects_of(body), yielded))
    text = labels.get("saved" if applied or not yielded else "nothing_changed", "")
    undo = _undo(record.pk) if can_be_taken_back(record, snapshot, assurance) else ""
    return Told(text, applied, words.merged(yielded), undo, str(record.pk))


def at_once(saved: Saved, snapshot: Snapshot) -> Told:
    """The message of a save on the very page that answers it: one that changed nothing and has to say why, or one whose
    page no redirect could bring back.
    """
    labels = snapshot.document["labels"]
    if saved.receipt is None and saved.applied:  # nothing is recorded yet, and still something is under way
        return Told(saved.applied[0].text, saved.applied[1:], saved.merged)
    is_saved = saved.receipt and (saved.applied or not saved.merged)
    words = Words(snapshot.specs, snapshot.locale, saved.state.timezone)
    return Told(
        labels.get("saved" if is_saved else "nothing_changed", ""),
        _applied(words, saved.effects, saved.applied),
        saved.merged,
        _undo(saved.receipt) if is_saved else "",
        saved.receipt or "",
    )


def _applied(words: Words, effects: Iterable[Effect], lines: Sequence[Line]) -> Sequence[Line]:
    """The lines of a save, also where the page has no block with the way out that she took."""
    out = [effect for effect in effects if effect.path == OPTED_OUT and OPTED_OUT not in words.where]
    return [*words.past(out), *lines] if out else lines


def _undo(receipt: object) -> str:
    return f"{UNDO}.{receipt}"


def find(receipt: str, contact_id: UUID) -> Record | None:
    """The record of that receipt, if it belongs to the contact."""
    try:
        record_id = UUID(receipt)
    except ValueError:
        return None
    return Record.objects.filter(pk=record_id, contact_ref=contact_id).first()


def _shown(digest: str | None, snapshot: Snapshot) -> Snapshot:
    """The snapshot the record was made on, which has words for all of its paths."""
    if not digest or digest == snapshot.digest:
        return snapshot
    try:
        return get_snapshot(digest)
    except NotPublished:
        return snapshot
