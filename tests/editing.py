"""A page's form as an editor's browser sends it, made from the page itself: no test spells out the fields of a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wagtail import blocks
from wagtail.test.utils.form_data import rich_text

from wagtail_prefs.centers.page import PreferenceCenterPage


def posted(block: blocks.Block, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A block's value as the editor's form sends it."""
    if isinstance(block, blocks.StructBlock):
        for child_name, child in block.child_blocks.items():
            inner = None if value is None else value.get(child_name)  # an optional picture
            yield from posted(child, inner, f"{name}-{child_name}")
    elif isinstance(block, blocks.StreamBlock | blocks.ListBlock):
        items = list(value or ()) if isinstance(block, blocks.StreamBlock) else list(value.bound_blocks)
        yield f"{name}-count", str(len(items))
        for index, item in enumerate(items):
            at = f"{name}-{index}"
            yield from [(f"{at}-deleted", ""), (f"{at}-order", str(index)), (f"{at}-id", item.id or "")]
            yield f"{at}-type", getattr(item, "block_type", "item")
            yield from posted(item.block, item.value, f"{at}-value")
    elif isinstance(block, blocks.RichTextBlock):
        yield name, rich_text(value.source if value else "", features=block.features)
    elif isinstance(block, blocks.BooleanBlock):
        yield from [(name, "on")] if value else []
    elif isinstance(block, blocks.ChooserBlock):
        yield name, str(value.pk) if value else ""
    else:
        yield name, value if isinstance(value, list | tuple) else "" if value is None else str(value)


def form_of(page: PreferenceCenterPage, **changed: Any) -> dict[str, Any]:
    """The page's form as it stands, saved or not; what is None in `changed` is not sent."""
    form = {"title": page.title, "slug": page.slug, "host_pages": page.host_pages}
    form |= {f"comments-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS")}
    form |= dict(posted(page.body.stream_block, page.body, "body"))
    return {name: value for name, value in {**form, **changed}.items() if value is not None}
