"""Finding, making and loading contacts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.timezone import now

from ..errors import UnknownContact
from ..topics.models import Audience
from ..values import DISPUTED, ContactState, Target
from . import keys_in_use, store
from .addresses import address_key, address_keys, mailbox
from .models import Contact, Suppression

#: Whence a fact is: her own word, and the word of programs against each other.
SAID, DISPUTE = "said", "dispute"


def find(audience_id: int, email: str) -> Contact | None:
    """The contact behind an address in an audience, in whatever spelling; None when there is none.

    The address of one who was merged leads to whom she was merged into.
    """
    keys = address_keys(_audience_key(audience_id), email)
    found = (
        Contact.objects.filter(audience_id=audience_id, address_key__in=keys)
        .select_related("merged_into")
        .first()
    )
    return found and (found.merged_into or found)


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

    Facts of a contact that exists are left alone, but for a country that this one disputes. An address that was erased once comes back suppressed: only its
    owner's own link lets it have more than transactional mail. Raises ValidationError for what is no address.
    """
    found = find(audience_id, email)
    if found is not None:
        if dispute(found.pk, country):
            found.country = DISPUTED
        return found
    contact, _ = Contact.objects.get_or_create(
        audience_id=audience_id,
        address_key=address_key(_audience_key(audience_id), email),
        defaults={
            "email": mailbox(email),
            "suppressed": is_suppressed(audience_id, email),
            "language": language,
            "language_source": source if language else "",
            "country": country,
            "country_source": source if country else "",
            "timezone": timezone,
            "timezone_source": source if timezone else "",
        },
    )
    return contact.merged_into or contact


def dispute(contact_id: UUID, country: str) -> bool:
    """Note that a program has named a country for somebody; whether it is another one than that which a program named
    before. Then nobody knows which is right, and until she says so herself the strictest law holds (security.md LW-01).
    """
    live, held = _named(contact_id, country)
    if not differ(held, country):
        return False
    # Who looks for changes since a moment must find it.
    noted = {"country": DISPUTED, "country_source": DISPUTE, "touched_at": now()}
    return bool(live.filter(country=held).update(**noted))


def would_dispute(contact_id: UUID, country: str) -> bool:
    """What `dispute` would return; writes nothing."""
    return differ(_named(contact_id, country)[1], country)


def _named(contact_id: UUID, country: str) -> tuple[QuerySet[Contact], str]:
    """Her row where her country is not by her own word, and that country; asks for it only where there is another."""
    live = Contact.objects.filter(pk=contact_id, erased_at=None).exclude(country_source=SAID)
    return live, (live.values_list("country", flat=True).first() if country else None) or ""


def differ(held: str, named: str) -> bool:
    """Whether these are two countries. A country and a region of it are not, and what is disputed is settled by nobody."""
    return "" not in (held, named) and held != DISPUTED and held[:2].upper() != named[:2].upper()


def is_suppressed(audience_id: int, email: str) -> bool:
    """Whether the address was erased once, in whatever spelling and under whichever key of the ring."""
    keys = address_keys(_audience_key(audience_id), email)
    return Suppression.objects.filter(audience_id=audience_id, address_key__in=keys).exists()


def suppress(audience_id: int, email: str) -> None:
    """Remember, without knowing it, that an address must get nothing (security.md PR-01, LW-12)."""
    keys_in_use.remember()  # what this is found by again
    key = address_key(_audience_key(audience_id), email)
    Suppression.objects.get_or_create(audience_id=audience_id, address_key=key, defaults={"at": now()})


def unsuppress(audience_id: int, email: str) -> None:
    """Forget it: the owner of the address came back by her own link."""
    keys = address_keys(_audience_key(audience_id), email)
    Suppression.objects.filter(audience_id=audience_id, address_key__in=keys).delete()


def load_state(contact_id: UUID) -> ContactState:
    """Today's state of a contact; raises UnknownContact."""
    return _load(contact_id).state


def load_target(contact_id: UUID) -> Target:
    """What backends see of a contact; raises UnknownContact."""
    return _load(contact_id).target


def _load(contact_id: UUID) -> store.Loaded:
    found = store.load(contact_id)
    if found is None:
        raise UnknownContact
    return found


def load_targets(contact_ids: Iterable[UUID], at: datetime | None = None) -> dict[UUID, Target]:
    """Targets of many contacts at a moment, in one statement; unknown ids are left out."""
    moment = at or now()
    return {found.state.id: found.target_at(moment) for found in store.load_many(list(contact_ids))}


def mark_dead(contact_id: UUID, at: datetime) -> None:
    """Note that mail to a contact's address cannot arrive; another address begins anew."""
    Contact.objects.filter(pk=contact_id, email_dead_at=None).update(email_dead_at=at, touched_at=now())


def _audience_key(audience_id: int) -> str:
    return Audience.objects.values_list("key", flat=True).get(pk=audience_id)
