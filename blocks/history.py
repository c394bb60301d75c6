"""What was recorded of the person, in words, with a button that takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, IntegerBlock

from ..values import CompileContext, Spec
from .base import PreferenceBlock, control
from .words import WORDS, by_channel

#: On the button of an entry.
TAKE_BACK = _("Take this back")
#: More than this is for the history's own address, page by page.
MOST = 50


class HistoryBlock(PreferenceBlock):
    """The document holds no record: they come with the preferences, and only to whom they are about."""

    of_contact = True

    entries = IntegerBlock(
        label=_("How many"), default=5, min_value=1, max_value=MOST, help_text=_("The newest are shown.")
    )
    mail = BooleanBlock(
        label=_("Mail a receipt after each save"),
        required=False,
        default=False,
        help_text=_(
            "To the person's address, once that has been confirmed, and a few times a day at most. Most people do not "
            "need it: the page says what was saved, and leads to the receipt."
        ),
    )

    class Meta:
        icon = "history"
        group = WORDS
        label = _("History and receipts")
        description = _("What the person chose before and where it came from, with a way to take it back.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        records = control("records", "history", "", help=gettext("What was saved here, the newest first."))
        entries = min(max(int(value.get("entries") or 1), 1), MOST)
        # Not where it is off: a snapshot that is the same as before has the same name as before.
        mailed = {"receipt_mail": True} if value.get("mail") else {}
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [records]),
            rules={"records": "history", "entries": entries, **mailed},
        )

    def preview_spec(self, value: Any) -> Spec:
        """With an entry as it will look: in the picker there is nobody whose records could be shown."""
        spec = super().preview_spec(value)
        lines = [
            ["p", {}, ["strong", {}, gettext("By you, on this page")]],
            ["p", {}, by_channel(gettext("News"), "email")],
        ]
        undo = control("action", "undo", TAKE_BACK, style="secondary", do={"answers": {}})
        controls = [*spec.document["controls"], control("rich_text", "entry", "", content=lines), undo]
        return replace(spec, document={**spec.document, "controls": controls})

    def get_preview_value(self) -> Any:
        text = gettext("Everything you chose here, and when. Most of it can be taken back.")
        return self.normalize({"heading": gettext("Your history"), "text": f"<p>{text}</p>", "entries": 5})
