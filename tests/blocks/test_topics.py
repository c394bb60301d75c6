"""The topics block: rows, columns, groups, frequencies, samples, and what cannot be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st
from rest_framework.serializers import ValidationError

from tests.blocks.conftest import TOPICS, compiled, context, state
from tests.properties import examples
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.topics import TopicsBlock
from wagtail_prefs.canonical import canonical
from wagtail_prefs.changes import SetChoice, SetFrequency
from wagtail_prefs.contacts.rules import Act, apply
from wagtail_prefs.values import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Media,
    Need,
    Spec,
    TopicInfo,
)


def rows(**value: Any) -> dict[str, Any]:
    return {row["key"]: row for row in compiled("topics", **value).document["controls"][0]["rows"]}


def of(infos: Mapping[int, TopicInfo], **value: Any) -> Spec:
    """Compiled with these topics instead."""
    topics = [SimpleNamespace(pk=pk) for pk in infos]
    return compiled("topics", replace(context(), topics=infos), topics=topics, **value)


def controls(spec: Spec) -> dict[str, Any]:
    return {control["name"]: control for control in spec.document["controls"]}


PACED = {
    1: replace(TOPICS[1], frequencies=("monthly", "weekly")),
    2: replace(TOPICS[2], frequencies=("weekly", "quarterly", "monthly")),
    3: TOPICS[3],
    4: replace(TOPICS[4], frequencies=("weekly", "monthly")),
    6: replace(TOPICS[6], frequencies=("weekly", "monthly")),
}


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


def test_an_archived_topic_is_nowhere() -> None:
    assert b"old" not in canonical(compiled("topics").to_json())


def test_a_private_topic_can_be_answered_and_is_in_no_public_document() -> None:
    spec = of(PACED, how_often=True)
    document = canonical(spec.document).lower()
    assert b"secret" not in document
    assert {name: [row["key"] for row in hidden] for name, hidden in spec.rules["private"].items()} == {
        "choices": ["secret"],
        "frequency": ["secret"],
    }
    fields = ObjectField(TopicsBlock.fields(spec))
    answers = {"choices": {"secret": {"email": True}}, "frequency": {"secret": "weekly"}}
    assert fields.run_validation(answers) == answers
    held = state(choices={("secret", "email"): SUBSCRIBED}, frequencies={("secret", ""): "weekly"})
    assert TopicsBlock.initial(spec, held) == answers
    assert {"choice:secret:email", "frequency:topic:secret"} <= spec.paths.keys()
    assert {Need("choice", "secret", "email"), Need("frequency", "secret")} <= set(spec.needs)


def test_a_center_without_private_topics_has_no_rules_for_them() -> None:
    assert "private" not in of({1: TOPICS[1]}).rules


def test_a_topic_of_a_role_is_shown_by_its_condition_in_both_tables() -> None:
    when = {"block": "b0", "control": "role", "in": ["press"]}
    topics = [SimpleNamespace(pk=pk) for pk in PACED]
    ctx = replace(context(), topics=PACED, roles={"news": when, "secret": when, "orders": when})
    spec = compiled("topics", ctx, topics=topics, how_often=True)
    for name in ("choices", "frequency"):
        found = [*controls(spec)[name]["rows"], *spec.rules["private"][name]]
        # What is always sent comes to everybody, whatever they say who they are.
        assert {row["key"] for row in found if row["when"] == when} == {"news", "secret"}
        assert {row["when"] is None for row in found if row["key"] in {"offers", "events", "orders"}} <= {
            True
        }


def test_a_topic_asks_how_often_where_it_offers_that_and_the_editor_wants_it() -> None:
    spec = of(PACED, how_often=True)
    matrix = controls(spec)["frequency"]
    assert (matrix["cell"], matrix["single"]) == ("one_of", True)
    assert [column["key"] for column in matrix["columns"]] == ["weekly", "monthly", "quarterly"]
    # The order of groups; orders are always sent, and offers have no frequencies.
    assert [(row["key"], row["columns"]) for row in matrix["rows"]] == [
        ("news", ["weekly", "monthly"]),
        ("events", None),
    ]
    assert spec.paths["frequency:topic:news"] == ("frequency.news", "How often: News")
    assert Need("frequency", "news") in spec.needs
    unasked = of(PACED, how_often=False)
    assert "frequency" not in controls(unasked)
    assert TopicsBlock.fields(unasked).keys() == {"choices"}
    assert not [need for need in unasked.needs if need.capability == "frequency"]


def test_a_pick_becomes_a_limit_of_its_topic_and_nothing_else_is_taken() -> None:
    spec = of(PACED, how_often=True)
    fields = ObjectField(TopicsBlock.fields(spec))
    assert TopicsBlock.changes(spec, fields.run_validation({"frequency": {"news": "weekly"}})) == [
        SetFrequency("news", "", "weekly")
    ]
    for wrong in (
        {"news": "quarterly"},  # another topic's
        {"news": None},
        {"news": ["weekly"]},
        {"offers": "weekly"},
        {"orders": "weekly"},
        {"all": "weekly"},
        "weekly",
    ):
        with pytest.raises(ValidationError):
            fields.run_validation({"frequency": wrong})


def test_a_limit_that_a_topic_does_not_offer_is_not_drawn() -> None:
    spec = of(PACED, how_often=True)
    held = state(frequencies={("news", ""): "quarterly", ("events", ""): "quarterly", ("", ""): "weekly"})
    assert TopicsBlock.initial(spec, held) == {"frequency": {"events": "quarterly"}}


def test_a_snapshot_of_before_frequencies_is_still_answered() -> None:
    spec = compiled("topics")
    old = replace(spec, rules={name: rule for name, rule in spec.rules.items() if name != "frequencies"})
    assert TopicsBlock.fields(old).keys() == {"choices"}
    assert TopicsBlock.initial(old, state(frequencies={("news", ""): "weekly"})) == {}


def test_samples_are_linked_below_and_only_where_they_may_be() -> None:
    infos = {
        pk: replace(TOPICS[pk], sample=sample)
        for pk, sample in {
            1: "https://brand.example/sample/",
            2: "javascript:alert(1)",
            3: "http://brand.example/",
            4: "https://brand.example/orders/",
            5: "https://brand.example/old/",
            6: "https://brand.example/hidden/",
        }.items()
    }
    links = controls(of(infos))["samples"]
    assert (links["type"], links["label"]) == ("links", "Samples")
    assert links["items"] == [
        {"label": "News", "href": "https://brand.example/sample/"},
        {"label": "Orders", "href": "https://brand.example/orders/"},
    ]
    assert "samples" not in controls(compiled("topics"))


def test_a_sample_on_this_machine_is_for_development() -> None:
    infos = {1: replace(TOPICS[1], sample="http://localhost:8000/sample/")}
    assert "samples" not in controls(of(infos))
    with override_settings(DEBUG=True):
        assert controls(of(infos))["samples"]["items"]


def test_a_picture_stands_in_the_row() -> None:
    picture = Media("https://brand.example/media/a.png", "An open letter", 192, 192)
    (row,) = controls(of({1: replace(TOPICS[1], media=picture)}))["choices"]["rows"]
    assert row["media"] == {
        "src": "https://brand.example/media/a.png",
        "alt": "An open letter",
        "width": 192,
        "height": 192,
    }


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
    infos = {1: replace(TOPICS[1], benefit="You hear of it first."), 2: TopicInfo("x", "X", benefit="Good.")}
    found = {row["key"]: row["help"] for row in controls(of(infos))["choices"]["rows"]}
    assert found == {"news": "What is new. You hear of it first. · monthly", "x": "Good."}


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


libraries = st.lists(
    st.builds(
        TopicInfo,
        key=st.sampled_from(["news", "offers", "events", "vip", "orders"]),
        label=st.just("A name"),
        group=st.sampled_from(["", "Us", "You"]),
        channels=st.lists(st.sampled_from(CHANNELS), unique=True).map(tuple),
        frequencies=st.lists(st.sampled_from(FREQUENCIES), unique=True).map(tuple),
        transactional=st.booleans(),
        private=st.booleans(),
        archived=st.booleans(),
    ),
    unique_by=lambda info: info.key,
).map(lambda infos: dict(enumerate(infos, start=1)))
HER_ACT = Act(Actor(ActorType.SUBJECT_SESSION), datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.property
@examples(60)
@given(
    infos=libraries,
    channels=st.lists(st.sampled_from(CHANNELS), unique=True),
    how_often=st.booleans(),
    data=st.data(),
)
def test_what_is_offered_can_be_saved_and_is_drawn_as_it_was_saved(
    infos: dict[int, TopicInfo], channels: list[str], how_often: bool, data: st.DataObject
) -> None:
    spec = of(infos, channels=channels, how_often=how_often)
    by_key = {info.key: info for info in infos.values()}
    public = {row["key"] for control in spec.document["controls"] for row in control.get("rows", ())}
    private = {row["key"] for hidden in spec.rules.get("private", {}).values() for row in hidden}
    assert not any(by_key[key].private or by_key[key].archived for key in public)
    assert all(by_key[key].private and not by_key[key].archived for key in private)

    answers: dict[str, Any] = {"choices": {}, "frequency": {}}
    for control in spec.document["controls"]:
        for row in [*control["rows"], *spec.rules.get("private", {}).get(control["name"], ())]:
            offered = [column["key"] for column in control["columns"]]
            columns = offered if row["columns"] is None else row["columns"]
            assert set(columns) <= set(offered)
            if control["name"] == "frequency":
                answers["frequency"][row["key"]] = data.draw(st.sampled_from(columns))
            elif columns:
                answers["choices"][row["key"]] = {column: data.draw(st.booleans()) for column in columns}
    answers = {name: given for name, given in answers.items() if given}
    # Everything on screen is taken, leads to a state, and that state is drawn as the same answers.
    valid = ObjectField(TopicsBlock.fields(spec)).run_validation(answers)
    after, effects = apply(state(), TopicsBlock.changes(spec, valid), HER_ACT)
    assert TopicsBlock.initial(spec, after) == answers
    # The paths are those of what was changed, and the senders are asked to keep just that.
    assert {effect.path for effect in effects} == spec.paths.keys()
    assert {("frequency" if path.startswith("frequency") else "choice") for path in spec.paths} == {
        need.capability for need in spec.needs
    }
    assert len(spec.needs) == len(spec.paths)
