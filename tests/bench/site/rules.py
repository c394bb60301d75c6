"""A rule that a site could add, for decisions with all rules on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from wagtail_prefs.decisions.services import Facts, Question, Rule, Ruling


class OpenTicket(Rule):
    """Nobody gets offers while she waits for an answer; the tickets are at hand, so what is measured is ours."""

    code = "open_ticket"
    words = "She waits for an answer of ours."
    only_prepared = True

    def prepare(self, contacts: Sequence[UUID]) -> Any:
        return _waiting().intersection(contacts)  # as a table of tickets would be asked: about these alone

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        return self.refuse()


@cache
def _waiting() -> frozenset[UUID]:
    """One in fifty."""
    from wagtail_prefs.contacts.models import Contact

    few = Contact.objects.count() // 50
    return frozenset(Contact.objects.order_by("pk").values_list("pk", flat=True)[:few])
