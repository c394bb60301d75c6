"""A fresh link: mailed to the stored address, so that whoever opens it reads that mailbox now (security.md TK-08)."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import ngettext, override

from ..conf import conf
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..mail import services as mail
from . import limits
from .links import Purpose
from .once import issue


def mail_fresh_link(
    contact_id: UUID, *, center: UUID, title: str, locale: str, host: int | None = None
) -> None:
    """Leave a mail with a fresh link to a contact's page, `title` in `locale`: to her stored address, never another.

    Nothing happens, and nothing tells, where she has had as many as an address may get, is gone, or her address is dead.
    """
    contact = _living(contact_id).select_related("audience").first()
    if contact is None or not _has_room(contact):
        return
    with transaction.atomic():
        # Under her lock: a mail to somebody who is erased in just this moment would hold her address.
        held = _living(contact_id).select_for_update().first()
        if held is None:
            return
        context = {
            "url": issue(Purpose.FRESH, held, center=center, host=host),
            "center_title": title,
            "minutes": _minutes(),
        }
        mail.post(
            "fresh_link",
            to=held.email,
            audience_id=held.audience_id,
            locale=locale,
            context=context,
            contact=held.pk,
        )


def told(locale: str) -> str:
    """What is said to whoever asked for one, whatever came of it."""
    with override(locale):
        return ngettext(
            "Please look into your mailbox: we send a fresh link to your address, unless it has got several lately. It "
            "works once, within %(minutes)s minute.",
            "Please look into your mailbox: we send a fresh link to your address, unless it has got several lately. It "
            "works once, within %(minutes)s minutes.",
            _minutes(),
        ) % {"minutes": _minutes()}


def _living(contact_id: UUID) -> QuerySet[Contact]:
    return Contact.objects.filter(pk=contact_id, merged_into=None, erased_at=None, email_dead_at=None)


def _has_room(contact: Contact) -> bool:
    key = contact.audience.key
    return (
        limits.hit("link_address", key, canonical_email(contact.email)).allowed
        and limits.hit("link_site", key).allowed
    )


def _minutes() -> int:
    return int(conf.fresh_link_life.total_seconds() // 60)
