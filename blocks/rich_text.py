"""Words of the editor's own, and perhaps a picture. Nothing is asked, and nothing is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.images.blocks import ImageBlock

from ..values import CompileContext, Media, Spec
from .base import PreferenceBlock, control
from .words import WORDS

#: Wide enough for every column a center stands in, on screens of double density.
_SIZE = "max-1600x1600|preserve-svg"


class RichTextBlock(PreferenceBlock):
    """Heading and text are those of every block."""

    picture = ImageBlock(label=_("Picture"), required=False)

    class Meta:
        icon = "pilcrow"
        group = WORDS
        label = _("Text")
        description = _("A heading, a text and perhaps a picture.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        media = _media(value.get("picture"), ctx)
        controls = [control("image", "picture", "", media=media.to_json())] if media else []
        return Spec(block_id=block_id, type=self.name, document=self.document(value, ctx, block_id, controls))

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if not value.get("heading") and not value.get("text") and not value.get("picture"):
            return {"text": gettext("Write something, choose a picture, or remove this block.")}
        return {}

    def get_preview_value(self) -> Any:
        text = gettext("We write to you about what you choose, and only then.")
        return self.normalize({"heading": gettext("Good to see you"), "text": f"<p>{text}</p>"})


def _media(image: Any, ctx: CompileContext) -> Media | None:
    """The picture in a size for the web; None without one, and where its file is gone."""
    if not image:
        return None
    try:
        rendition = image.get_rendition(_SIZE)
    except OSError:  # Wagtail's SourceImageIOError is one
        return None
    return Media(
        src=urljoin(ctx.base_url, rendition.url) if ctx.base_url else rendition.full_url,
        alt=getattr(image, "contextual_alt_text", "") or "",
        width=rendition.width,
        height=rendition.height,
    )
