"""Whoever was signed up and never confirmed it is forgotten, as if nobody had typed her address (security.md LW-11)."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ..contacts.models import Contact
from ..delivery.models import Delivery
from ..ledger.models import Record
from ..values import ActorType, ContactState, Effect

#: Names a sign-up by somebody whom nobody knows: as an actor, and as the source of what is known of who was made by it.
SIGN_UP = "sign-up"


def is_unconfirmed(state: ContactState) -> bool:
    """Whether all that there is of a contact are sign-ups whose time is over.

    Nobody but the system has ever said anything of her, a sign-up made her, and no other program knows her. To be asked
    under her lock: she may be confirming in just this moment.
    """
    if state.pending or state.choices or state.opted_out or state.attributes:
        return False
    made = Contact.objects.filter(
        pk=state.id, language_source=SIGN_UP, external_id="", merged_into=None, erased_at=None
    )
    spoken = Record.objects.filter(contact_ref=state.id).exclude(actor=ActorType.SYSTEM.value)
    return made.exists() and not spoken.exists()


def tell_nobody(contact_id: UUID) -> None:
    """Take back what would tell platforms of a contact, where none has heard of her yet."""
    Delivery.objects.filter(contact=contact_id, delivered=0, attempts=0, lease=None).delete()


def is_nobody_yet(state: ContactState, effects: Iterable[Effect]) -> bool:
    """Whether a submission, and all before it, came to nothing but waits for a confirmation.

    That is no business of any platform: an address that nobody has confirmed goes nowhere.
    """
    return not state.versions and all(effect.path.startswith("pending:") for effect in effects)
