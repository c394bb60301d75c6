"""`{% preference_center document %}`: a center in any template, drawn by the server."""

from __future__ import annotations

from typing import Any

from django import template

from ..centers.drawing import draw, ways_in
from ..values import Json

register = template.Library()


@register.inclusion_tag("wagtail_prefs/center.html")
def preference_center(document: Json) -> dict[str, Any]:
    """Draw a center document as it looks to everyone: what there is to choose, and how to get to one's own choices.

    Nothing can be changed here. Saving needs the page behind a link, which has a form of its own; `ways` lead to pages
    that mail such a link, or sign up who has none.
    """
    return {"form": draw(document, None), "ways": ways_in(document), "action": "", "idempotency_key": ""}
