"""What a contact did before, in her words: her own receipts, and which of them can still be taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _, override

from ..blocks.history import TAKE_BACK
from ..centers.services import Snapshot
from ..centers.visibility import told_attributes
from ..changes import Merge
from ..conf import conf
from ..contacts.rules.undoing import FINAL
from ..ledger import services as ledger
from ..ledger.models import Record
from ..values import Actor, ActorType, Assurance, ContactState, Effect, Json, iso
from .words import Line, Words, words_of


@dataclass(frozen=True, slots=True)
class PastSubmission:
    """One submission as the person reads it. `lines` hold no personal value: a forwarded mail opens this as well."""

    receipt: UUID
    version: int
    at: datetime
    title: str
    lines: tuple[Line, ...]
    undoable: bool


def history(
    contact_id: UUID,
    snapshot: Snapshot,
    *,
    limit: int = 50,
    before: int | None = None,
    zone: str = "",
    assurance: Assurance = "link",
) -> list[PastSubmission]:
    """A contact's submissions, the newest first, in the words of a page: one statement.

    `before` is a version: what came before it, for the next page. Days are those of `zone`, the contact's time zone.
    Without a fresh link no submission can be taken back that holds personal answers.
    """
    told = _told(snapshot, assurance)
    records = Record.objects.filter(contact_ref=contact_id).order_by("-seq")
    if before is not None:
        records = records.filter(seq__lt=before)
    words = words_of(snapshot, zone)
    return [_past(entry, words, snapshot.locale, told) for entry in records[:limit]]


def past_submission(
    entry: Record, snapshot: Snapshot, *, zone: str = "", assurance: Assurance = "link"
) -> PastSubmission:
    """One of them, in the words of a page."""
    return _past(entry, words_of(snapshot, zone), snapshot.locale, _told(snapshot, assurance))


def _told(snapshot: Snapshot, assurance: Assurance) -> Collection[str] | None:
    return None if assurance == "fresh" else told_attributes(snapshot)


def _past(entry: Record, words: Words, locale: str, told: Collection[str] | None) -> PastSubmission:
    body = ledger.read_body(entry)
    effects = ledger.effects_of(body)
    actor = Actor(ActorType(body["actor"]["type"]), body["actor"]["id"])
    return PastSubmission(
        receipt=entry.id,
        version=entry.seq,
        at=entry.at,
        title=_title(actor, body["method"], locale),
        lines=words.past(effects),
        undoable=_undoable(entry, body, effects, told),
    )


def records_of(
    state: ContactState, snapshot: Snapshot, assurance: Assurance = "link"
) -> Callable[[int], list[Json]]:
    """What a page shows of a contact's newest submissions, for `centers.preferences`: one statement when it is called.

    Each is `{receipt, title, when, lines, actions}`, with an undo while it can be taken back.
    """

    def newest(limit: int) -> list[Json]:
        with override(snapshot.locale):
            undo = {"label": str(TAKE_BACK), "style": "secondary", "do": "undo"}
        return [
            {
                "receipt": str(past.receipt),
                "title": past.title,
                "when": iso(past.at),
                "lines": [line.text for line in past.lines],
                "actions": [{**undo, "receipt": str(past.receipt)}] if past.undoable else [],
            }
            for past in history(state.id, snapshot, limit=limit, zone=state.timezone, assurance=assurance)
        ]

    return newest


def can_be_taken_back(entry: Record, snapshot: Snapshot, assurance: Assurance = "link") -> bool:
    """Whether an undo of this record would be heard, from whoever came as surely as that."""
    body = ledger.read_body(entry)
    return _undoable(entry, body, ledger.effects_of(body), _told(snapshot, assurance))


def _undoable(entry: Record, body: Json, effects: Iterable[Effect], told: Collection[str] | None) -> bool:
    within = entry.at > timezone.now() - conf.undo_life
    return within and not is_final(body) and not is_untold(effects, told)


def is_untold(effects: Iterable[Effect], told: Collection[str] | None) -> bool:
    """Whether a submission holds an attribute beyond those that may be `told`; None: all may."""
    return told is not None and any(
        effect.path.startswith("attribute:") and effect.path not in told for effect in effects
    )


def is_final(body: Json) -> bool:
    """Whether no receipt takes this submission back: what became of the contact as a whole, also of a merge's winner."""
    paths = (item["path"] for item in body["effects"])
    return any(path.partition(":")[0] in FINAL for path in paths) or any(
        item["change"] == Merge.__name__ for item in body["changes"]
    )


def _title(actor: Actor, method: str, locale: str) -> str:
    """Who did it, and where."""
    with override(locale):
        if method == "expiry":
            return _("Ended by itself")
        match actor.type:
            case ActorType.ONE_CLICK:
                return _("With the unsubscribe button of your mail program")
            case ActorType.GPC:
                return _("By the privacy signal of your browser")
            case ActorType.SUBJECT_LINK | ActorType.SUBJECT_SESSION:
                return _("By you, on this page")
            case ActorType.ADMIN:
                return _("By our staff")
            case ActorType.IMPORT:
                return _("From data that we were given")
        return _("By one of our systems")
