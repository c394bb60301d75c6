"""What every block is: compiled once at publish, then asked with values only - never with a model or a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import get_language, get_language_bidi, gettext_lazy as _
from wagtail.blocks import BlockGroup, CharBlock, RichTextBlock, StructBlock, StructBlockValidationError
from wagtail.rich_text import RichText

from ..changes import Change
from ..html import HtmlRefused, clean_stored, html_to_tree
from ..values import CompileContext, ContactState, Json, Spec, TopicInfo, Tree
from .conditions import ConditionsBlock, conditions_of
from .fields import AnyField

#: What editors may do in a text; the cleaner lets no more than this and headings through anyway.
RICH_TEXT_FEATURES = ["bold", "italic", "link", "ol", "ul"]


class CenterTextBlock(RichTextBlock):
    """Rich text with the few features a center shows, cleaned when it is saved and refused when it is too large."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("features", RICH_TEXT_FEATURES)
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        if cleaned:
            try:
                return RichText(clean_stored(cleaned.source))
            except HtmlRefused as refused:
                raise ValidationError(str(refused)) from refused
        return cleaned


class PreferenceBlock(StructBlock):
    """Base of all blocks of a center, ours and third parties'. See docs/how-to for writing one.

    `compile` runs at publish in the center's locale. The class methods get nothing but the compiled spec, so what a
    visitor was shown can be validated and drawn after the page has changed.
    """

    #: Whether it is about what somebody has already, and so nothing for who signs up: her history, a pause, the way out.
    of_contact = False

    heading = CharBlock(label=_("Heading"), required=False, max_length=255)
    text = CenterTextBlock(
        label=_("Text"), required=False, help_text=_("Shown under the heading. May stay empty.")
    )

    conditions = ConditionsBlock(
        required=False,
        label=_("Show only to some"),
        help_text=_(
            "All of these must hold. Without any, everybody sees the block. Hiding it changes no choice."
        ),
    )

    class Meta:
        icon = "form"
        group = _("Preferences")
        preview_template = "wagtail_prefs/previews/block.html"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        """Return the public document and the server's rules of one block."""
        raise NotImplementedError

    def compiled(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        """What `compile` returns, with what every block has: whom it is for, and the conditions."""
        spec = self.compile(value, ctx, block_id)
        return replace(
            spec,
            document={**spec.document, "of_contact": self.of_contact},
            conditions=(*spec.conditions, *conditions_of(value.get("conditions"), ctx)),
        )

    def row_conditions(
        self, value: Mapping[str, Any], ctx: CompileContext, block_id: str
    ) -> Mapping[str, Json]:
        """{topic key: the `when` that its rows get in every block}, for a block whose answers show topics."""
        return {}

    def get_form_layout(self) -> BlockGroup:
        """What people see first; for whom it is, behind the block's settings."""
        return BlockGroup(
            children=[name for name in self.child_blocks if name != "conditions"], settings=["conditions"]
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        """What a submission may hold for this block, as DRF fields; nothing by default.

        Asked once for a snapshot and shared by all threads, so they keep nothing of what they validate, and no "today".
        """
        return {}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        """The contact's present answers. A path she was never asked about is absent: nothing is pre-ticked."""
        return {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        """What valid answers change."""
        return []

    # --- for subclasses ----------------------------------------------------------------------------------------------

    def document(
        self, value: Mapping[str, Any], ctx: CompileContext, block_id: str, controls: Sequence[Json]
    ) -> Json:
        """The public part, with heading and text as every block has them."""
        return {
            "id": block_id,
            "type": self.name,  # the name under which it stands in the body
            "heading": value.get("heading") or "",
            "text": rich_text(value.get("text"), ctx),
            "layout": None,
            "controls": list(controls),
        }

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        errors = {} if self.is_deferred_validation else self.problems(cleaned)
        if errors:
            raise StructBlockValidationError(
                block_errors={name: ValidationError(text) for name, text in errors.items()}
            )
        return cleaned

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """What stops this block from being published: {field: message}. Not asked while a draft is saved."""
        return {}

    # --- the picker's preview ----------------------------------------------------------------------------------------

    def get_preview_context(
        self, value: Any, parent_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_preview_context(value, parent_context)
        ctx = sample_context()
        document = {
            "locale": ctx.locale,
            "direction": ctx.direction,
            "title": str(self.label),
            "page_url": "",
            "revision": "",
            "labels": {},
            "blocks": [self.preview_spec(value).document],
        }
        return {**context, "document": document, "lang": ctx.locale, "dir": ctx.direction}

    def preview_spec(self, value: Any) -> Spec:
        """Compiled against sample topics: a preview must not depend on what a site has in its database."""
        return self.compiled(value, sample_context(), "preview")


def rich_text(value: Any, ctx: CompileContext) -> Tree:
    """The tree of a rich-text child, empty where the editor wrote nothing."""
    return ctx.rich_text(value.source) if value else []


def control(kind: str, name: str, label: object, **own: Any) -> Json:
    """A control of the closed set, complete: every renderer may rely on every common field."""
    return {
        "type": kind,
        "name": name,
        "label": str(label),
        "help": "",
        "required": False,
        "constraints": {},
        "locked": None,
        "personal": False,
        "media": None,
        "when": None,
        **own,
    }


def row(key: str, label: str, **own: Any) -> Json:
    """A row of a matrix, complete: every renderer may rely on every field."""
    return {
        "key": key,
        "label": label,
        "help": "",
        "media": None,
        "group": "",
        "locked": None,
        "when": None,
        "columns": None,
        **own,
    }


def sample_context() -> CompileContext:
    """What the block picker compiles against, in the editor's language."""
    return CompileContext(
        locale=get_language() or "en",
        direction="rtl" if get_language_bidi() else "ltr",
        topics=_sample_topics(),
        rich_text=html_to_tree,
    )


def _sample_topics() -> dict[int, TopicInfo]:
    group = str(_("From us"))
    return {
        1: TopicInfo(
            key="news",
            label=str(_("News")),
            text=str(_("What is new, in short.")),
            cadence=str(_("about once a month")),
            group=group,
            channels=("email", "sms"),
        ),
        2: TopicInfo(
            key="offers",
            label=str(_("Offers")),
            text=str(_("Sales and vouchers.")),
            group=group,
            channels=("email",),
        ),
        3: TopicInfo(
            key="orders",
            label=str(_("Your orders")),
            text=str(_("Confirmations and delivery dates.")),
            channels=("email",),
            transactional=True,
        ),
    }
