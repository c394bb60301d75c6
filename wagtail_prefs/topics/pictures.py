"""The pictures of topics in the size in which centers show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urljoin

from wagtail.images import get_image_model

from ..values import Media
from .models import Topic

#: Twice the width at which a row shows it, for dense screens; cut around the focal point.
SIZE = "fill-192x192"


def pictures_of(topics: Iterable[Topic], base_url: str = "") -> Mapping[int, Media]:
    """{primary key of a topic: its picture}, with full addresses where the center's own is given.

    Two queries where a topic has a picture, none else; what was never shown in this size is made now. A picture whose
    file is gone is left out: the topic is shown without it.
    """
    wanted = {topic.pk: topic.picture_id for topic in topics if topic.picture_id}
    if not wanted:
        return {}
    images = get_image_model().objects.filter(pk__in=set(wanted.values())).prefetch_renditions(SIZE)
    found = {image.pk: _media(image, base_url) for image in images}
    return {topic: media for topic, picture in wanted.items() if (media := found.get(picture)) is not None}


def _media(image: Any, base_url: str) -> Media | None:
    try:
        rendition = image.get_rendition(SIZE)
    except OSError:  # also Wagtail's SourceImageIOError
        return None
    return Media(
        src=urljoin(base_url, rendition.url) if base_url else rendition.full_url,
        # Wagtail would fall back to the title, which is mostly the name of a file.
        alt=getattr(image, "description", ""),
        width=rendition.width,
        height=rendition.height,
    )
