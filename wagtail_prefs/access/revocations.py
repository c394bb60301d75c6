"""Links that were called back: of a contact, of a center, of a signing key (security.md TK-13).

What opens settings, and whatever came of it (codes, sessions), stops at once. Unsubscribe links go on: whoever holds an
old mail may leave, and a leaked key makes no link for anybody else, because a link names a contact by 128 random bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, Max, Q, Subquery
from django.utils import timezone

from ..conf import conf
from ..contacts.models import Contact
from ..errors import UnknownContact
from .models import Revocation


@dataclass(frozen=True, slots=True)
class Revoked:
    """What of a center was called back: all that was made before a moment, and all that certain keys have signed."""

    before: datetime | None = None
    kids: frozenset[str] = frozenset()

    def stops(self, kid: str, issued: datetime) -> bool:
        """Whether a token of that key, made at that moment, opens nothing any more.

        Of a key, whenever it was: who has the key can write any date.
        """
        return kid in self.kids or (self.before is not None and issued < self.before)


NOTHING_REVOKED = Revoked()


def contact(contact_id: UUID) -> None:
    """Call back every manage link, every link that works once, and every session of a contact. Raises UnknownContact.

    Whoever was merged into her opens her page as well, and by the id of one of those she is meant herself.
    """
    found = Contact.objects.filter(pk=contact_id, erased_at=None).values_list("merged_into").first()
    if found is None:
        raise UnknownContact
    person = found[0] or contact_id
    Contact.objects.filter(Q(pk=person) | Q(merged_into=person)).update(epoch=F("epoch") + 1)


def center(center_id: UUID) -> Revocation:
    """Call back all that was made for a center until now."""
    return Revocation.objects.create(center=center_id, before=timezone.now())


def key(kid: str) -> Revocation:
    """Call back all that a signing key has signed, and will sign. Raises ValueError for the one that signs now."""
    if kid == conf.signing_keys[0].kid:
        raise ValueError("this key signs now: put a new one before it first")
    return Revocation.objects.create(kid=kid, before=timezone.now())


def stops_link(kid: str, center_id: UUID | None, issued: datetime) -> Exists:
    """Whether a link was called back, for the statement that looks for its contact."""
    found = Q(kid=kid)
    if center_id is not None:
        found |= Q(center=center_id, before__gt=issued)
    return Exists(Revocation.objects.filter(found))


def columns(center_column: Any) -> dict[str, Any]:
    """Annotations from which `read` learns what was called back of each center of a query."""
    made = Revocation.objects.filter(center=center_column).values("center").values(last=Max("before"))
    return {
        "revoked_before": Subquery(made),
        **{
            f"revoked_key_{number}": Exists(Revocation.objects.filter(kid=one.kid))
            for number, one in enumerate(conf.signing_keys)
        },
    }


def read(row: Mapping[str, Any]) -> Revoked:
    """What the annotations of `columns` say; the keys in the order of the ring."""
    kids = (one.kid for number, one in enumerate(conf.signing_keys) if row.get(f"revoked_key_{number}"))
    return Revoked(row["revoked_before"], frozenset(kids))
