"""`embed/{center}/`: a center for a frame on another website. It knows no person, so nothing in it can be clicked away."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ..centers import services as centers
from ..errors import NotPublished
from .responses import asked_locale, media_origins, message, page

MAX_LOCALE = 35


@require_safe
def frame(request: HttpRequest, center: UUID) -> HttpResponse:
    """The published center without anybody's choices; may be framed where the element may stand, and nowhere else.

    With `?host=` one of those origins, it tells that page how high it is. Otherwise no script runs in it.
    """
    wish = request.GET.get("locale", "")[:MAX_LOCALE] or asked_locale(request)
    try:
        found = centers.current(center, wish)
    except NotPublished:
        return message(request, 404, _("There is nothing here"), _("This page is not published any more."))
    snapshot = centers.get_snapshot(found.digest)
    asked = request.GET.get("host", "")
    host = asked if asked in found.origins else ""
    return page(
        "wagtail_prefs/frame.html",
        {"document": snapshot.document, "page_url": found.page_url, "host": host},
        locale=snapshot.locale,
        media=media_origins(snapshot.document),
        ancestors=found.origins,
        scripts=bool(host),
    )
