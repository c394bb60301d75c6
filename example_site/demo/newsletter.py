"""One newsletter to every contact, sent as any Django code would: `EmailMessage`, a manage link, RFC 8058 headers.

It goes to contacts who opted out as well, so that each of them has a link to try. A real sender asks first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

import wagtail_prefs
from wagtail_prefs.access import services as access
from wagtail_prefs.contacts.models import Contact

from . import content
from .models import NewsletterSent

TOPIC = "rides"
CHANNEL = "email"


@dataclass(frozen=True, slots=True)
class Links:
    """Where a mail leads one contact."""

    manage: str
    embed: str
    one_click: str


def links(contact: Contact, center: UUID) -> Links:
    """Own page, customer's page, and what a mail client POSTs to."""
    return Links(
        manage=access.manage_url(contact, center),
        embed=access.manage_url(contact, center, host=0),
        one_click=access.one_click_url(contact, TOPIC, CHANNEL, center),
    )


def send(contacts: Iterable[Contact], center: UUID, site: str, *, again: bool) -> int:
    """Send the newsletter to those who have not had it with this site's address; returns how many mails went out.

    Raises OSError when no mail server answers; those who got theirs before are remembered.
    """
    had = set(NewsletterSent.objects.filter(site=site).values_list("contact", flat=True))
    sent = 0
    with get_connection() as connection:
        for contact in contacts:
            if contact.pk in had and not again:
                continue
            mail = compose(contact, center)
            mail.connection = connection
            mail.send()
            NewsletterSent.objects.get_or_create(contact=contact.pk, site=site)
            sent += 1
    return sent


def compose(contact: Contact, center: UUID) -> EmailMultiAlternatives:
    """The newsletter for one contact, in her language."""
    language = contact.language or "en"
    words = {
        name.removeprefix("MAIL_").lower(): text.get(language)
        for name, text in vars(content).items()
        if name.startswith("MAIL_")
    }
    mail = EmailMultiAlternatives(subject=words["subject"], to=[contact.email])
    wagtail_prefs.add_headers(mail, contact, TOPIC, CHANNEL, center)
    # One link and not two: each holds the second in which it was made.
    one_click = mail.extra_headers["List-Unsubscribe"].strip("<>")
    there = replace(links(contact, center), one_click=one_click)
    context = {**words, "language": language, "brand": content.BRAND, "links": there}
    mail.body = render_to_string("demo/newsletter.txt", context)
    mail.attach_alternative(render_to_string("demo/newsletter.html", context), "text/html")
    return mail
