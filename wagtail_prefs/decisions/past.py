"""What was known about contacts at moments that are past: today's facts, with what the ledger says of them put back.

The ledger knows choices, frequencies, pauses, opt-outs and suppressions, each with the moment of its change. What it does
not know - her country and time zone, what a topic is - is taken as it is today.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ..contacts.rules import OPTED_OUT
from ..contacts.rules.paths import choice, frequency, pause, pending
from ..ledger import fold
from ..ledger.models import Record
from ..values import Key
from .values import CapFact, Facts, PauseFact, Question


class Entry(NamedTuple):
    """A ledger record of a contact."""

    id: UUID
    at: datetime
    body: str


#: The records of contacts, the first record first.
Chains = Mapping[UUID, Sequence[Entry]]


def chains(contacts: Collection[UUID]) -> Chains:
    """The records of these contacts; one statement, none for nobody."""
    found: dict[UUID, list[Entry]] = defaultdict(list)
    if contacts:
        rows = Record.objects.filter(contact_ref__in=contacts).order_by("contact_ref", "seq")
        for contact, record, at, body in rows.values_list("contact_ref", "id", "at", "body"):
            found[contact].append(Entry(record, at, body))
    return found


class Past:
    """One contact as her records leave her at a moment. Raises ValueError where they cannot be folded."""

    def __init__(self, chain: Sequence[Entry], moment: datetime) -> None:
        self.ids = [entry.id for entry in _until(chain, moment)]
        self.folded = fold.fold((json.loads(entry.body) for entry in chain[: len(self.ids)]), None)

    def facts(self, today: Facts, question: Question) -> Facts:
        """Today's facts with hers of then in place."""
        key = (question.topic, question.channel)
        is_pending = self._is(pending(key))
        ends = self.folded.get(pending(key) if is_pending else choice(key))
        return today._replace(
            suppressed=self._is("suppressed") if "suppressed" in self.folded else today.suppressed,
            opted_out=self._is(OPTED_OUT),
            channel_choice=self._said(choice(("", question.channel))),
            choice=self._said(choice(key)),
            pending=is_pending,
            choice_until=ends.until if ends else None,
            pauses=tuple(
                PauseFact(name, datetime.fromisoformat(until))
                for name, scope in scopes(question).items()
                if (until := self._said(pause(scope)))
            ),
            caps=tuple(
                CapFact(name, code)
                for name, scope in scopes(question).items()
                if (code := self._said(frequency(scope)))
            ),
        )

    def record(self, behind: str, question: Question) -> UUID | None:
        """The record that made what a ruling went by: "choice", "channel", "opted_out", "pause:topic" ..."""
        kind, _, scope = behind.partition(":")
        key = scopes(question).get(scope, ("", ""))
        path = {
            "choice": choice((question.topic, question.channel)),
            "channel": choice(("", question.channel)),
            "opted_out": OPTED_OUT,
            "pause": pause(key),
            "frequency": frequency(key),
        }.get(kind)
        value = self.folded.get(path) if path else None
        return self.ids[value.seq - 1] if value else None

    def _is(self, path: str) -> bool:
        value = self.folded.get(path)
        return value is not None and value.after is True

    def _said(self, path: str) -> str:
        """What stands at a path; "" where nothing does."""
        value = self.folded.get(path)
        return str(value.after) if value is not None and value.after is not None else ""


def scopes(question: Question) -> Mapping[str, Key]:
    """What touches a question beside the choice itself, by the names that facts have for it."""
    return {"all": ("", ""), "channel": ("", question.channel), "topic": (question.topic, "")}


def _until(chain: Sequence[Entry], moment: datetime) -> Iterator[Entry]:
    for entry in chain:
        if entry.at > moment:
            return
        yield entry
