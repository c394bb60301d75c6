"""Customers: what a sale, or an inquiry, lets be sent without a yes (security.md LW-07, "soft opt-in"). Pure but for one look.

It is no yes. Where the law of her country has an exception for customers, and the site's policy lets it be used, it
makes a choice about topics of that legal basis which ends by itself. It lifts no no of hers, and shortens no yes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ..changes import Change, SetChoice
from ..conf import conf
from ..contacts import rules
from ..contacts.rules import OPTED_OUT
from ..law import services as law
from ..ledger import services as ledger
from ..ledger.models import Record
from ..values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Evidence, Merged, MergeRule

#: The legal basis of topics that customers may get.
BASIS = "soft_opt_in"


def is_of_sale(act: rules.Act) -> bool:
    """Whether somebody else says yes for her because she bought something, or asked about it."""
    return act.evidence is not None and not act.evidence.is_consent and not act.actor.is_subject


def as_customer(
    changes: Sequence[Change],
    state: ContactState,
    act: rules.Act,
    *,
    country: str,
    bases: Mapping[str, str],
    ended: Collection[str] = (),
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """The changes that a sale allows, every yes with its end; and each yes that it does not, with the reason.

    `bases` are the legal bases of topics. `ended` are the paths at which a no says only that a yes has ended by itself.
    """
    if not is_of_sale(act) or act.evidence is None:
        return tuple(changes), ()
    customer = _Customer(state, act.evidence, act.at, law.current().rules_for(country), bases, ended)
    found, merged = list[Change](), list[Merged]()
    for change in changes:
        if not (isinstance(change, SetChoice) and change.value == SUBSCRIBED):
            found.append(change)
            continue
        reason = customer.refused(change)
        if reason is not None:
            merged.append(Merged(change.path, SUBSCRIBED, state.choices.get(change.key), reason))
        elif (shorter := customer.with_end(change)) is not None:
            found.append(shorter)
    return tuple(found), tuple(merged)


def ended(state: ContactState, act: rules.Act, changes: Sequence[Change]) -> set[str]:
    """The paths of these changes at which a yes has ended by itself. One statement, and only where a sale needs it."""
    if not is_of_sale(act):
        return set()
    noes = {
        state.versions[change.path]: change.path
        for change in changes
        if change.key[0] and state.choices.get(change.key) == UNSUBSCRIBED and change.path in state.versions
    }
    if not noes:
        return set()
    records = Record.objects.filter(contact_ref=state.id, seq__in=noes)
    return {
        effect.path
        for record in records
        for effect in ledger.effects_of(ledger.read_body(record))
        if effect.action == "expired"
    }


class _Customer:
    """One person as a customer: what her country lets her be sent, and until when."""

    def __init__(
        self,
        state: ContactState,
        evidence: Evidence,
        at: datetime,
        given: law.Rules,
        bases: Mapping[str, str],
        ended: Collection[str],
    ) -> None:
        self.state, self.at, self.bases, self.ended = state, at, bases, ended
        self.end = _end(evidence, given)

    def refused(self, change: SetChoice) -> MergeRule | None:
        """Why a sale does not allow this; None where it does."""
        if self.bases.get(change.topic) != BASIS or self._said_no(change):
            return "sale"
        if self.end is None:
            return "law"
        return "over" if self.end <= self.at else None

    def _said_no(self, change: SetChoice) -> bool:
        """Also a no to everything that she took back: what she wants since then she has said herself."""
        state = self.state
        left = state.opted_out or OPTED_OUT in state.versions
        refused = state.choices.get(("", change.channel)) == UNSUBSCRIBED
        no = state.choices.get(change.key) == UNSUBSCRIBED and change.path not in self.ended
        return left or refused or no

    def with_end(self, change: SetChoice) -> SetChoice | None:
        """The choice with the earliest end; None where a yes of hers reaches as far already."""
        assert self.end is not None  # noqa: S101 - `refused` comes first
        until = min(change.until or self.end, self.end)
        held, ends = self.state.choices.get(change.key), self.state.until.get(change.key)
        if held == SUBSCRIBED and (change.key in self.state.pending or ends is None or ends >= until):
            return None
        return replace(change, until=until)


def _end(evidence: Evidence, given: law.Rules) -> datetime | None:
    """Until when a customer may be written to; None where the law of her country asks for a yes."""
    if given.model == "opt_in":
        return None
    months = conf.soft_opt_in_months
    if evidence.kind == "inquiry":
        if given.inquiry_months is None:
            return None
        months = min(months, given.inquiry_months)
    elif given.sale_months is not None:
        months = min(months, given.sale_months)
    return law.months_after(evidence.at, months)
