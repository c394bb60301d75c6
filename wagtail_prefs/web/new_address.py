"""`c/{token}/` of a new address: its owner says that it is hers (security.md TK-07)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from ..access.services import Once, manage_url
from ..centers import services as centers
from ..centers.services import Center
from ..contacts.addresses import masked
from ..contacts.models import Contact
from ..errors import AddressTaken
from ..submissions import services as submissions
from ..values import Source
from .personal import address, center_of
from .responses import asked_locale, page


def show(request: HttpRequest, link: Once) -> HttpResponse:
    """The page with the button, or that it is too late for it."""
    center = center_of(link, request)
    return _too_late(request, center) if link.over else _page(request, link, center)


def act(request: HttpRequest, link: Once) -> HttpResponse:
    """The button. Where the address has become somebody else's, nothing happens, and the link can be tried again."""
    center = center_of(link, request)
    if link.over:
        return _too_late(request, center)
    contact = Contact.objects.select_related("audience").get(pk=link.contact_id)
    snapshot = centers.get_snapshot(center.digest) if center else None
    source = Source(
        method="page",
        form_id=str(link.center),
        form_version=snapshot.digest if snapshot else None,
        language=_locale(request, center),
        source_url=center.page_url if center else None,
    )
    try:
        saved = submissions.confirm_address(
            link,
            source=source,
            locale=_locale(request, center),
            center_title=snapshot.document["title"] if snapshot else contact.audience.name,
        )
    except AddressTaken:
        return _taken(request, center)
    return _done(request, Contact.objects.get(pk=saved.state.id), center)


def _page(request: HttpRequest, link: Once, center: Center | None) -> HttpResponse:
    # Masked, although it is the reader's own: a page may stand open on a desk.
    context = {"email": masked(link.address), "action": address(request)}
    return page("wagtail_prefs/new_address.html", context, locale=_locale(request, center))


def _done(request: HttpRequest, contact: Contact, center: Center | None) -> HttpResponse:
    context = {
        "done": True,
        "email": masked(contact.email),
        "manage_url": manage_url(contact, center.center) if center else "",
    }
    return page("wagtail_prefs/new_address.html", context, locale=_locale(request, center))


def _too_late(request: HttpRequest, center: Center | None) -> HttpResponse:
    with translation.override(_locale(request, center)):
        title = _("This link is too old")
        text = _("Your address has not changed. You can ask for the change again on your page.")
    return _told(request, center, title, text)


def _taken(request: HttpRequest, center: Center | None) -> HttpResponse:
    with translation.override(_locale(request, center)):
        title = _("This address cannot be used for this")
        text = _("Nothing has changed. What you chose goes on at your present address.")
    return _told(request, center, title, text, status=422)


def _told(
    request: HttpRequest, center: Center | None, title: str, text: str, status: int = 200
) -> HttpResponse:
    context = {"title": title, "text": text}
    return page("wagtail_prefs/message.html", context, locale=_locale(request, center), status=status)


def _locale(request: HttpRequest, center: Center | None) -> str:
    return center.locale if center else asked_locale(request)
