"""Whoever was signed up and never confirmed it is forgotten, as if nobody had typed her address (security.md LW-11)."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ..contacts.models import Contact
from ..delivery.models import Delivery
from ..delivery.rows import UNHEARD
from ..ledger.models import Record
from ..values import ActorType, ContactState, Effect

#: Names a sign-up by somebody whom nobody knows: as an actor, and as the source of what is known of who was made by it.
SIGN_UP = "sign-up"


def was_only_signed_up(contact_id: UUID) -> bool:
    """Whether a sign-up made a contact, and nobody but the system has said anything of her since.

    One whom another program knows by an id of its own is more than that.
    """
    made = Contact.objects.filter(
        pk=contact_id, language_source=SIGN_UP, external_id="", merged_into=None, erased_at=None
    )
    spoken = Record.objects.filter(contact_ref=contact_id).exclude(actor=ActorType.SYSTEM.value)
    return made.exists() and not spoken.exists()


def is_unconfirmed(state: ContactState) -> bool:
    """Whether all that there is of a contact are sign-ups whose time is over.

    To be asked under her lock: she may be confirming in just this moment.
    """
    return not state.pending and not state.choices and was_only_signed_up(state.id)


def tell_nobody(contact_id: UUID) -> None:
    """Take back what would tell platforms of a contact, where none has heard of her yet."""
    Delivery.objects.filter(UNHEARD, contact=contact_id).delete()


def is_nobody_yet(state: ContactState, effects: Iterable[Effect]) -> bool:
    """Whether a submission, and all before it, came to nothing but waits for a confirmation.

    That is no business of any platform: an address that nobody has confirmed goes nowhere.
    """
    return not state.versions and all(effect.path.startswith("pending:") for effect in effects)
