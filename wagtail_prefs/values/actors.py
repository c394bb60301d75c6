"""Who makes a submission, and where."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


class ActorType(enum.StrEnum):
    """Who makes a submission (security.md CR-06)."""

    SUBJECT_LINK = "subject-link"
    SUBJECT_SESSION = "subject-session"
    ONE_CLICK = "one-click"
    GPC = "gpc"
    ADMIN = "admin"
    IMPORT = "import"
    API = "api"
    BACKEND = "backend"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts; `id` names the user, job, client or backend alias, and is "" for the person herself."""

    type: ActorType
    id: str = ""

    @property
    def is_subject(self) -> bool:
        """Whether this is the person's own act, which alone may turn a no into a yes."""
        return self.type in {ActorType.SUBJECT_LINK, ActorType.SUBJECT_SESSION}


#: What an act shows: that she said yes, or that she bought something, or asked about it.
EvidenceKind = Literal["consent", "sale", "inquiry"]
EVIDENCE_KINDS: tuple[EvidenceKind, ...] = ("consent", "sale", "inquiry")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows an act of the contact's own that we did not see: where it can be looked up, and when she did it.

    A sale, or an inquiry, is no yes of hers. It only allows what a country's law lets customers be sent without one
    (security.md LW-07).
    """

    reference: str  # an order, a form's entry, a signed sheet: never an address or a name
    at: datetime
    kind: EvidenceKind = "consent"

    def __post_init__(self) -> None:
        if not self.reference.strip():
            raise ValueError("evidence needs a reference")
        if self.at.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        if self.kind not in EVIDENCE_KINDS:
            raise ValueError(f"evidence is one of {', '.join(EVIDENCE_KINDS)}")

    @property
    def is_consent(self) -> bool:
        """Whether it counts as a yes that she said herself."""
        return self.kind == "consent"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a submission was made. `ip` and `address_as_entered` are personal: the ledger holds commitments only."""

    method: str  # "page", "element", "one_click", "python", ...
    form_id: str | None = None  # the center
    form_version: str | None = None  # the snapshot's digest
    language: str | None = None
    source_url: str | None = None  # page or origin, never with a query or a token
    ip: str | None = None
    user_agent_family: str | None = None
    address_as_entered: str | None = None
    evidence: Evidence | None = None
