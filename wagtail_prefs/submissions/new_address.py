"""Another address, as somebody asks for it on a page: it is hers once its mailbox has answered (security.md TK-07).

Asking changes nothing. It leaves a mail to the new address with a link that works once. Nothing here looks whether that
address is somebody's, was erased, or exists at all, so nobody learns that by asking.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, override

from ..access import services as access
from ..access.models import OneTimeLink
from ..access.services import Purpose, limits
from ..centers.services import Snapshot
from ..changes import Change, ChangeAddress
from ..conf import conf
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..mail import services as mail
from .words import Line, Words

PATH = "address:email"


def asked_for(changes: Iterable[Change]) -> tuple[tuple[Change, ...], str]:
    """What can be saved at once, and the address that has to answer first, "" for none."""
    changes = tuple(changes)
    found = [change.address for change in changes if isinstance(change, ChangeAddress)]
    if not found:
        return changes, ""
    return tuple(change for change in changes if not isinstance(change, ChangeAddress)), found[0]


def ask(contact_id: UUID, address: str, snapshot: Snapshot, network: str = "") -> None:
    """Leave a mail to the address, in the transaction of a save that holds the contact's lock: rows, and nothing else.

    Only the newest wish waits. Beyond a limit - by address, contact and network - nothing happens, and the wish before
    goes on waiting.
    """
    contact = Contact.objects.select_related("audience").get(pk=contact_id)
    if not _has_room(contact, address, network):
        return
    OneTimeLink.objects.filter(contact=contact, purpose=Purpose.CHANGE_ADDRESS.value, used_at=None).delete()
    url = access.issue(Purpose.CHANGE_ADDRESS, contact, center=snapshot.center, address=address)
    mail.post(
        "change_address",
        to=address,
        audience_id=contact.audience_id,
        locale=snapshot.locale,
        context={
            "url": url,
            "center_title": snapshot.document["title"],
            "hours": int(conf.change_address_life.total_seconds() // 3600),
        },
        contact=contact.pk,
    )


def line(words: Words) -> Line:
    """What a save says of it, the same whatever came of it."""
    where, label = words.where.get(PATH, ("", ""))
    with override(words.locale):
        text = _("We send a mail to the new address. It counts once you have confirmed it there.")
        return Line(where, f"{label}: {text}" if label else text)


def _has_room(contact: Contact, address: str, network: str) -> bool:
    try:
        mailbox = canonical_email(address)
    except (ValidationError, UnicodeError):
        return False
    # In one order, whoever asks: where the database counts, these are rows that are locked until the save is done.
    key = contact.audience.key
    return (
        limits.hit("new_address_contact", str(contact.pk)).allowed
        and limits.hit("link_address", key, mailbox).allowed
        and (not network or limits.hit("link_network", network).allowed)
        and limits.hit("link_site", key).allowed
    )
