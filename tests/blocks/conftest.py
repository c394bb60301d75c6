"""Blocks are compiled from values alone: no database, no page."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation

from wagtail_prefs.blocks.registry import block_classes
from wagtail_prefs.html import html_to_tree
from wagtail_prefs.values import CompileContext, ContactState, Spec, TopicInfo

TOPICS = {
    1: TopicInfo(
        key="news",
        label="News",
        text="What is new.",
        cadence="monthly",
        group="Us",
        channels=("email", "sms"),
    ),
    2: TopicInfo(key="events", label="Events", group="You", channels=("email", "post")),
    3: TopicInfo(key="offers", label="Offers", group="Us", channels=("sms", "email")),
    4: TopicInfo(key="orders", label="Orders", text="Receipts.", channels=("email",), transactional=True),
    5: TopicInfo(key="old", label="Old", channels=("email",), archived=True),
    6: TopicInfo(key="secret", label="Secret", channels=("email",), private=True),
}


class Picture:
    """Stands in for an image of Wagtail's, which has its renditions in the database."""

    contextual_alt_text = "A harbour"

    def get_rendition(self, _filter: str) -> Any:
        return SimpleNamespace(url="/media/harbour.webp", width=800, height=600)


VALUES: dict[str, dict[str, Any]] = {
    "topics": {
        "heading": "Topics",
        "text": "<p>Choose <b>freely</b>.</p>",
        "topics": [SimpleNamespace(pk=pk) for pk in (1, 2, 3, 4, 5, 6)],
        "channels": ["sms", "email"],
    },
    "frequency": {
        "heading": "How often",
        "frequencies": ["monthly", "weekly"],
        "overall": True,
        "channels": ["email"],
    },
    "privacy_notice": {
        "heading": "Your data",
        "notice": "privacy",
        "content": "<p>We keep it.</p>",
        "policy_url": "https://brand.example/privacy",
        "ask": True,
    },
    "transactional": {"heading": "Always", "text": "<p>These come.</p>"},
    "unsubscribe_all": {"heading": "Leave", "still_comes": "<p>Receipts.</p>", "button": ""},
    "pause": {
        "heading": "Pause",
        "lengths": ["P3M", "P7D"],
        "dates": True,
        "overall": True,
        "channels": ["sms", "email"],
        "topics": [SimpleNamespace(pk=pk) for pk in (1, 4, 5, 6)],
    },
    "channels": {
        "heading": "How may we reach you?",
        "channels": ["phone", "sms", "email", "post"],
        "words": [{"channel": "sms", "words": "Only when it is urgent."}],
        "ask_number": True,
    },
    "follow_us": {
        "heading": "Follow us",
        "links": [{"kind": "mastodon", "address": "https://social.example/@brand", "label": ""}],
        "keyword": "JOIN",
        "number": "12345",
        "terms": "Two messages a month at your usual rate. STOP ends it.",
    },
    "rich_text": {"heading": "Hello", "text": "<p>Good to see you.</p>", "picture": Picture()},
    "history": {"heading": "Your history", "entries": 5},
    "your_data": {"heading": "Your data", "export": True, "erase": True, "objection": True},
    "question": {
        "heading": "",
        "question": "Would you recommend us?",
        "help": "One is no.",
        "key": "recommend",
        "purpose": "to become better",
        "answer": [
            SimpleNamespace(
                block_type="scale", value={"steps": "five", "low_label": "No", "high_label": "Yes"}
            )
        ],
    },
    "profile": {
        "heading": "You",
        "fields_asked": ["language", "phone", "country", "region", "address", "family_name", "given_name"],
        "purpose": "to write to you",
        "countries": ["DE", "AT"],
        "more_countries": [{"code": "UY", "name": "Uruguay"}],
        "own_fields": [{"key": "nickname", "label": "Nickname", "purpose": "to be friendly"}],
        "change_address": True,
    },
    "role": {
        "heading": "",
        "question": "Who are you?",
        "purpose": "to show what is for you",
        "roles": [
            {"key": "member", "label": "A member", "topics": [SimpleNamespace(pk=1), SimpleNamespace(pk=2)]},
            {"key": "press", "label": "A writer", "topics": [SimpleNamespace(pk=2), None]},
        ],
        "all_until_answered": True,
    },
    "reason": {
        "heading": "Before you go",
        "text": "<p>Thank you.</p>",
        "question": "",
        "purpose": "to become better",
        "options": [{"key": "too_many", "label": "Too many"}, {"key": "other", "label": "Something else"}],
        "own_words": True,
    },
}


def context(locale: str = "en") -> CompileContext:
    return CompileContext(
        locale=locale,
        direction="ltr",
        topics=TOPICS,
        rich_text=html_to_tree,
        base_url="https://brand.example/en/",
        blocks={"unsubscribe_all": "b0"},
    )


def compiled(name: str, ctx: CompileContext | None = None, **value: Any) -> Spec:
    block = block_classes()[name]()
    block.set_name(name)
    merged = {**VALUES[name], **value}
    for child, given in merged.items():
        if isinstance(given, str) and child in {"text", "content", "still_comes"}:
            merged[child] = SimpleNamespace(source=given) if given else None
    ctx = ctx or context()
    with translation.override(ctx.locale):
        return block.compile(merged, ctx, "b1")


def state(**fields: Any) -> ContactState:
    return ContactState(id=uuid.UUID(int=1), audience="default", **fields)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield
