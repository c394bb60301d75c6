"""Whom a mail goes to, and what it is about: one query each, whatever the spelling."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured, ValidationError
from wagtail.models import Site

from ..contacts.addresses import address_keys
from ..contacts.models import Contact
from ..topics.models import Audience, Topic


def topic(key: str, *, contact: Contact | None = None, site: Site | None = None) -> Topic:
    """The topic of that key, with its audience and site: of the contact, else of the site, else of the default site.

    Raises ValueError for one that there is not: a typing error must not become a refusal that nobody looks at.
    """
    topics = Topic.objects.select_related("audience__site")
    if contact is not None:
        topics = topics.filter(audience_id=contact.audience_id)
    elif site is not None:
        topics = topics.filter(audience__site=site)
    else:
        default = Site.objects.order_by("-is_default_site", "pk").values("pk")[:1]
        topics = topics.filter(audience__site__in=default)
    found: Topic | None = topics.filter(key=key).first()
    if found is not None:
        return found
    known = ", ".join(topics.order_by("key").values_list("key", flat=True))
    raise ValueError(f"there is no topic {key!r}; there are: {known or 'none'}")


def always_sent(key: str) -> Topic:
    """The topic of mails that name none, of the default site. Raises ImproperlyConfigured for one that is not always sent."""
    try:
        found = topic(key)
    except ValueError as error:
        raise ImproperlyConfigured(f'WAGTAIL_PREFS["UNNAMED_MAIL"]: {error}') from None
    if not found.transactional:
        raise ImproperlyConfigured(
            f'WAGTAIL_PREFS["UNNAMED_MAIL"]: the topic {key!r} is not always sent, so a mail must name it by itself'
        )
    return found


def contacts(audience: Audience, addresses: Iterable[str]) -> dict[str, Contact]:
    """The contacts behind addresses, by address; those whom there is none behind are left out. One query.

    Who was merged stands here as she is: the address is not the one that mail goes to now.
    """
    by_key: dict[str, str] = {}
    for address in addresses:
        try:
            by_key |= dict.fromkeys(address_keys(audience.key, address), address)
        except ValidationError:
            continue  # no address, and nobody's
    if not by_key:
        return {}
    found = Contact.objects.filter(audience_id=audience.pk, address_key__in=by_key)
    return {by_key[contact.address_key or ""]: contact for contact in found}
