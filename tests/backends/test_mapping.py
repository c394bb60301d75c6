"""What our topics, frequencies and attributes are called over there."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import translation
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.backends.mapping import COERCIONS, TOPICS, Mapped, Mapping
from wagtail_prefs.values import FREQUENCIES, Capabilities, TopicModel

from .states import target


def mapping(channels: tuple[str, ...] = ("email", "sms"), **options: Any) -> Mapping:
    return Mapping("crm", options, channels)


# --- topics ----------------------------------------------------------------------------------------------------------


def test_a_topic_is_something_else_on_every_channel() -> None:
    mapped = mapping(TOPICS={"offers": {"email": 7}, "news": {"sms": "b", "email": "a"}})
    assert mapped.remote("news", "email") == "a"
    assert mapped.remote("offers", "email") == "7"
    assert mapped.remote("offers", "sms") is None
    assert mapped.key("b") == ("news", "sms")
    assert mapped.key(7) == ("offers", "email")
    assert mapped.key("8") is None
    assert list(mapped.pairs()) == [("news", "email"), ("news", "sms"), ("offers", "email")]
    assert mapped.topics() == {"news", "offers"}
    asked = [("offers", "sms"), ("news", "sms"), ("jobs", "email"), ("offers", "sms")]
    assert mapped.unmapped(asked) == [("jobs", "email"), ("offers", "sms")]


def test_an_id_alone_means_the_only_channel() -> None:
    assert mapping(("email",), TOPICS={"news": 17}).remote("news", "email") == "17"
    with pytest.raises(ImproperlyConfigured, match="several channels"):
        mapping(TOPICS={"news": 17})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"TOPICS": {"News": {"email": 1}}}, "TOPICS: a key of a topic"),
        ({"TOPICS": {"": {"email": 1}}}, "TOPICS: a key of a topic"),
        ({"TOPICS": {1: {"email": 1}}}, "TOPICS: a key of a topic"),
        ({"TOPICS": {"news": {"fax": 1}}}, "TOPICS, topic 'news': has channels among email, sms"),
        ({"TOPICS": {"news": {"post": 1}}}, "has channels among"),
        ({"TOPICS": {"news": {"email": ""}}}, "must name something"),
        ({"TOPICS": {"news": {"email": None}}}, "must name something"),
        ({"TOPICS": {"news": {"email": True}}}, "must name something"),
        ({"TOPICS": {"news": {"email": 1.5}}}, "must name something"),
        ({"TOPICS": {"news": {"email": ["a"]}}}, "must name something"),
        ({"TOPICS": {"news": {"email": "a\n"}}}, "must name something"),
        ({"TOPICS": {"news": {"email": "a\x00b"}}}, "must name something"),
        ({"TOPICS": {"news": {"email": 1, "sms": "1"}}}, "TOPICS: has an id twice"),
        ({"TOPICS": {"news": {"email": 1}, "offers": {"email": 1}}}, "TOPICS: has an id twice"),
        ({"FREQUENCIES": {"hourly": "h"}}, "FREQUENCIES: knows as_it_happens, daily"),
        ({"FREQUENCIES": {"daily": ""}}, "FREQUENCIES, 'daily'"),
        ({"FREQUENCIES": {"daily": True}}, "FREQUENCIES, 'daily'"),
        ({"FREQUENCIES": {"daily": ["d"]}}, "FREQUENCIES, 'daily'"),
        ({"ATTRIBUTES": {"": "x"}}, "ATTRIBUTES: has names"),
        ({"ATTRIBUTES": {1: "x"}}, "ATTRIBUTES: has names"),
        ({"ATTRIBUTES": {"a": ""}}, "ATTRIBUTES, 'a': must name"),
        ({"ATTRIBUTES": {"a": 1}}, "ATTRIBUTES, 'a': must be a name"),
        ({"ATTRIBUTES": {"a": {"type": "text"}}}, "must be a name"),
        ({"ATTRIBUTES": {"a": {"name": "A", "kind": "text"}}}, "must be a name"),
        ({"ATTRIBUTES": {"a": {"name": "A", "type": "money"}}}, "one of text, number, boolean, date, list"),
        ({"ATTRIBUTES": {"a": {"name": "A", "type": ["text"]}}}, "one of text, number, boolean, date, list"),
        ({"ATTRIBUTES": {"a": "A", "b": {"name": "A"}}}, "ATTRIBUTES: has an id twice"),
    ],
)
def test_what_cannot_work_is_named_at_start(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        mapping(**options)
    assert str(caught.value).startswith('WAGTAIL_PREFS["BACKENDS"]["crm"]["OPTIONS"]: ')


def test_an_empty_mapping_maps_nothing() -> None:
    nothing = mapping()
    assert (nothing.pairs(), nothing.frequency("daily"), nothing.attributes(target())) == ({}, None, {})


# --- frequencies -----------------------------------------------------------------------------------------------------


def test_a_frequency_has_a_value_and_back_the_rarest_code() -> None:
    mapped = mapping(FREQUENCIES={"daily": "often", "weekly": "digest", "monthly": "digest", "quarterly": 4})
    assert [mapped.frequency(code) for code in FREQUENCIES] == [None, "often", "digest", None, "digest", 4]
    assert (mapped.code("digest"), mapped.code("often"), mapped.code(4), mapped.code("never")) == (
        "monthly",
        "daily",
        "quarterly",
        None,
    )


# --- attributes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        (None, "M", "M"),
        (None, 4, 4),
        (None, True, True),
        (None, ("a", "b"), ["a", "b"]),
        ("text", "M", "M"),
        ("text", 4, "4"),
        ("text", False, "false"),
        ("text", ["a", "b"], "a, b"),
        ("number", 4, 4),
        ("number", " 42 ", 42),
        ("number", "-1.5", -1.5),
        ("boolean", True, True),
        ("boolean", 0, False),
        ("boolean", "true", True),
        ("date", "1990-02-28", "1990-02-28"),
        ("date", "19900228", "1990-02-28"),
        ("list", ["a"], ["a"]),
        ("list", "a", ["a"]),
    ],
)
def test_a_value_becomes_what_is_wanted_there(kind: str | None, value: Any, becomes: Any) -> None:
    entry = {"name": "REMOTE"} | ({"type": kind} if kind else {})
    mapped = mapping(ATTRIBUTES={"it": entry})
    person = target(attributes={"it": value, "other": "stays here"})
    found = mapped.attributes(person)
    assert found == {"REMOTE": becomes}
    assert type(found["REMOTE"]) is type(becomes)
    assert mapped.misfits(person) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "four"),
        ("number", "1e9"),
        ("number", "٤"),
        ("number", True),
        ("number", ["4"]),
        ("number", ""),
        ("boolean", "yes"),
        ("boolean", 2),
        ("boolean", []),
        ("date", "28.2.1990"),
        ("date", "1990-02-30"),
        ("date", 19900228),
        ("list", 4),
        ("text", {"committed": "x"}),
        (None, {"committed": "x"}),
    ],
)
def test_what_does_not_fit_is_named_and_left_out(kind: str | None, value: Any) -> None:
    entry = {"name": "A"} | ({"type": kind} if kind else {})
    mapped = mapping(ATTRIBUTES={"it": entry, "size": "SIZE"})
    person = target(attributes={"it": value, "size": "M"})
    assert mapped.attributes(person) == {"SIZE": "M"}
    assert mapped.misfits(person) == ["it"]


@given(
    kind=st.sampled_from(sorted(COERCIONS, key=str)),
    value=st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text()), st.none(), st.floats()),
)
@pytest.mark.property
@examples(300)
def test_no_value_breaks_a_plan(kind: str | None, value: Any) -> None:
    entry = {"name": "A"} | ({"type": kind} if kind else {})
    mapped = mapping(ATTRIBUTES={"it": entry})
    person = target(attributes={"it": value})
    found, misfits = mapped.attributes(person), mapped.misfits(person)
    assert (set(found), misfits) in (({"A"}, []), (set(), ["it"]))


def test_what_she_took_back_is_emptied_and_what_she_never_said_is_left_alone() -> None:
    mapped = mapping(ATTRIBUTES={"birthday": "BDAY", "size": "SIZE"})
    assert mapped.attributes(target(versions={"attribute:birthday": 2})) == {"BDAY": None}
    assert mapped.attribute_names() == {"birthday": "BDAY", "size": "SIZE"}


# --- backends that map -----------------------------------------------------------------------------------------------


class Groups(Mapped):
    capabilities = Capabilities(channels=("email", "sms"), topics=TopicModel.GROUP)
    known_options = TOPICS


class Plain(Mapped):
    capabilities = Capabilities(channels=("email",))


def test_editors_see_where_a_topic_is_kept() -> None:
    backend = Groups("crm", {"TOPICS": {"news": {"sms": "b", "email": "a"}, "offers": {"email": "c"}}})
    assert backend.describe_topic("news") == "Group a (email), Group b (sms)"
    assert backend.describe_topic("jobs") == ""
    assert [backend.maps("offers", channel) for channel in ("email", "sms")] == [True, False]


def test_the_words_are_the_readers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "wagtail_prefs.backends.mapping._", lambda text: f"{text} {translation.get_language()}"
    )
    backend = Groups("crm", {"TOPICS": {"news": {"email": "a"}}})
    with translation.override("de"):
        assert backend.describe_topic("news") == "Group de a (email)"


def test_a_backend_without_a_mapping_hears_of_everything_on_its_channels() -> None:
    assert Plain("crm").maps("anything", "email")
    assert not Plain("crm").maps("anything", "sms")
    assert Plain("crm").describe_topic("anything") == ""
