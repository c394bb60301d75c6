"""What becomes of the rows of an import, in one word each and in words for people."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Code(enum.StrEnum):
    """One outcome. A row has one or more of them: one for each choice in it, and one for the row where that is all."""

    NEW = "new"
    ACCEPTED = "accepted"
    STRICTER = "stricter"
    FILLED = "filled"
    UNCHANGED = "unchanged"
    NO_EVIDENCE = "no_evidence"
    OLD_EVIDENCE = "old_evidence"
    NO_CUSTOMER = "no_customer"
    LATER_EVIDENCE = "later_evidence"
    SUPPRESSED = "suppressed"
    OPTED_OUT = "opted_out"
    UNKNOWN_TOPIC = "unknown_topic"
    ALWAYS_SENT = "always_sent"
    ARCHIVED = "archived"
    DUPLICATE = "duplicate"
    TAKEN = "taken"
    GONE = "gone"
    BAD_ADDRESS = "bad_address"
    BAD_CHOICE = "bad_choice"
    BAD_EVIDENCE = "bad_evidence"
    BAD_FACT = "bad_fact"
    BAD_ROW = "bad_row"


#: What is as it should be; everything else is for the report of what was left out.
FINE = frozenset({Code.NEW, Code.ACCEPTED, Code.STRICTER, Code.FILLED, Code.UNCHANGED})

WORDS: dict[Code, _StrPromise] = {
    Code.NEW: _("People who are new"),
    Code.ACCEPTED: _("A yes that its evidence shows"),
    Code.STRICTER: _("A no"),
    Code.FILLED: _("Facts and answers that were not known"),
    Code.UNCHANGED: _("As it is already"),
    Code.NO_EVIDENCE: _("A yes without evidence: left out"),
    Code.OLD_EVIDENCE: _("A yes whose evidence is older than what she said since: left out"),
    Code.NO_CUSTOMER: _(
        "A sale that allows nothing here, by her own no, the topic, the law or its age: left out"
    ),
    Code.LATER_EVIDENCE: _("A yes whose evidence lies in the future: left out"),
    Code.SUPPRESSED: _("An address that was erased once, which only its owner brings back: left out"),
    Code.OPTED_OUT: _("A yes in the row that unsubscribes from everything: left out"),
    Code.UNKNOWN_TOPIC: _("A topic that there is not, or not on this channel: left out"),
    Code.ALWAYS_SENT: _("A topic that is always sent: left out"),
    Code.ARCHIVED: _("A yes to a topic that is archived: left out"),
    Code.DUPLICATE: _("The same as a row before: left out"),
    Code.TAKEN: _("An external id that somebody else has: left out"),
    Code.GONE: _("Somebody who was erased meanwhile: left out"),
    Code.BAD_ADDRESS: _("Not a valid e-mail address: the row is left out"),
    Code.BAD_CHOICE: _("Neither yes nor no: left out"),
    Code.BAD_EVIDENCE: _("Evidence without a day or a reference, or with an address in it: left out"),
    Code.BAD_FACT: _("Not a valid language, country, time zone or external id: left out"),
    Code.BAD_ROW: _("More or fewer cells than columns: the row is left out"),
}

#: The column that a problem is about, by its name in the file; those that are not here are about the row.
COLUMN_OF: dict[Code, str] = {
    Code.NO_EVIDENCE: "evidence",
    Code.OLD_EVIDENCE: "evidence_at",
    Code.LATER_EVIDENCE: "evidence_at",
    Code.NO_CUSTOMER: "evidence_kind",
    Code.SUPPRESSED: "email",
    Code.OPTED_OUT: "opted_out",
    Code.UNKNOWN_TOPIC: "topic",
    Code.ALWAYS_SENT: "topic",
    Code.ARCHIVED: "topic",
    Code.TAKEN: "external_id",
    Code.BAD_ADDRESS: "email",
    Code.BAD_CHOICE: "choice",
    Code.BAD_EVIDENCE: "evidence",
    Code.BAD_FACT: "language, country, timezone, external_id",
}
