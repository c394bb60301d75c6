"""The topics block: rows, columns, groups and what cannot be switched off."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.serializers import ValidationError

from tests.blocks.conftest import compiled, state
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.topics import TopicsBlock
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Need


def rows(**value: Any) -> dict[str, Any]:
    return {row["key"]: row for row in compiled("topics", **value).document["controls"][0]["rows"]}


def test_topics_of_one_group_stand_together_where_the_first_of_them_stood() -> None:
    assert [(row["group"], key) for key, row in rows().items()] == [
        ("Us", "news"),
        ("Us", "offers"),
        ("You", "events"),
        ("", "orders"),
    ]


def test_a_box_stands_where_topic_and_block_offer_the_channel() -> None:
    found = rows()
    assert found["news"]["columns"] is None  # all of them
    assert found["events"]["columns"] == ["email"]
    assert rows(channels=["post"]).keys() == {"events"}
    columns = compiled("topics", channels=["post", "phone"]).document["controls"][0]["columns"]
    assert columns == [{"key": "post", "label": "Post"}]


def test_an_archived_and_a_private_topic_are_in_no_public_document() -> None:
    spec = compiled("topics")
    assert not {"old", "secret"} & rows().keys()
    assert not {"old", "secret"} & spec.rules["choices"].keys()


def test_a_transactional_topic_is_shown_with_the_reason_and_cannot_be_answered() -> None:
    spec = compiled("topics")
    assert rows()["orders"]["locked"]
    assert rows()["news"]["locked"] is None
    assert "orders" not in spec.rules["choices"]
    with pytest.raises(ValidationError) as refused:
        ObjectField(TopicsBlock.fields(spec)).run_validation({"choices": {"orders": {"email": False}}})
    assert set(refused.value.detail["choices"]) == {"orders"}  # type: ignore[call-overload, index]


def test_the_help_says_what_and_how_often() -> None:
    assert rows()["news"]["help"] == "What is new. · monthly"
    assert rows()["offers"]["help"] == ""


def test_answers_become_choices() -> None:
    spec = compiled("topics")
    changes = TopicsBlock.changes(spec, {"choices": {"news": {"email": True, "sms": False}}})
    assert changes == [SetChoice("news", "email", SUBSCRIBED), SetChoice("news", "sms", UNSUBSCRIBED)]


def test_a_pending_choice_is_not_ticked() -> None:
    held = state(
        choices={("news", "email"): SUBSCRIBED, ("news", "sms"): SUBSCRIBED},
        pending=frozenset({("news", "sms")}),
    )
    assert TopicsBlock.initial(compiled("topics"), held) == {"choices": {"news": {"email": True}}}


def test_words_and_needs_cover_every_box() -> None:
    spec = compiled("topics")
    assert spec.paths["choice:news:sms"] == ("choices.news.sms", "News by text message")
    assert set(spec.needs) == {
        Need("choice", topic, channel)
        for topic, channels in spec.rules["choices"].items()
        for channel in channels
    }


def test_a_deleted_topic_leaves_no_row() -> None:
    assert rows(topics=[None]) == {}
