"""For whom a block is: by language, country, role and subscriptions. The server decides (centers/visibility.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import (
    BooleanBlock,
    CharBlock,
    ChoiceBlock,
    ListBlock,
    MultipleChoiceBlock,
    StreamBlock,
    StructBlock,
)
from wagtail.coreutils import get_content_languages
from wagtail.snippets.blocks import SnippetChooserBlock

from ..values import CompileContext, Json

_COUNTRY = re.compile(r"[A-Z]{2}")
_KEY = re.compile(r"[a-z0-9_-]+")


def _languages() -> list[tuple[str, str]]:
    return list(get_content_languages().items())


class _Rule(ChoiceBlock):
    choices = [("in", _("Only these people")), ("not_in", _("Everybody but these people"))]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"choices": self.choices, "default": "in", "label": _("Show to"), **kwargs})


class ListOfKeysBlock(CharBlock):
    """Short codes with commas between them."""

    def __init__(self, pattern: re.Pattern[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pattern = pattern

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        wrong = [code for code in codes(cleaned) if not self.pattern.fullmatch(code)]
        if wrong and not self.is_deferred_validation:
            raise ValidationError(gettext("“%(code)s” is no such code.") % {"code": wrong[0]})
        return cleaned


class LanguageCondition(StructBlock):
    rule = _Rule()
    values = MultipleChoiceBlock(choices=_languages, label=_("Languages"))

    class Meta:
        icon = "globe"
        label = _("Language")


class CountryCondition(StructBlock):
    rule = _Rule()
    values = ListOfKeysBlock(
        _COUNTRY, label=_("Countries"), help_text=_("Two letters each, with commas between them: DE, AT, CH")
    )

    class Meta:
        icon = "site"
        label = _("Country")


class RoleCondition(StructBlock):
    rule = _Rule()
    values = ListOfKeysBlock(
        _KEY, label=_("Roles"), help_text=_("Keys of the role block's answers, with commas between them")
    )

    class Meta:
        icon = "user"
        label = _("Role")


class SubscribedCondition(StructBlock):
    rule = _Rule()
    values = ListBlock(
        SnippetChooserBlock("wagtail_prefs.Topic", label=_("Topic")),
        label=_("Subscribed to one of"),
        min_num=1,
    )

    class Meta:
        icon = "mail"
        label = _("Subscribed to a topic")


class OptedOutCondition(StructBlock):
    opted_out = BooleanBlock(
        required=False,
        default=True,
        label=_("Only to those who have unsubscribed from everything"),
        help_text=_("Not ticked: only to everybody else."),
    )

    class Meta:
        icon = "cross"
        label = _("Unsubscribed from everything")


class ConditionsBlock(StreamBlock):
    """All of these must hold. Without any, the block is for everybody."""

    language = LanguageCondition()
    country = CountryCondition()
    role = RoleCondition()
    subscribed = SubscribedCondition()
    opted_out = OptedOutCondition()

    class Meta:
        icon = "view"
        label = _("Show only to some")


def conditions_of(value: Iterable[Any] | None, ctx: CompileContext) -> tuple[Json, ...]:
    """As a spec holds them: {"fact", "in" | "not_in"}."""
    return tuple(filter(None, (_condition(child.block_type, child.value, ctx) for child in value or ())))


def codes(text: Any) -> list[str]:
    """What stands between the commas."""
    return [code.strip() for code in str(text or "").split(",") if code.strip()]


def _condition(fact: str, value: Mapping[str, Any], ctx: CompileContext) -> Json | None:
    if fact == "opted_out":
        return {"fact": fact, "in": [bool(value.get("opted_out"))]}
    given = value.get("values") or ()
    if fact == "subscribed":
        wanted = [ctx.topics[topic.pk].key for topic in given if topic and topic.pk in ctx.topics]
    else:
        wanted = codes(given) if isinstance(given, str) else list(given)
    return {"fact": fact, value.get("rule") or "in": wanted}
