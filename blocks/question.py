"""One question of the editor's own, kept as an attribute with its purpose and the date of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from rest_framework.serializers import ValidationError
from wagtail.blocks import BooleanBlock, CharBlock, ChoiceBlock, DateBlock, StreamBlock, StructBlock

from ..changes import Change
from ..values import CompileContext, ContactState, Json, Spec
from .attributes import (
    SHORT,
    AttributeKeyBlock,
    KeyedListBlock,
    PurposeBlock,
    answered,
    declared,
    held_key,
    held_text,
    options_of,
    said,
    with_purpose,
)
from .base import PreferenceBlock, control
from .fields import AnyField, DayField, KeyField, KeysField, TextField, WholeNumberField
from .words import ABOUT

#: The scales there are, and from where to where they go.
SCALES: dict[str, tuple[int, int]] = {"nps": (0, 10), "five": (1, 5)}


class _PersonalBlock(BooleanBlock):
    def __init__(self, *, default: bool) -> None:
        super().__init__(
            required=False,
            default=default,
            label=_("Personal"),
            help_text=_(
                "The answer is hidden from whoever opens an old or a forwarded mail; to see and change it, people ask "
                "for a new link. Tick this for anything that others should not read."
            ),
        )


class OneChoice(StructBlock):
    options = KeyedListBlock(min_num=2)
    personal = _PersonalBlock(default=False)

    class Meta:
        icon = "radio-full"
        label = _("One of several")


class SeveralChoices(StructBlock):
    options = KeyedListBlock(min_num=1)
    personal = _PersonalBlock(default=False)

    class Meta:
        icon = "list-ul"
        label = _("Any of several")


class Scale(StructBlock):
    steps = ChoiceBlock(
        choices=[("nps", _("0 to 10 (Net Promoter Score)")), ("five", _("1 to 5"))],
        default="nps",
        label=_("Steps"),
    )
    low_label = CharBlock(
        label=_("Low end"), required=False, max_length=80, help_text=_("For example: not at all likely")
    )
    high_label = CharBlock(
        label=_("High end"), required=False, max_length=80, help_text=_("For example: very likely")
    )
    personal = _PersonalBlock(default=False)

    class Meta:
        icon = "sliders"
        label = _("Scale")


class ShortText(StructBlock):
    personal = _PersonalBlock(default=True)

    class Meta:
        icon = "edit"
        label = _("Short text")


class Day(StructBlock):
    first = DateBlock(label=_("Not before"), required=False)
    last = DateBlock(label=_("Not after"), required=False)
    personal = _PersonalBlock(default=True)

    class Meta:
        icon = "date"
        label = _("Date")


class AnswerBlock(StreamBlock):
    """What kind of answer a question takes: one of these."""

    one_of = OneChoice()
    many_of = SeveralChoices()
    scale = Scale()
    text = ShortText()
    date = Day()

    class Meta:
        icon = "form"
        min_num = 1
        max_num = 1


class QuestionBlock(PreferenceBlock):
    """The answer stands in the records under the editor's key, and is taken back as easily as it was given."""

    question = CharBlock(label=_("Question"), max_length=255)
    help = CharBlock(label=_("Help"), required=False, max_length=255)
    key = AttributeKeyBlock()
    purpose = PurposeBlock()
    answer = AnswerBlock(label=_("Kind of answer"))

    class Meta:
        icon = "help"
        label = _("Question")
        group = ABOUT
        description = _("One question: a choice, a scale, a few words or a date. People see what it is for.")
        label_format = "{question}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        kind, given = _kind_of(value)
        key, label, purpose = (value.get(name) or "" for name in ("key", "question", "purpose"))
        if not (kind and key):  # a draft, in the preview
            return Spec(block_id, self.name, self.document(value, ctx, block_id, []), {"attributes": {}})
        personal = bool(given.get("personal"))
        limits = _limits(kind, given)
        asked = control(
            kind,
            "answer",
            label,
            help=with_purpose(value.get("help") or "", purpose),
            personal=personal,
            **_shape(kind, given, limits),
        )
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [asked]),
            rules={
                "attributes": {key: declared(label, purpose, personal=personal)},
                "key": key,
                "kind": kind,
                "limits": limits,
            },
            paths={f"attribute:{key}": ("answer", label)},
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        return {"answer": _field(spec)} if "kind" in spec.rules else {}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return answered({"answer": _held(spec, state)}) if "kind" in spec.rules else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [said(spec.rules["key"], answers["answer"])] if "answer" in answers else []

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        kind, given = _kind_of(value)
        if kind == "date" and given.get("first") and given.get("last") and given["first"] > given["last"]:
            return {"answer": gettext("“Not before” is later than “Not after”.")}
        return {}

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": "",
                "text": "",
                "question": gettext("How likely are you to recommend us to a friend?"),
                "help": "",
                "key": "recommend",
                "purpose": gettext("to learn what we should do better"),
                "answer": [
                    {
                        "type": "scale",
                        "value": {
                            "steps": "nps",
                            "low_label": gettext("not at all likely"),
                            "high_label": gettext("very likely"),
                            "personal": False,
                        },
                    }
                ],
                "conditions": [],
            }
        )


def _kind_of(value: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The type of the control, and what the editor set for it."""
    for child in value.get("answer") or ():
        return child.block_type, child.value
    return "", {}


def _limits(kind: str, given: Mapping[str, Any]) -> Json:
    """What an answer is held against, as JSON."""
    match kind:
        case "one_of" | "many_of":
            return {"keys": [option["key"] for option in options_of(given.get("options"))]}
        case "scale":
            low, high = SCALES[given.get("steps") or "nps"]
            return {"min": low, "max": high}
        case "date":
            days = {"min": given.get("first"), "max": given.get("last")}
            return {name: day.isoformat() for name, day in days.items() if day}
    return {"max_length": SHORT}


def _shape(kind: str, given: Mapping[str, Any], limits: Json) -> Json:
    """A control's own fields."""
    match kind:
        case "one_of" | "many_of":
            return {"options": options_of(given.get("options"))}
        case "scale":
            ends = {"min_label": given.get("low_label") or "", "max_label": given.get("high_label") or ""}
            return {"constraints": limits, **ends}
        case "date":
            return {"constraints": limits}
    return {"constraints": limits, "format": "plain"}


def _field(spec: Spec) -> AnyField:
    limits = spec.rules["limits"]
    match spec.rules["kind"]:
        case "one_of":
            return KeyField(limits["keys"], allow_null=True)
        case "many_of":
            return KeysField(limits["keys"], allow_null=True)
        case "scale":
            return WholeNumberField(limits["min"], limits["max"], allow_null=True)
        case "date":
            return DayField(limits.get("min", ""), limits.get("max", ""), allow_null=True)
    return TextField(limits["max_length"], allow_null=True)


def _held(spec: Spec, state: ContactState) -> Any:
    """The answer that stands in the contact's state, as far as this control can draw it."""
    key, limits = spec.rules["key"], spec.rules["limits"]
    match spec.rules["kind"]:
        case "text":
            return held_text(state, key)
        case "one_of":
            return held_key(state, key, limits["keys"])
        case "many_of":
            held = state.attributes.get(key)
            chosen = held if isinstance(held, list | tuple) else ()
            return [one for one in limits["keys"] if one in chosen] or None
    try:
        return _field(spec).run_validation(state.attributes.get(key))
    except ValidationError:
        return None
