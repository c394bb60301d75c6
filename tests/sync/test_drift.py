"""What a platform holds against what we hold: what is a difference, which way, and what cannot be one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from wagtail_prefs.changes import OptOut, Pause, SetChoice, SetFrequency
from wagtail_prefs.sync.drift import Difference, Kind, compare, compare_with
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ContactState,
    Identifiers,
    Pause as Paused,
    PauseStyle,
    RemoteState,
    Support,
    Target,
    TopicModel,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(days=3), NOW + timedelta(days=9)
NEWS, SMS = ("news", "email"), ("news", "sms")
ALL = ("", "")
STORES = dict.fromkeys(("choice", "opt_out", "frequency", "pause", "attributes"), Support.STORES)
#: One that keeps all there is under our own keys, and one with lists, as vendors' are.
WHOLE = Capabilities(**STORES, pause_style=PauseStyle.ATTRIBUTE)
LISTS = Capabilities(
    **STORES, pause_style=PauseStyle.NATIVE, topics=TopicModel.LIST, explicit_no=False, channels=("email",)
)


def here(**state: Any) -> Target:
    pauses = {key: Paused(until) for key, until in state.pop("pauses", {}).items()}
    paused = frozenset(key for key, pause in pauses.items() if pause.until > NOW)
    found = ContactState(UUID(int=1), "brand", version=3, pauses=pauses, **state)
    return Target(found, Identifiers(email="anna@mail.example.org"), paused=paused)


def there(**state: Any) -> RemoteState:
    return RemoteState(**state)


def maps(topic: str, channel: str) -> bool:
    return channel == "email" and topic != "unmapped"


def found(target: Target, remote: RemoteState, capabilities: Capabilities = WHOLE) -> dict[str, str]:
    return {one.field: one.kind.value for one in compare(target, remote, capabilities, maps, NOW)}


YES, NO = {NEWS: SUBSCRIBED}, {NEWS: UNSUBSCRIBED}
FIELD = "choice:news:email"
STRICTER, LOOSER, OTHER = (kind.value for kind in Kind)

CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ("the same", {"choices": YES}, {"choices": YES, "opted_out": False}, {}),
    ("a yes there", {"choices": NO}, {"choices": YES}, {FIELD: LOOSER}),
    ("a yes there that she never said", {}, {"choices": YES}, {FIELD: LOOSER}),
    ("a yes there that waits here", {"pending": frozenset([NEWS])}, {"choices": YES}, {FIELD: LOOSER}),
    ("a no there", {"choices": YES}, {"choices": NO}, {FIELD: STRICTER}),
    ("a no there that she never said", {}, {"choices": NO}, {FIELD: STRICTER}),
    ("a no there that waits here", {"pending": frozenset([NEWS])}, {"choices": NO}, {}),
    ("a yes that is gone there", {"choices": YES}, {}, {FIELD: STRICTER}),
    ("a no that is gone there", {"choices": NO}, {}, {FIELD: LOOSER}),
    ("not mapped", {"choices": {SMS: SUBSCRIBED}}, {"choices": {("unmapped", "email"): SUBSCRIBED}}, {}),
    ("out there", {"choices": YES}, {"choices": YES, "opted_out": True}, {"opted_out": STRICTER}),
    ("out here", {"opted_out": True, "choices": YES}, {"choices": YES, "opted_out": False}, {"opted_out": LOOSER}),
    ("suppressed here", {"suppressed": True}, {"opted_out": False}, {"opted_out": LOOSER}),
    ("out on both sides", {"opted_out": True, "choices": NO}, {"choices": YES, "opted_out": True}, {}),
    ("out here, a yes there", {"opted_out": True, "choices": NO}, {"choices": YES, "opted_out": False}, {"opted_out": LOOSER, FIELD: LOOSER}),
    ("nothing said of being out", {"opted_out": True, "choices": YES}, {"choices": YES}, {FIELD: LOOSER}),
    ("rarer there", {"frequencies": {ALL: "daily"}}, {"frequencies": {ALL: "weekly"}}, {"frequency:all": STRICTER}),
    ("rarer here", {"frequencies": {ALL: "weekly"}}, {"frequencies": {ALL: "daily"}}, {"frequency:all": LOOSER}),
    ("a cap that is gone", {"frequencies": {("news", ""): "weekly"}}, {}, {"frequency:topic:news": LOOSER}),
    ("no cap on both sides", {"frequencies": {ALL: "as_it_happens"}}, {}, {}),
    ("a cap of theirs", {}, {"frequencies": {ALL: "hourly"}}, {"frequency:all": OTHER}),
    ("paused there", {}, {"pauses": {ALL: SOON}}, {"pause:all": STRICTER}),
    ("paused there without an end", {}, {"pauses": {ALL: None}}, {"pause:all": STRICTER}),
    ("a pause that is gone", {"pauses": {ALL: SOON}}, {}, {"pause:all": LOOSER}),
    ("over on both sides", {"pauses": {ALL: NOW}}, {"pauses": {ALL: NOW}}, {}),
    ("longer there", {"pauses": {ALL: SOON}}, {"pauses": {ALL: LATER}}, {"pause:all": STRICTER}),
    ("shorter there", {"pauses": {ALL: LATER}}, {"pauses": {ALL: SOON}}, {"pause:all": LOOSER}),
    ("another answer", {"attributes": {"size": "M"}}, {"attributes": {"size": "L"}}, {"attribute:size": OTHER}),
    ("an answer as text", {"attributes": {"size": 7}}, {"attributes": {"size": "7"}}, {}),
    ("an answer in another order", {"attributes": {"likes": ["a", "b"]}}, {"attributes": {"likes": ["b", "a"]}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs", "expected"), CASES, ids=[case[0] for case in CASES])
def test_of_a_platform_that_keeps_everything(
    name: str, ours: dict[str, Any], theirs: dict[str, Any], expected: dict[str, str]
) -> None:
    assert found(here(**ours), there(**theirs)) == expected


LIST_CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ("a no that it cannot say", {"choices": NO}, {}, {}),
    ("a no of nobody", {}, {"choices": NO}, {}),
    ("on no list any more", {"choices": YES}, {}, {FIELD: STRICTER}),
    ("on no list while it asks her", {"choices": YES}, {"waits": True}, {}),
    ("a list that she was never asked about", {}, {"choices": YES}, {FIELD: OTHER}),
    ("a list that she has left", {"choices": NO}, {"choices": YES}, {FIELD: LOOSER}),
    ("a list of who wants no e-mail at all", {"choices": {("", "email"): UNSUBSCRIBED}}, {"choices": YES}, {FIELD: LOOSER}),
    ("a cap that it does not speak of", {"frequencies": {ALL: "weekly"}}, {"choices": {}}, {}),
    ("a cap that it does", {"frequencies": {ALL: "weekly"}}, {"frequencies": {ALL: "daily"}}, {"frequency:all": LOOSER}),
    ("not paused, and on the list", {"choices": YES, "pauses": {ALL: SOON}}, {"choices": YES}, {"pause:all": LOOSER}),
    ("not paused, and on no list", {"pauses": {ALL: SOON}}, {}, {}),
    ("paused in its own way", {"choices": YES, "pauses": {ALL: SOON}}, {"choices": YES, "pauses": {("news", ""): None}}, {}),
    ("paused there alone", {"choices": YES}, {"choices": YES, "pauses": {("news", ""): None}}, {"pause:topic:news": STRICTER}),
    ("the same day", {"pauses": {ALL: SOON}}, {"pauses": {ALL: SOON + timedelta(hours=9)}}, {}),
    ("an answer that it does not keep", {"attributes": {"size": "M"}}, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "expected"), LIST_CASES, ids=[case[0] for case in LIST_CASES]
)
def test_of_a_platform_with_lists(
    name: str, ours: dict[str, Any], theirs: dict[str, Any], expected: dict[str, str]
) -> None:
    assert found(here(**ours), there(**theirs), LISTS) == expected


def test_what_a_platform_does_not_keep_is_no_difference() -> None:
    ours = here(
        opted_out=True, choices=YES, frequencies={ALL: "weekly"}, pauses={ALL: SOON}, attributes={"size": "M"}
    )
    assert found(ours, there(opted_out=False), Capabilities()) == {}
    assert len(found(ours, there(opted_out=False))) == 4  # of who is out no yes can be missing


def test_one_who_pauses_is_no_member_meanwhile() -> None:
    leaves = Capabilities(
        choice=Support.ENFORCES, pause=Support.ENFORCES, pause_style=PauseStyle.MEMBERSHIP, explicit_no=False
    )
    ours = here(choices=YES, pauses={ALL: SOON})
    assert found(ours, there(), leaves) == {}
    assert found(ours, there(choices=YES), leaves) == {FIELD: LOOSER}
    assert found(here(choices=YES, pauses={ALL: NOW}), there(), leaves) == {FIELD: STRICTER}


def test_what_would_have_to_be_recorded() -> None:
    ours = here(choices=YES)
    theirs = there(
        choices=NO, opted_out=True, frequencies={ALL: "weekly"}, pauses={ALL: SOON, ("news", ""): None}
    )
    changes = {one.field: one.change for one in compare(ours, theirs, WHOLE, maps, NOW)}
    assert changes == {
        "opted_out": OptOut(),
        FIELD: SetChoice("news", "email", UNSUBSCRIBED),
        "frequency:all": SetFrequency("", "", "weekly"),
        "pause:all": Pause("", "", SOON),
        "pause:topic:news": None,  # it would go on for ever
    }


def test_two_platforms_are_compared_in_what_both_speak_of() -> None:
    def both(new: RemoteState, old: RemoteState) -> list[Difference]:
        return compare_with(new, old, (WHOLE, LISTS), (maps, maps))

    assert both(there(choices=YES), there(choices=YES)) == []
    assert both(there(choices=YES), there(choices=NO)) == [Difference(FIELD, Kind.LOOSER)]
    assert both(there(), there(choices=YES)) == [Difference(FIELD, Kind.STRICTER)]
    assert both(there(choices=YES, opted_out=True), there(choices=NO)) == []
    assert both(there(choices={SMS: SUBSCRIBED}), there()) == []
    assert both(there(frequencies={ALL: "daily"}), there()) == []
    assert both(
        there(frequencies={ALL: "daily"}, pauses={ALL: SOON}, attributes={"size": 1}, opted_out=False),
        there(frequencies={ALL: "weekly"}, attributes={"size": 2}, opted_out=True),
    ) == [
        Difference("attribute:size", Kind.OTHER),
        Difference("frequency:all", Kind.LOOSER),
        Difference("opted_out", Kind.LOOSER),
        Difference("pause:all", Kind.STRICTER),
    ]
