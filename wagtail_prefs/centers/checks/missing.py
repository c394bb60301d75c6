"""What every center has, whatever else it is for."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from ..values import Snapshot
from .shown import leaving
from .values import Facts, Finding


def no_way_out(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`unsubscribe-missing`"""
    if not leaving(snapshot):
        text = _(
            "Nobody can leave here. Add the block “Unsubscribe from everything”: it must be as easy to leave as it "
            "was to come."
        )
        yield Finding("error", "unsubscribe-missing", text)


def no_privacy_notice(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`notice-missing`: known by what it leaves in the records, so that another block may do the same."""
    if not any(spec.rules.get("notice") for spec in snapshot.specs):
        text = _(
            "People are not told what happens with their data. Add the block “Privacy notice”; the record of each "
            "choice names it."
        )
        yield Finding("error", "notice-missing", text)


def no_transactional_statement(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`transactional-missing`"""
    if not any(spec.type == "transactional" for spec in snapshot.specs):
        text = _(
            "People are not told which messages come whatever they choose. Add the block “What always comes”."
        )
        yield Finding("error", "transactional-missing", text)
