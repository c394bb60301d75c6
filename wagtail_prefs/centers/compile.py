"""From a page to a snapshot: runs at publish and in the preview, never for a visitor."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from django.utils import translation
from django.utils.translation import gettext as _

from ..blocks.base import control
from ..html import html_to_tree
from ..topics.services import topics_for
from ..values import CompileContext, Json, Spec, controls_of
from .form import STEP_UP
from .labels import labels
from .values import Direction, Snapshot, make_snapshot

if TYPE_CHECKING:
    from .mixins import PreferenceCenterMixin

FORMAT = 1


def compile_center(page: PreferenceCenterMixin, audience_id: int | None) -> Snapshot:
    """Compile the page as it is in memory. Without an audience (a preview before the first publish) no topic exists."""
    locale: str = page.locale.language_code
    page_url: str = page.get_full_url() or ""
    topics = topics_for(audience_id, locale, page_url) if audience_id is not None else {}
    with translation.override(locale):
        direction: Direction = "rtl" if translation.get_language_bidi() else "ltr"
        ctx = CompileContext(
            locale=locale,
            direction=direction,
            topics=topics,
            rich_text=partial(html_to_tree, base_url=page_url),
            blocks={child.block_type: str(child.id) for child in reversed(list(page.body))},
            base_url=page_url,
            changes_address=True,
        )
        for child in page.body:
            shown = child.block.row_conditions(child.value, ctx, str(child.id))
            ctx = replace(ctx, roles={**shown, **ctx.roles})
        specs: list[Spec] = [
            _with_step_up(child.block.compiled(child.value, ctx, str(child.id))) for child in page.body
        ]
        document: Json = {
            "format": FORMAT,
            "center": str(page.translation_key),
            "locale": locale,
            "direction": direction,
            "title": page.title,
            "page_url": page_url,
            "blocks": [spec.document for spec in specs],
            "labels": labels(),
        }
    return make_snapshot(document, specs)


def _with_step_up(spec: Spec) -> Spec:
    """The block with the button that mails a fresh link, below whatever is personal in it (security.md TK-08)."""
    controls = controls_of(spec.document)
    whens = [one.get("when") for one in controls if one.get("personal")]
    if not whens or any(one["name"] == STEP_UP or one.get("do") == STEP_UP for one in controls):
        return spec
    button = control(
        "action",
        STEP_UP,
        _("Send me a fresh link"),
        help=_("This is personal. To see it and to change it, open a link that we mail to your address now."),
        style="secondary",
        do=STEP_UP,
        when=whens[0] if all(when == whens[0] for when in whens) else None,  # shown where they are
    )
    return replace(spec, document={**spec.document, "controls": [*controls, button]})
