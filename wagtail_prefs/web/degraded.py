"""What an old manage link can still do: unsubscribe from everything, or ask for a new one (security.md TK-05)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict

from ..access.services import Link, network_of
from ..centers import services as centers
from ..centers.services import Center
from ..changes import OptOut
from ..contacts.services import load_state
from ..errors import NotPublished
from ..submissions import asking, services as submissions
from ..values import Actor, ActorType, Source
from .asking import on_its_way
from .responses import asked_locale, page

OPT_OUT, NEW_LINK = "opt_out", "new_link"


def show(
    request: HttpRequest, link: Link, center: Center | None, *, status: int | None = None
) -> HttpResponse:
    """The page with its buttons, or with the news that one was pressed. Without a center it answers 404, and works."""
    state = load_state(link.contact_id)
    context = {
        "opted_out": state.opted_out,
        "expired": link.expired,
        "action": request.path,
        "button": OPT_OUT,
        # A closed page has nothing that a newer link could show, and without an address there is nowhere to send it.
        "new_link": NEW_LINK if center is not None and link.expired and link.email else "",
    }
    return page(
        "wagtail_prefs/link_expired.html",
        context,
        locale=center.locale if center else asked_locale(request),
        status=status or (200 if center else 404),
    )


def act(request: HttpRequest, link: Link, data: QueryDict) -> HttpResponse:
    """The buttons. Any other form is answered by the page."""
    pressed = data.getlist("do")
    if pressed == [NEW_LINK] and link.expired and link.email:
        center = _center(link)
        if center is not None:
            return send_new(request, link, center)
    if pressed == [OPT_OUT]:
        submissions.record(
            link.contact_id,
            [OptOut()],
            actor=Actor(ActorType.SUBJECT_LINK),
            source=Source(method="page", form_id=str(link.center) if link.center else None),
        )
    return show(request, link, None, status=200)


def send_new(request: HttpRequest, link: Link, center: Center) -> HttpResponse:
    """Ask for a new link to the same place. It goes to her stored address, which this page does not show."""
    asking.ask_for_link(center, link.email, network=network_of(request), host=link.host, locale=link.language)
    return on_its_way(center, to_stored=True)


def _center(link: Link) -> Center | None:
    if link.center is None:
        return None
    try:
        center = centers.current(link.center, link.language or None)
    except NotPublished:
        return None
    return center if center.audience_id == link.audience_id else None
