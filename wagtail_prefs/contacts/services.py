"""Finding, making and loading contacts."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ..errors import UnknownContact
from ..topics.models import Audience
from ..values import ContactState, Target
from . import store
from .addresses import address_key, address_keys
from .models import Contact


def find(audience_id: int, email: str) -> Contact | None:
    """The contact behind an address in an audience, in whatever spelling; None when there is none."""
    key = _audience_key(audience_id)
    return Contact.objects.filter(audience_id=audience_id, address_key__in=address_keys(key, email)).first()


def get_or_create(
    audience_id: int,
    email: str,
    *,
    language: str = "",
    country: str = "",
    timezone: str = "",
    source: str = "import",
) -> Contact:
    """The contact behind an address, made if it is new; `source` says where the given facts come from.

    Facts of a contact that exists are left alone. Raises ValidationError for what is no address.
    """
    found = find(audience_id, email)
    if found is not None:
        return found
    contact, _ = Contact.objects.get_or_create(
        audience_id=audience_id,
        address_key=address_key(_audience_key(audience_id), email),
        defaults={
            "email": email.strip(),
            "language": language,
            "language_source": source if language else "",
            "country": country,
            "country_source": source if country else "",
            "timezone": timezone,
            "timezone_source": source if timezone else "",
        },
    )
    return contact


def load_state(contact_id: UUID) -> ContactState:
    """Today's state of a contact; raises UnknownContact."""
    return load_target(contact_id).state


def load_target(contact_id: UUID) -> Target:
    """What backends see of a contact; raises UnknownContact."""
    found = store.load(id=contact_id)
    if found is None:
        raise UnknownContact
    return found.target


def load_targets(contact_ids: Iterable[UUID]) -> dict[UUID, Target]:
    """Targets of many contacts in one statement; unknown ids are left out."""
    return {found.state.id: found.target for found in store.load_many(list(contact_ids))}


def _audience_key(audience_id: int) -> str:
    return Audience.objects.values_list("key", flat=True).get(pk=audience_id)
