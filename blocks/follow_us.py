"""Other places where people can meet the brand, and a keyword to text. Nothing is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import CharBlock, ChoiceBlock, ListBlock, StructBlock, URLBlock

from ..html import href_is_allowed
from ..values import CompileContext, Spec, Tree
from .base import PreferenceBlock, control
from .words import WORDS

#: Where people meet a brand. Names of services are not translated.
KINDS = {
    "bluesky": "Bluesky",
    "discord": "Discord",
    "facebook": "Facebook",
    "github": "GitHub",
    "instagram": "Instagram",
    "line": "LINE",
    "linkedin": "LinkedIn",
    "mastodon": "Mastodon",
    "pinterest": "Pinterest",
    "reddit": "Reddit",
    "slack": "Slack",
    "snapchat": "Snapchat",
    "telegram": "Telegram",
    "threads": "Threads",
    "tiktok": "TikTok",
    "twitch": "Twitch",
    "vk": "VK",
    "wechat": "WeChat",
    "whatsapp": "WhatsApp",
    "x": "X",
    "xing": "XING",
    "youtube": "YouTube",
    "community": _("Our community"),
    "blog": _("Our blog"),
    "podcast": _("Our podcast"),
    "website": _("Our website"),
}

_KEYWORD = re.compile(r"\w[\w-]{0,19}")


class LinkBlock(StructBlock):
    """One place."""

    kind = ChoiceBlock(choices=list(KINDS.items()), label=_("Where"))
    address = URLBlock(label=_("Address"), help_text=_("A full address beginning with https://"))
    label = CharBlock(
        label=_("Words"),
        required=False,
        max_length=80,
        help_text=_("What people read. Empty: the name of the place."),
    )

    class Meta:
        icon = "link"
        label = _("Link")
        label_format = "{kind} {label}"

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        address = cleaned.get("address")
        if address and not self.is_deferred_validation and not _is_web(address):
            raise ValidationError(gettext("Use an address that begins with https://"))
        return cleaned


class FollowUsBlock(PreferenceBlock):
    """Links, and a line on how to join by text message. Joining elsewhere is no consent here."""

    links = ListBlock(LinkBlock(), label=_("Links"), min_num=0, default=[])
    keyword = CharBlock(
        label=_("Keyword for text messages"),
        required=False,
        max_length=20,
        validators=[RegexValidator(rf"^{_KEYWORD.pattern}\Z", _("One word of letters and digits."))],
        help_text=_(
            "People text it to the number below. What they get then is kept by your sender of messages."
        ),
    )
    number = CharBlock(
        label=_("Number to text to"),
        required=False,
        max_length=20,
        validators=[
            RegexValidator(r"^\+?[0-9][0-9 ()-]{2,}\Z", _("Digits, with a + before a country code."))
        ],
    )
    terms = CharBlock(
        label=_("What it costs, and how to stop"),
        required=False,
        max_length=500,
        help_text=_(
            "How often messages come, what a message costs, which word ends it, where the terms are."
        ),
    )

    class Meta:
        icon = "group"
        group = WORDS
        label = _("Follow us")
        description = _("Links to social media and communities, and a keyword to join by text message.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        items = [
            {"label": link.get("label") or str(KINDS[link["kind"]]), "href": link["address"]}
            for link in value.get("links") or ()
            if link.get("kind") in KINDS and _is_web(link.get("address") or "")
        ]
        words = _keyword_line(value)
        controls = [
            *([control("links", "links", "", items=items)] if items else []),
            *([control("rich_text", "keyword", "", content=words)] if words else []),
        ]
        return Spec(block_id=block_id, type=self.name, document=self.document(value, ctx, block_id, controls))

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        addresses = [link["address"] for link in value.get("links") or ()]
        if not addresses and not value.get("keyword"):
            found["links"] = gettext("Add a link or a keyword.")
        if len(addresses) != len(set(addresses)):
            found["links"] = gettext("An address stands here twice. Remove one of the two.")
        if bool(value.get("keyword")) != bool(value.get("number")):
            missing = "number" if value.get("keyword") else "keyword"
            found[missing] = gettext("A keyword and the number to text it to belong together.")
        if value.get("keyword") and not value.get("terms"):
            found["terms"] = gettext(
                "Say what it costs and how to stop: the law asks for both in many countries."
            )
        return found

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("Follow us"),
                "text": "",
                "links": [
                    {"kind": "mastodon", "address": "https://social.example.org/@brand", "label": ""},
                    {"kind": "community", "address": "https://community.example.org/", "label": ""},
                ],
                "keyword": "",
                "number": "",
                "terms": "",
            }
        )


def _is_web(address: str) -> bool:
    """Whether it is a safe link to a page, and not to a mail address or a phone."""
    return href_is_allowed(address) and address.lower().startswith(("https://", "http://"))


def _keyword_line(value: Mapping[str, Any]) -> Tree:
    keyword, number = value.get("keyword"), value.get("number")
    if not keyword or not number:
        return []
    sentence = gettext("Text %(keyword)s to %(number)s") % {"keyword": keyword, "number": number}
    terms = [["p", {}, value["terms"]]] if value.get("terms") else []
    return [["p", {}, ["strong", {}, sentence]], *terms]
