"""What always comes: the messages nobody can switch off, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _

from ..values import CompileContext, Spec, TopicInfo, Tree
from .base import PreferenceBlock, control
from .words import WORDS


class TransactionalBlock(PreferenceBlock):
    """A text, and below it the topics marked as always sent - so that the list is never out of date."""

    class Meta:
        icon = "info-circle"
        group = WORDS
        label = _("What always comes")
        description = _(
            "Receipts, security notices and the like. The list is made from the topics marked “always sent”."
        )
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        controls = []
        items = always_sent(ctx)
        if items:
            controls.append(control("rich_text", "always_sent", "", content=[items]))
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={"always": named_always(ctx.topics.values())},
        )

    def get_preview_value(self) -> Any:
        text = gettext("Some messages are part of what you have with us. They come whatever you choose here.")
        return self.normalize({"heading": gettext("What always comes"), "text": f"<p>{text}</p>"})


def always_sent(ctx: CompileContext) -> Tree:
    """The transactional topics as one list node; empty where there are none."""
    topics = _public(ctx.topics.values())
    return ["ul", {}, *(_item(info) for info in topics)] if topics else []


def named_always(topics: Iterable[TopicInfo]) -> dict[str, str]:
    """{key: name} of the transactional ones among these topics: rules say so to whoever asks what still comes."""
    return {info.key: info.label for info in _public(topics)}


def _public(topics: Iterable[TopicInfo]) -> list[TopicInfo]:
    return [info for info in topics if info.transactional and not info.archived and not info.private]


def _item(info: TopicInfo) -> Tree:
    return ["li", {}, ["strong", {}, info.label], *([f" – {info.text}"] if info.text else [])]
