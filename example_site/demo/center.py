"""The demo's topics, and the body of its preference center."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from wagtail.models import Locale

from wagtail_prefs.topics.models import Audience, Topic, TopicGroup, TopicGroupText, TopicText

from . import content
from .content import Words

#: Block ids are fixed: people who start the demo anew find the same addresses in scripts and tests.
NAMESPACE = uuid.UUID("5f0c6a52-5b0e-4b7e-9a3a-0d6f3b8f7c11")


def block_id(name: str) -> str:
    """The StreamField id of one of the demo's blocks."""
    return str(uuid.uuid5(NAMESPACE, name))


def make_topics(audience: Audience, locales: list[Locale]) -> list[Topic]:
    """Groups and topics with their texts; what is there already is left as it is."""
    groups = {}
    for order, group in enumerate(content.GROUPS):
        row, made = TopicGroup.objects.get_or_create(
            audience=audience, key=group.key, defaults={"sort_order": order}
        )
        groups[group.key] = row
        if made:
            for locale in locales:
                TopicGroupText.objects.create(
                    group=row, locale=locale, label=group.label.get(locale.language_code)
                )
    topics = []
    for order, topic in enumerate(content.TOPICS):
        row, made = Topic.objects.get_or_create(
            audience=audience,
            key=topic.key,
            defaults={
                "group": groups[topic.group],
                "sort_order": order,
                "channels": list(topic.channels),
                **(
                    dict(zip(("planned", "planned_per"), topic.planned, strict=True)) if topic.planned else {}
                ),
            },
        )
        topics.append(row)
        if made:
            for locale in locales:
                code = locale.language_code
                TopicText.objects.create(
                    topic=row,
                    locale=locale,
                    label=topic.label.get(code),
                    text=topic.text.get(code),
                    cadence=topic.cadence.get(code),
                )
    return topics


def body(topics: list[Topic], locale: str) -> list[dict[str, Any]]:
    """The blocks in one language. The ids are the same in both: it is one center."""

    def block(kind: str, heading: Words, text: Words | None, **own: Any) -> dict[str, Any]:
        value = {"heading": heading.get(locale), "text": text.get(locale) if text else "", **own}
        return {"type": kind, "id": block_id(kind), "value": value}

    def items(kind: str, values: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
        return [{"type": "item", "id": block_id(f"{kind}.{name}"), "value": value} for name, value in values]

    def options(kind: str, offered: Mapping[str, Words]) -> list[dict[str, Any]]:
        return items(
            kind, [(key, {"key": key, "label": label.get(locale)}) for key, label in offered.items()]
        )

    return [
        block(
            "topics",
            content.TOPICS_HEADING,
            content.TOPICS_TEXT,
            topics=items("topics", [(topic.key, topic.pk) for topic in topics]),
            channels=list(content.CHANNELS),
        ),
        block(
            "frequency",
            content.FREQUENCY_HEADING,
            content.FREQUENCY_TEXT,
            frequencies=list(content.FREQUENCIES),
            overall=True,
            channels=["sms"],
        ),
        block(
            "pause",
            content.PAUSE_HEADING,
            content.PAUSE_TEXT,
            lengths=list(content.PAUSES),
            dates=True,
            overall=True,
            channels=[],
            topics=[],
        ),
        block(
            "profile",
            content.PROFILE_HEADING,
            None,
            fields_asked=["given_name", "country", "language"],
            purpose=content.PROFILE_PURPOSE.get(locale),
            countries=list(content.COUNTRIES),
            change_address=True,
        ),
        block(
            "question",
            content.QUESTION_HEADING,
            None,
            question=content.QUESTION.get(locale),
            help="",
            key=content.QUESTION_KEY,
            purpose=content.QUESTION_PURPOSE.get(locale),
            answer=[
                {
                    "type": "many_of",
                    "id": block_id("question.answer"),
                    "value": {"options": options("question", content.BIKES), "personal": False},
                }
            ],
        ),
        block(
            "privacy_notice",
            content.NOTICE_HEADING,
            None,
            notice="privacy",
            content=content.NOTICE_CONTENT.get(locale),
            policy_url="",
            ask=True,
        ),
        block("transactional", content.TRANSACTIONAL_HEADING, content.TRANSACTIONAL_TEXT),
        block(
            "unsubscribe_all",
            content.LEAVE_HEADING,
            content.LEAVE_TEXT,
            still_comes="",
            button=content.LEAVE_BUTTON.get(locale),
        ),
        block(
            "reason",
            content.REASON_HEADING,
            None,
            question=content.REASON_QUESTION.get(locale),
            purpose=content.REASON_PURPOSE.get(locale),
            options=options("reason", content.REASONS),
            own_words=False,
        ),
        block("history", content.HISTORY_HEADING, content.HISTORY_TEXT, entries=3),
        block(
            "your_data",
            content.YOUR_DATA_HEADING,
            content.YOUR_DATA_TEXT,
            export=True,
            erase=True,
            objection=False,
        ),
        block(
            "follow_us",
            content.FOLLOW_HEADING,
            content.FOLLOW_TEXT,
            links=items(
                "follow_us",
                [
                    (kind, {"kind": kind, "address": address, "label": label.get(locale)})
                    for kind, address, label in content.FOLLOW_LINKS
                ],
            ),
            keyword="",
            number="",
            terms="",
        ),
    ]
