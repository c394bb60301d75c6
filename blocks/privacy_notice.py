"""What happens with the person's data, and - where the site asks for it - that she has read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock, ListBlock, StructBlock, URLBlock

from ..canonical import sha256_hex
from ..changes import AcknowledgeNotice, Change
from ..html import href_is_allowed
from ..values import CompileContext, ContactState, Json, Spec, Tree
from .attributes import CodeBlock
from .base import CenterTextBlock, PreferenceBlock, control, rich_text
from .fields import AnyField, StrictBooleanField
from .words import WORDS


class UseBlock(StructBlock):
    """One use of data."""

    data = CharBlock(label=_("Which data"), max_length=255, help_text=_("For example: your e-mail address"))
    purpose = CharBlock(
        label=_("What for"), max_length=500, help_text=_("For example: to send what you choose here")
    )

    class Meta:
        icon = "list-ul"
        label = _("Use")
        label_format = "{data}"


class PrivacyNoticeBlock(PreferenceBlock):
    """A text and a link to the policy; the record names the text that was shown by its hash."""

    notice = CodeBlock(
        label=_("Key"),
        default="privacy",
        max_length=64,
        validators=[
            RegexValidator(r"^[a-z0-9_-]+\Z", _("Use lower-case letters, digits, hyphens and underscores."))
        ],
        help_text=_("Names this notice in the records. Keep it when you change the text."),
    )
    content = CenterTextBlock(label=_("Notice"))
    uses = ListBlock(
        UseBlock(),
        label=_("Uses of data"),
        min_num=0,
        default=[],
        help_text=_("Shown as a list below the notice. A change of it counts as a change of the notice."),
    )
    policy_url = URLBlock(
        label=_("Privacy policy"), required=False, help_text=_("A full address beginning with https://")
    )
    ask = BooleanBlock(
        label=_("Ask people to confirm that they have read it"),
        required=False,
        help_text=_(
            "The record keeps which text they confirmed. After a change of the text they are asked again."
        ),
    )

    class Meta:
        icon = "lock"
        group = WORDS
        label = _("Privacy notice")
        description = _("What happens with people's data, with a link to the policy.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        content = rich_text(value.get("content"), ctx)
        controls = [control("rich_text", "content", "", content=content)]
        uses = _uses(value)
        if uses:
            controls.append(control("rich_text", "uses", "", content=uses))
        policy = value.get("policy_url") or ""
        if policy:
            link = {"label": gettext("Privacy policy"), "href": policy}
            controls.append(control("links", "policy", "", items=[link]))
        notice = value.get("notice") or "privacy"
        shown: Json = {"locale": ctx.locale, "content": content, "policy": policy}
        if uses:  # a notice without them keeps its hash, so that nobody is asked again for nothing
            shown["uses"] = uses
        paths = {}
        if value.get("ask"):
            label = gettext("I have read this")
            controls.append(control("toggle", "acknowledged", label))
            paths[f"notice:{notice}"] = ("acknowledged", value.get("heading") or label)
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={
                "asks": bool(value.get("ask")),
                # The record of every choice made on this page names the notice that was before the person's eyes.
                "notice": {
                    "id": notice,
                    "sha256": sha256_hex(shown),
                },
            },
            paths=paths,
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        # Having read something cannot be undone, so the only answer is yes.
        return {"acknowledged": StrictBooleanField(only=True)} if spec.rules["asks"] else {}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        notice = spec.rules["notice"]
        read = spec.rules["asks"] and state.notices.get(notice["id"]) == notice["sha256"]
        return {"acknowledged": True} if read else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        if not answers.get("acknowledged"):
            return []
        notice = spec.rules["notice"]
        return [AcknowledgeNotice(notice["id"], notice["sha256"])]

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if value.get("policy_url") and not href_is_allowed(value["policy_url"]):
            return {"policy_url": gettext("Use an address that begins with https://")}
        return {}

    def get_preview_value(self) -> Any:
        text = gettext("We use your address to send what you choose here, and for nothing else.")
        return self.normalize(
            {
                "heading": gettext("Your data"),
                "text": "",
                "notice": "privacy",
                "content": f"<p>{text}</p>",
                "uses": [
                    {
                        "data": gettext("Your e-mail address"),
                        "purpose": gettext("to send what you choose here"),
                    }
                ],
                "policy_url": "https://example.org/privacy",
                "ask": True,
            }
        )


def _uses(value: Mapping[str, Any]) -> Tree:
    """The uses of data as one list; empty where there are none."""
    items: Tree = [
        ["li", {}, ["strong", {}, use["data"]], f" – {use['purpose']}"]
        for use in value.get("uses") or ()
        if use.get("data") and use.get("purpose")
    ]
    return [["ul", {}, *items]] if items else []
