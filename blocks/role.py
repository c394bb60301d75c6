"""Who somebody is to the site: an answer that decides which topics she is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock, ListBlock, StructBlock
from wagtail.snippets.blocks import SnippetChooserBlock

from ..changes import Change
from ..values import CompileContext, ContactState, Json, Spec
from .attributes import (
    ROLE,
    KeyBlock,
    KeyedListBlock,
    PurposeBlock,
    answered,
    declared,
    held_key,
    options_of,
    said,
    with_purpose,
)
from .base import PreferenceBlock, control
from .fields import AnyField, KeyField
from .words import PREFERENCES


class RoleOptionBlock(StructBlock):
    key = KeyBlock(
        help_text=_(
            "Stands for this role in the records and in conditions. Keep it when you change the words."
        )
    )
    label = CharBlock(label=_("Label"), max_length=255)
    help = CharBlock(label=_("Help"), required=False, max_length=255)
    topics = ListBlock(
        SnippetChooserBlock("wagtail_prefs.Topic", label=_("Topic")),
        label=_("Topics"),
        default=[],
        help_text=_("Shown to these people. A topic that no role names is shown to everybody."),
    )

    class Meta:
        icon = "user"
        label = _("Role")


class RoleBlock(PreferenceBlock):
    """Hides rows of topics, and changes no choice: what somebody gets already she keeps, shown or not."""

    question = CharBlock(label=_("Question"), max_length=255)
    purpose = PurposeBlock()
    roles = KeyedListBlock(RoleOptionBlock, label=_("Roles"), min_num=2)
    all_until_answered = BooleanBlock(
        required=False,
        default=True,
        label=_("Show all topics until somebody answers"),
        help_text=_("Not ticked: people who have not answered see only the topics that no role names."),
    )

    class Meta:
        icon = "user"
        label = _("Role")
        group = PREFERENCES
        description = _("Asks people who they are, and shows them the topics for it.")
        label_format = "{question}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        label, purpose = value.get("question") or gettext("Role"), value.get("purpose") or ""
        options = options_of(value.get("roles"))
        asked = control("one_of", ROLE, label, help=with_purpose("", purpose), options=options)
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [asked] if options else []),
            rules={
                "attributes": {ROLE: declared(label, purpose, personal=False)},
                "keys": [option["key"] for option in options],
            },
            paths={f"attribute:{ROLE}": (ROLE, label)},
        )

    def row_conditions(
        self, value: Mapping[str, Any], ctx: CompileContext, block_id: str
    ) -> Mapping[str, Json]:
        unanswered = [None] if value.get("all_until_answered") else []
        shown: dict[str, list[str]] = {}
        for role in value.get("roles") or ():
            for topic in role.get("topics") or ():
                info = ctx.topics.get(topic.pk) if topic else None
                if info and role.get("key") and role["key"] not in shown.get(info.key, ()):
                    shown.setdefault(info.key, []).append(role["key"])
        return {
            topic: {"block": block_id, "control": ROLE, "in": [*keys, *unanswered]}
            for topic, keys in shown.items()
        }

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        return {ROLE: KeyField(spec.rules["keys"], allow_null=True)}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return answered({ROLE: held_key(state, ROLE, spec.rules["keys"])})

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [said(ROLE, answers[ROLE])] if ROLE in answers else []

    def get_preview_value(self) -> Any:
        roles = {
            "customer": gettext("I am a customer"),
            "partner": gettext("I am a partner"),
            "press": gettext("I write for the press"),
        }
        return self.normalize(
            {
                "heading": "",
                "text": "",
                "question": gettext("What brings you here?"),
                "purpose": gettext("to show you the topics that are for you"),
                "roles": [
                    {"key": key, "label": label, "help": "", "topics": []} for key, label in roles.items()
                ],
                "all_until_answered": True,
                "conditions": [],
            }
        )
