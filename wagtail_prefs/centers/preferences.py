"""The preferences JSON (docs/reference/center-document.md): one contact's answers beside a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from ..contacts.addresses import masked
from ..values import UNSUBSCRIBED, Assurance, ContactState, Json
from . import visibility
from .answers import initial_answers, pending_paths, today
from .outlook import outlook
from .values import Snapshot, remembered

#: What was recorded of a contact, the newest entries first, as many as asked for: [{title, when, lines, actions}].
Records = Callable[[int], list[Json]]


def preferences(
    snapshot: Snapshot,
    state: ContactState,
    email: str,
    *,
    assurance: Assurance = "link",
    records: Records | None = None,
    shared: Collection[str] = (),
) -> Json:
    """What element and page draw for this contact. The address is masked whatever the assurance (security.md TK-08).

    `shared` are the topics that her browser's privacy signal says no to: they are drawn as off, and the outlook says so.
    `records` is called where a block of the page shows what was recorded, once, and nowhere else.
    """
    state = _off(today(state), shared)
    answers, pending = initial_answers(snapshot, state), pending_paths(snapshot, state)
    private: Json = {}
    hidden: list[str] = []
    if not visibility.is_same_for_all(snapshot):
        hidden = visibility.hidden(snapshot, state)
        private = visibility.private_rows(snapshot, state)
        answers = visibility.told(snapshot, answers, hidden, assurance)
        pending = [path for path in pending if path.partition(".")[0] not in hidden]
    hidden = [*hidden, *visibility.pointless(snapshot, assurance)]
    return {
        "version": state.version,
        "revision": snapshot.digest,
        "assurance": assurance,
        "contact": {"email": masked(email)},
        "answers": answers,
        "pending": pending,
        "private": private,
        "hidden": hidden,
        "records": _records(snapshot, hidden, records) if records else {},
        "outlook": [sentence.to_json() for sentence in outlook(snapshot, state, signal=bool(shared))],
    }


def _records(snapshot: Snapshot, hidden: list[str], records: Records) -> Json:
    """The entries of each block that shows some, as many as its editor wants."""
    wanted = {
        block_id: entries for block_id, entries in _looking_back(snapshot).items() if block_id not in hidden
    }
    if not wanted:
        return {}
    found = records(max(wanted.values()))
    return {block_id: found[:entries] for block_id, entries in wanted.items()}


@remembered
def _looking_back(snapshot: Snapshot) -> dict[str, int]:
    """The blocks that show what was recorded, with the number of their entries."""
    return {
        spec.block_id: int(spec.rules.get("entries", 10))
        for spec in snapshot.specs
        if spec.rules.get("records")
    }


def _off(state: ContactState, topics: Collection[str]) -> ContactState:
    """The state with every yes to these topics, and every wait for one, as a no."""
    if not topics:
        return state
    return replace(
        state,
        choices={key: UNSUBSCRIBED if key[0] in topics else value for key, value in state.choices.items()},
        pending=frozenset(key for key in state.pending if key[0] not in topics),
    )
