"""Every change in JSON and out, and what is no change."""

from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs import changes
from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    Erase,
    Expire,
    GiveReason,
    Merge,
    OptIn,
    OptOut,
    Pause,
    PauseFor,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
    Undo,
    change_from_json,
    changes_from_json,
)
from wagtail_prefs.values import CHANNELS, FREQUENCIES, PENDING, SUBSCRIBED, UNSUBSCRIBED

ANNA, ANNA_TOO = uuid.UUID(int=1), uuid.UUID(int=2)
MOMENT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

names = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=12)
topics = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
channels = st.sampled_from(CHANNELS)
keys = st.tuples(topics, channels)
scopes = st.one_of(st.just(("", "")), st.tuples(topics, st.just("")), st.tuples(st.just(""), channels))
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - strategies take naive bounds
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.builds(
        timezone, st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes))
    ),
)
plain = st.one_of(
    st.text(max_size=12),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.lists(st.text(max_size=5), max_size=3),
)
anything = st.one_of(
    keys.flatmap(
        lambda key: st.builds(
            SetChoice, *map(st.just, key), st.sampled_from([SUBSCRIBED, PENDING]), st.none() | moments
        )
    ),
    keys.map(lambda key: SetChoice(*key, UNSUBSCRIBED)),
    st.builds(SetChoice, st.just(""), channels, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED, PENDING])),
    keys.map(lambda key: Confirm(*key)),
    keys.map(lambda key: Expire(*key)),
    scopes.flatmap(lambda key: st.builds(SetFrequency, *map(st.just, key), st.sampled_from(FREQUENCIES))),
    scopes.flatmap(lambda key: st.builds(Pause, *map(st.just, key), moments)),
    scopes.map(lambda key: Resume(*key)),
    st.just(OptOut()),
    st.just(OptIn()),
    st.builds(SetAttribute, names, plain),
    st.builds(
        SetAttribute,
        st.sampled_from(["language", "country", "timezone"]),
        st.sampled_from(["", "de", "DE-BY"]),
    ),
    st.builds(ClearAttribute, names),
    st.builds(GiveReason, names, st.text(max_size=20)),
    st.builds(AcknowledgeNotice, names, st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
    st.builds(ChangeAddress, st.emails()),
    st.just(Erase()),
    st.tuples(st.uuids(), st.uuids()).filter(lambda two: two[0] != two[1]).map(lambda two: Merge(*two)),
    st.builds(Undo, st.uuids()),
)

ALL = {
    cls
    for cls in vars(changes).values()
    if isinstance(cls, type)
    and issubclass(cls, Change)
    and cls not in {Change, PauseFor}  # a wish that no record holds
}
#: One of each, as it stands in records for ever.
WRITTEN: list[tuple[Change, dict[str, Any]]] = [
    (SetChoice("news", "email", SUBSCRIBED), {"topic": "news", "channel": "email", "value": "subscribed"}),
    (
        SetChoice("news", "email", PENDING, MOMENT),
        {"topic": "news", "channel": "email", "value": "pending", "until": "2026-03-29T01:30:00.000000Z"},
    ),
    (SetChoice("", "sms", UNSUBSCRIBED), {"topic": "", "channel": "sms", "value": "unsubscribed"}),
    (SetFrequency("", "email", "weekly"), {"topic": "", "channel": "email", "value": "weekly"}),
    (Pause("news", "", MOMENT), {"topic": "news", "channel": "", "until": "2026-03-29T01:30:00.000000Z"}),
    (Resume("", ""), {"topic": "", "channel": ""}),
    (OptOut(), {}),
    (OptIn(), {}),
    (SetAttribute("size", ["S", "M"]), {"name": "size", "value": ["S", "M"]}),
    (ClearAttribute("size"), {"name": "size"}),
    (GiveReason("other", "so many"), {"code": "other", "text": "so many"}),
    (AcknowledgeNotice("privacy", "a" * 64), {"notice": "privacy", "sha256": "a" * 64}),
    (ChangeAddress("anna@mail.example.org"), {"address": "anna@mail.example.org"}),
    (Confirm("news", "email"), {"topic": "news", "channel": "email"}),
    (Expire("news", "email"), {"topic": "news", "channel": "email"}),
    (Merge(ANNA, ANNA_TOO), {"loser": str(ANNA), "winner": str(ANNA_TOO)}),
    (Erase(), {}),
    (Undo(ANNA), {"record": str(ANNA)}),
]


