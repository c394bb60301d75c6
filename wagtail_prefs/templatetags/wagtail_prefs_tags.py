"""`{% preference_center document %}`: a center in any template, drawn by the server."""

from __future__ import annotations

from typing import Any

from django import template

from ..centers.drawing import draw
from ..values import Json

register = template.Library()


@register.inclusion_tag("wagtail_prefs/center.html")
def preference_center(document: Json) -> dict[str, Any]:
    """Draw a center document as it looks to everyone: what there is to choose, and how to get to one's own choices.

    Nothing can be changed here. Saving needs the page behind a link, which has a form of its own.
    """
    return {"form": draw(document, None), "action": "", "idempotency_key": ""}
