"""What a person tells of herself: attributes with a key, a label and a purpose, for the blocks that ask for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import Block, CharBlock, ListBlock, StructBlock
from wagtail.blocks.list_block import ListBlockValidationError

from ..changes import FACTS, Change, ClearAttribute, SetAttribute
from ..values import ContactState, Json

#: The attribute that a persona question keeps; topics and conditions go by it.
ROLE = "role"
#: Why somebody left, as a code; and in her own words.
REASON, REASON_TEXT = "reason", "reason_text"
#: Names that mean something to the rest of the system, so that no editor may give them to a question.
RESERVED = frozenset({*FACTS, ROLE, REASON, REASON_TEXT, "invited"})

KEY_LENGTH = 64
#: Characters of a short and of a long text.
SHORT, LONG = 200, 1000

_PATTERN = r"^[a-z0-9_-]+\Z"


def _is_free(key: str) -> None:
    if key in RESERVED:
        raise ValidationError(
            gettext("“%(key)s” has a meaning of its own. Choose another key.") % {"key": key}
        )


class CodeBlock(CharBlock):
    """A text for machines, which is the same in every language: wagtail-localize gives it to no translator."""

    def get_translatable_segments(self, value: Any) -> list[Any]:
        return []

    def restore_translated_segments(self, value: Any, segments: Any) -> Any:
        return value


class KeyBlock(CodeBlock):
    """A name for machines: lower-case letters, digits, hyphens, underscores."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Key"))
        kwargs.setdefault("max_length", KEY_LENGTH)
        kwargs["validators"] = [
            RegexValidator(_PATTERN, _("Use lower-case letters, digits, hyphens and underscores.")),
            *kwargs.get("validators", ()),
        ]
        super().__init__(**kwargs)


class AttributeKeyBlock(KeyBlock):
    """The name of an attribute of the editor's own."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "help_text",
            _(
                "Names the answer in the records and for your other systems. Keep it when you change the words."
            ),
        )
        super().__init__(validators=[_is_free], **kwargs)


class PurposeBlock(CharBlock):
    """What an answer is used for, in one sentence that people read."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Purpose"))
        kwargs.setdefault("required", False)
        kwargs.setdefault("max_length", 255)
        kwargs.setdefault(
            "help_text",
            _("What you use the answer for, in one sentence. People read it; the records keep it."),
        )
        super().__init__(**kwargs)


class OptionBlock(StructBlock):
    """One of the answers that people pick from."""

    key = KeyBlock(help_text=_("Stands for this answer in the records. Keep it when you change the words."))
    label = CharBlock(label=_("Label"), max_length=255)

    class Meta:
        icon = "radio-full"
        label = _("Option")


class KeyedListBlock(ListBlock):
    """Things with a `key`, each of which stands there once."""

    def __init__(self, child_block: type[Block] | Block = OptionBlock, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Options"))
        super().__init__(child_block, **kwargs)

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        if not self.is_deferred_validation:
            counted = Counter(item["key"] for item in cleaned)
            twice = [key for key, count in counted.items() if count > 1]
            if twice:
                message = gettext("The key “%(key)s” stands here twice.") % {"key": twice[0]}
                raise ListBlockValidationError(non_block_errors=[ValidationError(message)])
        return cleaned


def options_of(value: Any) -> list[Json]:
    """As controls have them, each key once: a draft may hold anything."""
    found = {
        item["key"]: {"key": item["key"], "label": item["label"], "help": item.get("help") or ""}
        for item in value or ()
        if item.get("key") and item.get("label")
    }
    return list(found.values())


def with_purpose(help_text: str, purpose: str) -> str:
    """What stands under a question: what the editor wrote, and what the answer is for."""
    told = gettext("We use it for this: %(purpose)s") % {"purpose": purpose} if purpose else ""
    return " ".join(part for part in (help_text, told) if part)


def declared(label: str, purpose: str, *, personal: bool) -> Json:
    """How the rules of a spec declare an attribute: {"attributes": {name: this}}.

    A record names the snapshot, so what was asked and what for can be told as long as the record exists.
    """
    return {"label": label, "purpose": purpose, "personal": personal}


def said(name: str, value: Any) -> Change:
    """What an answer changes: null, "" and [] take it back."""
    return ClearAttribute(name) if value in (None, "", []) else SetAttribute(name, value)


def held_text(state: ContactState, name: str) -> str | None:
    """A stored text as it is: what came from elsewhere is shown even where nobody could type it here.

    But for one of several lines. An input of one line drops their ends, and would send that as a change of hers.
    """
    value = state.attributes.get(name)
    is_line = isinstance(value, str) and value and not {"\n", "\r"} & set(value)
    return value if is_line else None


def held_key(state: ContactState, name: str, keys: Any) -> str | None:
    """A stored pick that is still offered."""
    value = state.attributes.get(name)
    return value if isinstance(value, str) and value in keys else None


def answered(answers: Mapping[str, Any]) -> Json:
    """Only what there is: an absent answer is absent, not null."""
    return {name: value for name, value in answers.items() if value is not None}
