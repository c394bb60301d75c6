"""Yes or no to a channel as a whole, and the number that some of them take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.blocks.asking import HER_ACT, controls, initial, objections, preview, refused, saved, valid
from tests.blocks.conftest import compiled, state
from tests.properties import examples
from wagtail_prefs.blocks.channels import ChannelsBlock
from wagtail_prefs.centers.visibility import holds
from wagtail_prefs.changes import ClearAttribute, SetAttribute, SetChoice
from wagtail_prefs.contacts.rules import apply
from wagtail_prefs.values import CHANNELS, PENDING, SUBSCRIBED, UNSUBSCRIBED, Need

STORED: dict[str, Any] = {"channels": ["email", "sms"], "words": [], "ask_number": True}


def test_a_row_for_each_channel_in_the_order_in_which_people_meet_them() -> None:
    spec = compiled("channels")
    table = controls(spec)["channels"]
    assert (table["cell"], table["single"]) == ("one_of", True)
    assert [row["key"] for row in table["rows"]] == ["email", "sms", "post", "phone"]
    assert [row["help"] for row in table["rows"]] == ["", "Only when it is urgent.", "", ""]
    assert [column["key"] for column in table["columns"]] == ["yes", "no"]
    assert "what you said last counts" in table["help"]
    assert spec.needs == tuple(Need("choice", "", channel) for channel in ("email", "sms", "post", "phone"))
    assert spec.paths["choice::sms"] == ("channels.sms", "Text messages at all")


@pytest.mark.parametrize(
    ("channels", "numbers"),
    [
        (["email", "post"], []),
        (["sms"], ["number-sms"]),
        (["phone", "email"], ["number-phone"]),
        (["phone", "sms"], ["number-sms", "number-phone"]),
    ],
)
def test_a_number_is_asked_for_where_a_channel_takes_one(channels: list[str], numbers: list[str]) -> None:
    spec = compiled("channels", channels=channels, words=[])
    assert list(controls(spec)) == ["channels", *numbers]
    assert ("attribute:phone" in spec.paths) is bool(numbers)
    assert spec.rules["attributes"].keys() == ({"phone"} if numbers else set())
    assert list(controls(compiled("channels", channels=channels, words=[], ask_number=False))) == ["channels"]


def test_only_whoever_says_yes_is_asked_for_her_number() -> None:
    for name, channel in (("number-sms", "sms"), ("number-phone", "phone")):
        number = controls(compiled("channels"))[name]
        assert (number["personal"], number["required"], number["format"]) == (True, False, "tel")
        assert number["when"] == {"block": "b1", "control": f"channels.{channel}", "in": ["yes"]}
        assert [holds(number["when"], said) for said in ("yes", "no", None)] == [True, False, False]


@pytest.mark.property
@examples(100)
@given(st.dictionaries(st.sampled_from(["email", "sms", "post", "phone"]), st.sampled_from(["yes", "no"])))
def test_what_is_answered_is_drawn_again_and_nothing_else(picked: dict[str, str]) -> None:
    spec = compiled("channels")
    after = saved(spec, {"channels": picked})
    assert initial(spec, after) == ({"channels": picked} if picked else {})
    assert after.choices == {
        ("", channel): SUBSCRIBED if answer == "yes" else UNSUBSCRIBED for channel, answer in picked.items()
    }


def test_a_yes_subscribes_to_nothing_and_a_no_takes_what_there_was() -> None:
    spec = compiled("channels")
    held = state(choices={("news", "sms"): SUBSCRIBED, ("news", "email"): SUBSCRIBED})
    assert saved(spec, {"channels": {"email": "yes"}}, held).choices == {
        **held.choices,
        ("", "email"): SUBSCRIBED,
    }
    assert saved(spec, {"channels": {"sms": "no"}}, held).choices == {
        ("news", "sms"): UNSUBSCRIBED,
        ("news", "email"): SUBSCRIBED,
        ("", "sms"): UNSUBSCRIBED,
    }


def test_what_waits_for_a_confirmation_or_was_never_asked_is_not_picked() -> None:
    spec = compiled("channels")
    assert initial(spec, state()) == {}
    assert initial(spec, state(choices={("news", "sms"): SUBSCRIBED})) == {}
    waits = saved(spec, {"channels": {"sms": "no"}})
    asked_again, _effects = apply(waits, [SetChoice("", "sms", PENDING)], HER_ACT)
    assert initial(spec, asked_again) == {}


def test_all_fields_of_the_number_hold_the_same() -> None:
    spec = compiled("channels")
    after = saved(spec, {"number-phone": "0049 30 123456"})
    assert after.attributes == {"phone": "+4930123456"}
    assert initial(spec, after) == {"number-sms": "+4930123456", "number-phone": "+4930123456"}
    for nothing in ("", None):
        assert ChannelsBlock.changes(spec, valid(spec, {"number-sms": nothing})) == [ClearAttribute("phone")]
    assert ChannelsBlock.changes(spec, valid(spec, {"number-sms": "+49 30 1234567"})) == [
        SetAttribute("phone", "+49301234567")
    ]


@pytest.mark.parametrize(
    "answers",
    [
        {"channels": {"push": "yes"}},
        {"channels": {"sms": True}},
        {"channels": {"sms": "maybe"}},
        {"channels": {"sms": None}},
        {"channels": {"sms": ["yes"]}},
        {"channels": {"": "no"}},
        {"channels": ["sms"]},
        {"channels": None},
        {"sms": True},
        {"number-sms": "call me"},
        {"number-sms": 4930123456},
        {"number-post": "+4930123456"},
    ],
)
def test_nonsense_is_refused(answers: Any) -> None:
    assert refused(compiled("channels"), answers)


def test_without_numbers_none_is_taken() -> None:
    assert refused(compiled("channels", ask_number=False), {"number-sms": "+4930123456"})


def test_what_stops_the_editor() -> None:
    assert objections("channels", STORED) == []
    assert [place.partition(":")[0] for place in objections("channels", {**STORED, "channels": []})] == [
        "channels"
    ]
    words = [{"channel": channel, "words": "x"} for channel in ("sms", "sms")]
    assert objections("channels", {**STORED, "words": words}) == [
        "words: A channel stands here twice. Remove one of the two."
    ]
    assert objections("channels", {**STORED, "channels": ["email"], "words": words[:1]}) == [
        "words: Here are words for a channel that is not ticked above."
    ]


def test_a_draft_may_hold_anything() -> None:
    spec = compiled("channels", channels=None, words=[{"channel": "", "words": ""}])
    assert controls(spec)["channels"]["rows"] == []
    assert spec.needs == ()
    assert ChannelsBlock.initial(spec, state(choices={("", "sms"): SUBSCRIBED})) == {}


def test_every_channel_has_words_of_its_own() -> None:
    spec = compiled("channels", channels=list(CHANNELS), words=[])
    labels = [label for path, (_where, label) in spec.paths.items() if path.startswith("choice:")]
    assert len(set(labels)) == len(CHANNELS)


@pytest.mark.django_db
def test_the_picker_shows_it(admin_client: Any) -> None:
    html = preview("channels", admin_client)
    assert "How may we reach you?" in html and "Text message" in html
