"""Customers: what a sale, or an inquiry, lets be sent without a yes (security.md LW-07, "soft opt-in").

It is no yes. Where the law of her country has an exception for customers, and the site's policy lets it be used, it
makes a choice about topics of that legal basis which ends by itself. The next sale prolongs it while it holds. It lifts
no no, and shortens no yes. What has ended counts as a no: hers, said after the end, would leave no trace beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ..changes import Change, SetChoice
from ..conf import conf
from ..contacts import rules
from ..contacts.rules import OPTED_OUT
from ..law import services as law
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
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """The changes that a sale allows, every yes with its end; and each yes that it does not, with the reason.

    `bases` are the legal bases of topics.
    """
    if not is_of_sale(act) or act.evidence is None:
        return tuple(changes), ()
    customer = _Customer(state, act.evidence, act.at, law.current().rules_for(country), bases)
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


class _Customer:
    """One person as a customer: what her country lets her be sent, and until when."""

    def __init__(
        self,
        state: ContactState,
        evidence: Evidence,
        at: datetime,
        given: law.Rules,
        bases: Mapping[str, str],
    ) -> None:
        self.state, self.at, self.bases = state, at, bases
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
        said, ends = state.choices.get(change.key), state.until.get(change.key)
        over = said == SUBSCRIBED and change.key not in state.pending and ends is not None and ends <= self.at
        return left or refused or over or said == UNSUBSCRIBED

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
