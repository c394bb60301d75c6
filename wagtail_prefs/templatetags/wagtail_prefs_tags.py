"""`{% preference_center document %}`: a center in any template, drawn by the server."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import translation
from django.utils.translation import gettext as _

from ..centers.drawing import draw, page_of, ways_in
from ..centers.screen import Way
from ..conf import conf
from ..values import Json

register = template.Library()


@register.inclusion_tag("wagtail_prefs/center.html")
def preference_center(document: Json) -> dict[str, Any]:
    """Draw a center document as it looks to everyone: what there is to choose, and how to get to one's own choices.

    Nothing can be changed here. Saving needs the page behind a link, which has a form of its own; `ways` lead to pages
    that mail such a link, or sign up who has none; and members of a site with CONTACT_FOR_REQUEST to their own page.
    """
    ways = (*_members_way(document), *ways_in(document))
    return {"form": draw(document, None), "ways": ways, "action": "", "idempotency_key": ""}


def _members_way(document: Json) -> tuple[Way, ...]:
    href = page_of("member", document) if conf.contact_for_request else ""
    with translation.override(document["locale"]):
        return (Way("member", href, _("My choices")),) if href else ()
