"""What an old manage link can still do: unsubscribe from everything, and nothing more (security.md TK-05)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict

from ..access.services import Link
from ..centers.services import Center
from ..changes import OptOut
from ..contacts.services import load_state
from ..submissions import services as submissions
from ..values import Actor, ActorType, Source
from .responses import asked_locale, page

OPT_OUT = "opt_out"


def show(
    request: HttpRequest, link: Link, center: Center | None, *, status: int | None = None
) -> HttpResponse:
    """The page with one button, or with the news that it was pressed. Without a center it answers 404, and works."""
    state = load_state(link.contact_id)
    context = {
        "opted_out": state.opted_out,
        "expired": link.expired,
        "action": request.path,
        "button": OPT_OUT,
    }
    return page(
        "wagtail_prefs/link_expired.html",
        context,
        locale=center.locale if center else asked_locale(request),
        status=status or (200 if center else 404),
    )


def act(request: HttpRequest, link: Link, data: QueryDict) -> HttpResponse:
    """The button. Any other form is answered by the page."""
    if data.getlist("do") == [OPT_OUT]:
        submissions.record(
            link.contact_id,
            [OptOut()],
            actor=Actor(ActorType.SUBJECT_LINK),
            source=Source(method="page", form_id=str(link.center)),
        )
    return show(request, link, None, status=200)
