"""What holds for every block: complete controls, a stable spec, and nothing ticked that nobody chose."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from tests.blocks.conftest import VALUES, compiled, context, state
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.registry import block_classes
from wagtail_prefs.canonical import canonical
from wagtail_prefs.contacts.rules import Act, apply, merge
from wagtail_prefs.values import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Spec,
)

NAMES = sorted(VALUES)
COMMON = {"type", "name", "label", "help", "required", "constraints", "locked", "personal", "media", "when"}
OWN = {
    "toggle": set(),
    "matrix": {"cell", "single", "rows", "columns"},
    "rich_text": {"content"},
    "links": {"items"},
    "action": {"style", "do"},
    "one_of": {"options"},
    "many_of": {"options"},
    "select": {"options"},
    "scale": {"min_label", "max_label"},
    "text": {"format"},
    "date": set(),
    "image": set(),
    "records": set(),
}
GROUPS = {"Preferences", "Leaving", "About the person", "Words"}
ROW = {"key", "label", "help", "media", "group", "locked", "when", "columns"}

SPECS = {name: compiled(name) for name in NAMES}

keys = st.tuples(
    st.sampled_from(["news", "events", "offers", "orders", ""]), st.sampled_from([*CHANNELS, ""])
)
HER_ACT = Act(Actor(ActorType.SUBJECT_SESSION), datetime(2026, 3, 1, tzinfo=UTC))

states = st.builds(
    state,
    opted_out=st.booleans(),
    choices=st.dictionaries(keys, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED])),
    pending=st.frozensets(keys),
    frequencies=st.dictionaries(keys, st.sampled_from(FREQUENCIES)),
    notices=st.dictionaries(
        st.sampled_from(["privacy", "other"]),
        st.sampled_from([SPECS["privacy_notice"].rules["notice"]["sha256"], "0" * 64]),
    ),
    # What these blocks or others may have kept under the same names.
    attributes=st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["press", "nobody"]),
            "reason": st.sampled_from([{"code": "other"}, {"code": "gone"}, "other"]),
            "recommend": st.sampled_from([1, 5, 11, "5", True]),
            "country": st.sampled_from(["DE", "US-CA", ""]),
            "given_name": st.sampled_from(["", "Aa", 3]),
            "phone": st.just("+49301234567"),
        },
    ),
)


def leaves(answers: Any) -> list[Any]:
    return (
        [leaf for inner in answers.values() for leaf in leaves(inner)]
        if isinstance(answers, dict)
        else [answers]
    )


def paths(answers: Any, prefix: str = "") -> set[str]:
    if not isinstance(answers, dict):
        return {prefix}
    return {
        path
        for name, inner in answers.items()
        for path in paths(inner, f"{prefix}.{name}" if prefix else name)
    }


def test_these_are_the_blocks() -> None:
    assert sorted(block_classes()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_document_has_every_field_that_renderers_rely_on(name: str) -> None:
    document = compiled(name).document
    assert set(document) == {"id", "type", "heading", "text", "layout", "controls"}
    assert (document["id"], document["type"]) == ("b1", name)
    for control in document["controls"]:
        assert set(control) == COMMON | OWN[control["type"]], control["name"]
        assert re.fullmatch(r"[a-z0-9_-]+", control["name"])
        for row in control.get("rows", ()):
            assert set(row) == ROW


@pytest.mark.parametrize("name", NAMES)
def test_compiling_twice_gives_the_same_bytes_and_survives_storage(name: str) -> None:
    spec = compiled(name)
    stored = canonical(spec.to_json())
    assert canonical(compiled(name).to_json()) == stored
    assert canonical(Spec.from_json(json.loads(stored)).to_json()) == stored


@pytest.mark.parametrize("name", NAMES)
def test_nobody_has_chosen_anything_at_first(name: str) -> None:
    assert block_classes()[name].initial(compiled(name), state()) == {}


@pytest.mark.parametrize("name", NAMES)
@given(held=states)
def test_what_initial_gives_is_what_fields_accept(name: str, held: ContactState) -> None:
    block, spec = block_classes()[name], SPECS[name]
    answers = block.initial(spec, held)
    assert ObjectField(block.fields(spec)).run_validation(answers) == answers


@pytest.mark.parametrize("name", NAMES)
@given(held=states)
def test_every_yes_on_screen_is_one_the_contact_gave(name: str, held: ContactState) -> None:
    answers = block_classes()[name].initial(SPECS[name], held)
    for topic, channels in answers.get("choices", {}).items():
        for channel, ticked in channels.items():
            key = (topic, channel)
            assert key not in held.pending
            assert ticked == (held.choices[key] == SUBSCRIBED)
    for scope, code in answers.get("frequency", {}).items():
        assert code in held.frequencies.values()
        assert scope in {"all", "channel:email"}
    if "acknowledged" in answers:
        assert held.notices["privacy"] == SPECS["privacy_notice"].rules["notice"]["sha256"]
    if "opted_out" in answers:
        assert held.opted_out


@pytest.mark.parametrize("name", NAMES)
@given(held=states)
def test_sending_back_what_is_on_screen_changes_nothing(name: str, held: ContactState) -> None:
    block, spec = block_classes()[name], SPECS[name]
    answers = block.initial(spec, held)
    if held.opted_out:  # then nothing is subscribed, as every real state has it
        held = replace(held, choices=dict.fromkeys(held.choices, UNSUBSCRIBED), pending=frozenset())
        answers = block.initial(spec, held)
    # A no to a channel that is said again is said after every yes beside it.
    later = {key for key, said in held.choices.items() if said == SUBSCRIBED}
    refused = {
        channel for (topic, channel), said in held.choices.items() if not topic and said == UNSUBSCRIBED
    }
    assume(name != "channels" or not {channel for topic, channel in later | held.pending if topic} & refused)
    accepted, _ = merge(held, block.changes(spec, answers), held.version, HER_ACT)
    after, effects = apply(held, accepted, HER_ACT)
    assert effects == ()
    assert block.initial(spec, after) == answers


@pytest.mark.parametrize("name", NAMES)
def test_paths_name_answers_that_fields_accept(name: str) -> None:
    spec = compiled(name)
    for change_path, (answer_path, label) in spec.paths.items():
        assert label
        assert change_path
        member: Any = ObjectField(block_classes()[name].fields(spec))
        for part in answer_path.split("."):
            member = member.members[part]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "given", [None, 1, "yes", [], {"unknown": True}, {"choices": []}, {"frequency": "all"}]
)
def test_what_is_no_answer_is_refused(name: str, given: Any) -> None:
    from rest_framework.serializers import ValidationError

    block, spec = block_classes()[name], compiled(name)
    with pytest.raises(ValidationError):
        ObjectField(block.fields(spec)).run_validation(given)


@pytest.mark.parametrize("locale", ["en", "de", "ar"])
@pytest.mark.parametrize("name", NAMES)
def test_every_block_compiles_in_every_language(name: str, locale: str) -> None:
    assert compiled(name, context(locale)).document["controls"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_the_picker_shows_every_block(name: str, admin_client: Any) -> None:
    from django.urls import reverse

    from wagtail_prefs.centers.page import PreferenceCenterPage

    stream = PreferenceCenterPage._meta.get_field("body").stream_block
    block = stream.child_blocks[name]
    assert block.is_previewable
    assert block.get_description()
    assert str(block.meta.group) in GROUPS
    response = admin_client.get(reverse("wagtailadmin_block_preview"), {"id": block.definition_prefix})
    assert response.status_code == 200
    assert 'class="pc"' in response.content.decode()
