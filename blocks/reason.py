"""Why somebody leaves: asked after she has left, and never in her way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock

from ..changes import Change, ClearAttribute, GiveReason
from ..values import CompileContext, ContactState, Json, Spec, controls_of
from .attributes import (
    LONG,
    REASON,
    REASON_TEXT,
    KeyedListBlock,
    PurposeBlock,
    answered,
    declared,
    options_of,
    said,
    with_purpose,
)
from .base import PreferenceBlock, control, rich_text, sample_context
from .fields import AnyField, KeyField, TextField
from .words import LEAVING

#: The block whose button comes first.
LEAVING_BLOCK = "unsubscribe_all"


class ReasonBlock(PreferenceBlock):
    """Appears with the confirmation that she is out. Without the button to leave on the page, it asks nothing.

    Two answers with a path each, so that words given later do not push the code out. The words are written and never
    shown: whoever leaves came by a mail, mails are forwarded, and she need not ask for another link to tell us why.
    """

    of_contact = True

    question = CharBlock(
        label=_("Question"),
        required=False,
        max_length=255,
        help_text=_("Empty: “Why did you unsubscribe?”"),
    )
    purpose = PurposeBlock()
    options = KeyedListBlock(min_num=1)
    own_words = BooleanBlock(
        required=False,
        default=True,
        label=_("Also ask for a few words"),
        help_text=_("What people write is personal data: somebody has to read it, and to delete it."),
    )

    class Meta:
        icon = "comment"
        label = _("Reason for leaving")
        group = LEAVING
        description = _(
            "Asks why, after people have unsubscribed from everything. Nobody has to answer. Needs that block."
        )
        label_format = "{question}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        leaving = ctx.blocks.get(LEAVING_BLOCK)
        options = options_of(value.get("options"))
        if leaving is None or not options:
            return Spec(
                block_id, self.name, self.document({}, ctx, block_id, []), {"attributes": {}, "keys": []}
            )
        out = {"block": leaving, "control": "opted_out", "in": [True]}
        label = value.get("question") or gettext("Why did you unsubscribe?")
        purpose = value.get("purpose") or ""
        asked = control("one_of", REASON, label, help=with_purpose("", purpose), options=options, when=out)
        attributes = {REASON: declared(label, purpose, personal=False)}
        paths = {f"attribute:{REASON}": (REASON, label)}
        controls = [*_introduction(value, ctx, out), asked]
        if value.get("own_words"):
            words = gettext("In your own words")
            controls.append(
                control(
                    "text",
                    REASON_TEXT,
                    words,
                    help=gettext("May stay empty. What you write here is not shown again."),
                    format="long",
                    constraints={"max_length": LONG},
                    when=out,
                )
            )
            attributes[REASON_TEXT] = declared(words, purpose, personal=True)
            paths[f"attribute:{REASON_TEXT}"] = (REASON_TEXT, words)
        return Spec(
            block_id=block_id,
            type=self.name,
            # Heading and text of a block stand there for everybody: here they are controls, and come with the rest.
            document=self.document({}, ctx, block_id, controls),
            rules={"attributes": attributes, "keys": [option["key"] for option in options]},
            paths=paths,
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        fields: dict[str, AnyField] = {}
        if REASON in spec.rules["attributes"]:
            fields[REASON] = KeyField(spec.rules["keys"], allow_null=True)
        if REASON_TEXT in spec.rules["attributes"]:
            fields[REASON_TEXT] = TextField(LONG, lines=True, allow_null=True)
        return fields

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        held = state.attributes.get(REASON)
        code = held.get("code") if isinstance(held, Mapping) else None
        return answered({REASON: code if code in spec.rules["keys"] else None})

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        found: list[Change] = []
        if REASON in answers:
            code = answers[REASON]
            found.append(ClearAttribute(REASON) if code is None else GiveReason(code))
        if REASON_TEXT in answers:
            found.append(said(REASON_TEXT, answers[REASON_TEXT]))
        return found

    def get_preview_value(self) -> Any:
        reasons = {
            "too_many": gettext("Too many messages"),
            "not_for_me": gettext("They are not about what I need"),
            "never_asked": gettext("I never asked for them"),
            "other": gettext("Something else"),
        }
        return self.normalize(
            {
                "heading": "",
                "text": "",
                "question": "",
                "purpose": gettext("to send better mails to those who stay"),
                "options": [{"key": key, "label": label} for key, label in reasons.items()],
                "own_words": True,
                "conditions": [],
            }
        )

    def preview_spec(self, value: Any) -> Spec:
        """As it looks to who has just left."""
        ctx = replace(sample_context(), blocks={LEAVING_BLOCK: "preview"})
        spec = self.compiled(value, ctx, "preview")
        controls = [{**one, "when": None} for one in controls_of(spec.document)]
        return replace(spec, document={**spec.document, "controls": controls})


def _introduction(value: Mapping[str, Any], ctx: CompileContext, when: Json) -> list[Json]:
    """What other blocks have as heading and text."""
    heading = value.get("heading")
    content = [*([["h3", {}, heading]] if heading else []), *rich_text(value.get("text"), ctx)]
    return [control("rich_text", "introduction", "", content=content, when=when)] if content else []