def test_there_are_sixteen_and_each_is_tried_here() -> None:
    assert len(ALL) == 16
    assert {type(change) for change, _ in WRITTEN} == ALL


@pytest.mark.parametrize(("change", "fields"), WRITTEN, ids=lambda value: type(value).__name__)
def test_the_form_that_records_hold_never_changes(change: Change, fields: dict[str, Any]) -> None:
    data = {"change": type(change).__name__, "v": 1, **fields}
    assert change.to_json() == data
    assert change_from_json(data) == change
    assert data == {"change": type(change).__name__, "v": 1, **fields}  # reading takes nothing out of it


@pytest.mark.property
@examples(500)
@given(anything)
def test_out_and_in_again_it_is_the_same(change: Change) -> None:
    text = json.dumps(change.to_json())
    again = change_from_json(json.loads(text))
    assert again == change
    assert type(again) is type(change)
    assert hash(again) == hash(change)
    assert json.dumps(again.to_json()) == text


@pytest.mark.property
@examples(100)
@given(st.lists(anything, max_size=4))
def test_a_list_of_them_too(made: list[Change]) -> None:
    assert changes_from_json([change.to_json() for change in made]) == tuple(made)


@pytest.mark.parametrize("change", [change for change, _ in WRITTEN], ids=repr)
def test_a_change_does_not_change(change: Change) -> None:
    for item in dataclasses.fields(change):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(change, item.name, "x")
    assert len({change, change_from_json(change.to_json())}) == 1


def test_a_moment_is_written_in_utc_wherever_it_was_said() -> None:
    berlin = MOMENT.astimezone(timezone(timedelta(hours=2)))
    assert Pause("", "", berlin) == Pause("", "", MOMENT)
    assert Pause("", "", berlin).to_json() == Pause("", "", MOMENT).to_json()
    assert change_from_json(
        {"change": "Pause", "v": 1, "topic": "", "channel": "", "until": "2026-03-29T03:30+02:00"}
    ) == Pause("", "", MOMENT)


