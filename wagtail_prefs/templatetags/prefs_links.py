"""Links for the mails of a site: `{% prefs_link contact %}`, `{% unsubscribe_link contact "news" %}`, `{% why_link ... %}`.

Each is the full address, for `href` or plain text. A mail with a link to the wrong place, or to none, must not go out:
what is missing raises, where Django's templates would be silent.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import template

from ..access.services import manage_url, one_click_url, why_url as address_of_why
from ..centers.models import PublishedCenter
from ..contacts.models import Contact

register = template.Library()


@register.simple_tag
def prefs_link(contact: Contact, center: Any = None) -> str:
    """The contact's page of a center (its page, or its id); without one, of the only center that there is for her."""
    return manage_url(_contact(contact), _id(center) or _only(contact))


@register.simple_tag
def unsubscribe_link(contact: Contact, topic: str, channel: str = "email", center: Any = None) -> str:
    """A page with a button that ends one topic for her: to be read, and pressed. Mail programs have the header."""
    return one_click_url(_contact(contact), _word(topic, "topic"), _word(channel, "channel"), _id(center))


@register.simple_tag
def why_link(
    contact: Contact, topic: str, message_id: str, channel: str = "email", center: Any = None
) -> str:
    """The page that says why this mail came. `message_id` is what `send` gets, so give it one."""
    return address_of_why(
        _contact(contact), _word(topic, "topic"), _word(channel, "channel"), _word(message_id, "message_id"),
        center=_id(center),
    )  # fmt: skip


def _contact(given: Any) -> Contact:
    if not isinstance(given, Contact):
        raise TypeError("a link needs the contact it is for: give the template `contact`")
    return given


def _word(given: Any, name: str) -> str:
    if not given:
        raise ValueError(f"a link needs its {name}")
    return str(given)


def _id(center: Any) -> UUID | None:
    """Of a center's page, of an id, or of nothing. A variable that the template does not have is not nothing."""
    if center is None:
        return None
    if center == "":
        raise ValueError("the center of a link is not there: give its page, or its id")
    found = getattr(center, "translation_key", center)
    return found if isinstance(found, UUID) else UUID(str(found))


def _only(contact: Contact) -> UUID:
    centers = PublishedCenter.objects.filter(audience_id=contact.audience_id)
    found = list(centers.order_by("center").values_list("center", flat=True).distinct()[:2])
    if len(found) != 1:
        raise ValueError(
            f"there is {'no published center' if not found else 'more than one center'} for this contact: "
            "publish one, and say which: {% prefs_link contact center=page %}"
        )
    return found[0]
