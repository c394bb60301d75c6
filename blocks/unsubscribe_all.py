"""One button that ends all marketing, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import CharBlock

from ..changes import Change, OptIn, OptOut
from ..values import CompileContext, ContactState, Json, Need, Spec
from .base import CenterTextBlock, PreferenceBlock, control, rich_text
from .fields import AnyField, StrictBooleanField
from .transactional import always_sent, named_always
from .words import LEAVING


class UnsubscribeAllBlock(PreferenceBlock):
    """The button works at once and alone: it needs no other answer, no reason, no second page."""

    of_contact = True

    still_comes = CenterTextBlock(
        label=_("What still comes"),
        required=False,
        help_text=_("Shown beside the button. The topics marked “always sent” are listed by themselves."),
    )
    button = CharBlock(
        label=_("Button"), required=False, max_length=80, help_text=_("Empty: “Unsubscribe from everything”")
    )

    class Meta:
        icon = "cross"
        group = LEAVING
        label = _("Unsubscribe from everything")
        description = _("Ends all marketing with one button, and offers the way back.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        out = {"block": block_id, "control": "opted_out", "in": [True]}
        not_out = {"block": block_id, "control": "opted_out", "not_in": [True]}
        done = gettext("You are unsubscribed from everything. Nothing you chose before comes back by itself.")
        content = rich_text(value.get("still_comes"), ctx)
        items = always_sent(ctx)
        if items:
            content = [*content, ["p", {}, gettext("These messages still come:")], items]
        controls = [
            control("rich_text", "done", "", content=[["p", {}, ["strong", {}, done]]], when=out),
            *([control("rich_text", "still_comes", "", content=content)] if content else []),
            control(
                "action",
                "opt_out",
                value.get("button") or gettext("Unsubscribe from everything"),
                style="danger",
                do={"answers": {"opted_out": True}},
                when=not_out,
            ),
            control(
                "action",
                "opt_in",
                gettext("Let me choose again"),
                style="secondary",
                do={"answers": {"opted_out": False}},
                when=out,
            ),
        ]
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={"always": named_always(ctx.topics.values())},
            paths={"opted_out": ("opted_out", gettext("Everything"))},
            needs=(Need("opt_out"),),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        return {"opted_out": StrictBooleanField()}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return {"opted_out": True} if state.opted_out else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        if "opted_out" not in answers:
            return []
        return [OptOut() if answers["opted_out"] else OptIn()]

    def get_preview_value(self) -> Any:
        return self.normalize(
            {"heading": gettext("Nothing any more?"), "text": "", "still_comes": "", "button": ""}
        )