YES = {"change": "SetChoice", "v": 1, "topic": "news", "channel": "email", "value": "subscribed"}
SIZE = {"change": "SetAttribute", "v": 1, "name": "size"}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"v": 1},
        {"change": "OptOut"},
        {"change": "Subscribe", "v": 1},
        {"change": "Change", "v": 1},
        {"change": None, "v": 1},
        {"change": ["OptOut"], "v": 1},
        {"change": "OptOut", "v": 2},
        {"change": "OptOut", "v": 0},
        {"change": "OptOut", "v": "1"},
        {"change": "OptOut", "v": 1.0},
        {"change": "OptOut", "v": True},
        {"change": "OptOut", "v": None},
        {"change": "optout", "v": 1},
        {"change": "OptOut", "v": 1, "why": "x"},
        {key: value for key, value in YES.items() if key != "topic"},
        {**YES, "until": None, "sure": True},
        *({**YES, "value": value} for value in ("yes", "", None, True, 1, [], {})),
        *({**YES, "topic": value} for value in (None, 5, ["news"], {"committed": "a"})),
        {**YES, "topic": "", "until": "2026-03-29T01:30:00Z"},
        {**YES, "topic": "", "channel": ""},
        *({**YES, "channel": value} for value in ("", None, 5, ["email"])),
        {**YES, "channel": "email:news"},
        {**YES, "value": UNSUBSCRIBED, "until": "2026-03-29T01:30:00Z"},
        *(
            {**YES, "until": value}
            for value in (
                "2026-03-29T01:30:00",
                "2026-03-29",
                "soon",
                "",
                0,
                1774747800,
                1774747800.5,
                True,
                [],
                {},
            )
        ),
        {**YES, "until": "9999-12-31T23:59:59-12:00"},
        {**YES, "until": "0001-01-01T00:00:00+12:00"},
        *({"change": name, "v": 1, "topic": "news", "channel": ""} for name in ("Confirm", "Expire")),
        *({"change": name, "v": 1, "topic": "", "channel": ""} for name in ("Confirm", "Expire")),
        *(
            {"change": "SetFrequency", "v": 1, "topic": "", "channel": "", "value": value}
            for value in ("hourly", "", None, 3, ["daily"])
        ),
        {"change": "SetFrequency", "v": 1, "topic": "news", "channel": "email", "value": "daily"},
        {"change": "SetFrequency", "v": 1, "topic": None, "channel": "", "value": "daily"},
        {"change": "Pause", "v": 1, "topic": "", "channel": "", "until": "2026-03-29T01:30:00"},
        {"change": "Pause", "v": 1, "topic": "", "channel": "", "until": None},
        {"change": "Pause", "v": 1, "topic": "", "channel": ""},
        {"change": "Pause", "v": 1, "topic": "news", "channel": "email", "until": "2026-03-29T01:30:00Z"},
        {"change": "Resume", "v": 1, "topic": "news", "channel": "email"},
        *(
            {**SIZE, "value": value}
            for value in (1.5, float("nan"), None, {}, {"a": 1}, [1], [["a"]], [None], 2**53, -(2**53))
        ),
        *({**SIZE, "name": name, "value": "x"} for name in (None, 5, "", ["size"])),
        {"change": "SetAttribute", "v": 1, "name": "country", "value": 49},
        {"change": "SetAttribute", "v": 1, "name": "language", "value": ["de"]},
        {"change": "ClearAttribute", "v": 1, "name": 5},
        {"change": "GiveReason", "v": 1, "code": 5},
        {"change": "GiveReason", "v": 1, "code": "other", "text": 5},
        {"change": "GiveReason", "v": 1, "code": "other", "text": {"words": "x"}},
        {"change": "AcknowledgeNotice", "v": 1, "notice": "privacy", "sha256": None},
        {"change": "AcknowledgeNotice", "v": 1, "notice": 5, "sha256": "a"},
        *(
            {"change": "ChangeAddress", "v": 1, "address": value}
            for value in (None, 5, "", ["a@mail.example.org"], {"a": "b"})
        ),
        {"change": "Merge", "v": 1, "loser": str(ANNA), "winner": str(ANNA)},
        {"change": "Merge", "v": 1, "loser": "anna", "winner": str(ANNA)},
        {"change": "Merge", "v": 1, "loser": str(ANNA)},
        *({"change": "Undo", "v": 1, "record": value} for value in (None, "", 7, "x")),
    ],
    ids=repr,
)
def test_what_is_no_change_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        change_from_json(data)


@pytest.mark.parametrize("data", [None, 5, "OptOut", ["OptOut"], [["change", "OptOut"]]])
def test_neither_is_what_is_no_object(data: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        change_from_json(data)


@pytest.mark.parametrize(
    "data",
    [
        {"change": "SetAttribute", "v": 1, "name": "size", "value": {"committed": "ab" * 32}},
        {"change": "SetAttribute", "v": 1, "name": "country", "value": {"committed": "ab" * 32}},
        {"change": "GiveReason", "v": 1, "code": "other", "text": {"committed": "ab" * 32}},
        {"change": "ChangeAddress", "v": 1, "address": {"committed": "ab" * 32}},
    ],
    ids=repr,
)
def test_a_record_is_read_though_the_personal_value_is_not_in_it(data: dict[str, Any]) -> None:
    assert change_from_json(data).to_json() == data


def test_changes_of_one_thing_have_one_path() -> None:
    same = [
        [SetChoice("news", "email", SUBSCRIBED), Confirm("news", "email"), Expire("news", "email")],
        [Pause("", "email", MOMENT), Resume("", "email")],
        [OptOut(), OptIn()],
        [SetAttribute("reason", "x"), ClearAttribute("reason"), GiveReason("other")],
    ]
    assert [len({change.path for change in group}) for group in same] == [1, 1, 1, 1]
    assert len({group[0].path for group in same}) == 4
