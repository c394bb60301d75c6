"""A receipt by mail after a save, where the editor of the page wants that (the block "History and receipts").

To the stored address, when it has answered once; within limits; with what was saved and a link to the receipt, and
nothing that sells anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode
from uuid import UUID

from ..access import services as access
from ..access.services import limits
from ..centers.services import Snapshot
from ..contacts.models import Contact
from ..ledger.models import Record
from ..mail import services as mail
from ..values import ActorType, Effect
from .unconfirmed import SIGN_UP
from .words import words_of

#: Whose acts show that somebody reads the mailbox, or is known to the site.
_HERS = (ActorType.SUBJECT_LINK.value, ActorType.SUBJECT_SESSION.value)
LIMIT = "receipt_contact"


def is_wanted(snapshot: Snapshot) -> bool:
    """Whether a page mails receipts. No query."""
    return any(spec.rules.get("receipt_mail") for spec in snapshot.specs)


def leave(contact_id: UUID, receipt: UUID, effects: Iterable[Effect], snapshot: Snapshot, zone: str) -> None:
    """Leave the mail for the worker, in the transaction of the save. Nothing happens where she is gone, her address is
    dead or was never confirmed, or has just become another one, and beyond the limit.
    """
    effects = tuple(effects)
    if any(effect.path == "address:email" for effect in effects):
        return
    living = Contact.objects.filter(pk=contact_id, merged_into=None, erased_at=None, email_dead_at=None)
    contact = living.exclude(email="").first()
    if contact is None or _is_unconfirmed(contact, receipt):
        return
    if not limits.hit(LIMIT, str(contact.pk)).allowed:
        return
    url = access.manage_url(contact, snapshot.center)
    mail.post(
        "receipt",
        to=contact.email,
        audience_id=contact.audience_id,
        locale=snapshot.locale,
        context={
            "url": f"{url}?{urlencode({'locale': snapshot.locale, 'receipt': str(receipt)})}",
            "center_title": snapshot.document["title"],
            "lines": [line.text for line in words_of(snapshot, zone).past(effects)],
        },
        contact=contact.pk,
    )


def _is_unconfirmed(contact: Contact, receipt: UUID) -> bool:
    """Whether a sign-up by anybody made her, and she has never said anything before this."""
    if contact.language_source != SIGN_UP:
        return False
    return not Record.objects.filter(contact_ref=contact.pk, actor__in=_HERS).exclude(pk=receipt).exists()
