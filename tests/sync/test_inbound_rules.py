"""What of a platform's news still counts: the cases, one by one. Pure values, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from wagtail_prefs.changes import (
    Change,
    ChangeAddress,
    Confirm,
    Erase,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.sync.stricter import Circumstances, Said, Sifted, Why, is_older, sift, touched
from wagtail_prefs.values import (
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ContactState,
    Inbound,
    Pause as Rest,
    ReadBack,
    RemoteState,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEWS, OFFERS = ("news", "email"), ("offers", "email")
PATH = "choice:news:email"
LEAVE = SetChoice(*NEWS, UNSUBSCRIBED)
LEAVE_OFFERS = SetChoice(*OFFERS, UNSUBSCRIBED)
NO_MAIL = SetChoice("", "email", UNSUBSCRIBED)
FIRST = ContactState(id=UUID(int=1), audience="brand")
HERS = replace(FIRST, version=2, choices={NEWS: SUBSCRIBED}, versions={PATH: 2})
BOTH = replace(
    FIRST,
    version=3,
    choices={NEWS: SUBSCRIBED, OFFERS: SUBSCRIBED},
    versions={PATH: 2, "choice:offers:email": 3},
)


def given(**values: Any) -> Circumstances:
    start = {"at": None, "received_at": NOON, "now": NOON, "capabilities": Capabilities()}
    return Circumstances(**{**start, **values})


def hold(state: ContactState, *changes: Change, **values: Any) -> Sifted:
    return sift(state, changes, given(**values))


def yes(at: datetime, before: Any = UNSUBSCRIBED, there: Any = UNSUBSCRIBED) -> Mapping[str, Said]:
    return {PATH: Said(2, at, before, there)}


# --- so already ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (replace(FIRST, choices={NEWS: UNSUBSCRIBED}), LEAVE),
        (replace(FIRST, choices={NEWS: UNSUBSCRIBED}, pending=frozenset({NEWS})), LEAVE),
        (replace(FIRST, pending=frozenset({NEWS})), LEAVE),
        (replace(FIRST, opted_out=True), LEAVE),
        (replace(FIRST, opted_out=True), NO_MAIL),
        (replace(FIRST, opted_out=True), OptOut()),
        (replace(FIRST, choices={("", "email"): UNSUBSCRIBED}), NO_MAIL),
        (replace(FIRST, choices={("", "email"): UNSUBSCRIBED}), LEAVE),
        (replace(FIRST, frequencies={("", ""): "weekly"}), SetFrequency("", "", "weekly")),
        (replace(FIRST, pauses={("", ""): Rest(NOON + DAY)}), Pause("", "", NOON + DAY)),
    ],
)
def test_what_is_so_is_not_said_again(state: ContactState, change: Change) -> None:
    found = hold(state, change)
    assert (found.noes, found.more, found.why) == ([], [], [Why.ALREADY])


def test_a_topic_never_asked_about_is_a_no_to_a_platform_without_one() -> None:
    assert hold(FIRST, LEAVE).noes == [LEAVE]
    blunt = Capabilities(explicit_no=False)
    assert hold(FIRST, LEAVE, capabilities=blunt).why == [Why.ALREADY]
    assert hold(HERS, LEAVE, capabilities=blunt).noes == [LEAVE]


# --- stricter, and what is not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (FIRST, OptOut()),
        (HERS, OptOut()),
        (HERS, NO_MAIL),
        (FIRST, NO_MAIL),
        (HERS, LEAVE),
        (FIRST, SetFrequency("", "", "weekly")),
        (replace(FIRST, frequencies={("", ""): "daily"}), SetFrequency("", "", "weekly")),
        (FIRST, Pause("", "", NOON + DAY)),
        (replace(FIRST, pauses={("", ""): Rest(NOON + HOUR)}), Pause("", "", NOON + DAY)),
    ],
)
def test_what_is_stricter_counts(state: ContactState, change: Change) -> None:
    assert hold(state, change).noes == [change]


@pytest.mark.parametrize(
    ("state", "change", "with_evidence"),
    [
        (FIRST, SetChoice(*NEWS, SUBSCRIBED), True),
        (replace(FIRST, opted_out=True), OptIn(), True),
        (FIRST, SetFrequency("", "", "as_it_happens"), True),
        (replace(FIRST, frequencies={("", ""): "weekly"}), SetFrequency("", "", "daily"), True),
        (replace(FIRST, pauses={("", ""): Rest(NOON + DAY)}), Pause("", "", NOON + HOUR), True),
        (replace(FIRST, pauses={("", ""): Rest(NOON + DAY)}), Resume("", ""), True),
        (FIRST, SetAttribute("name", "Ada"), True),
        (FIRST, SetChoice(*NEWS, PENDING), False),
        (FIRST, Confirm(*NEWS), False),
        (FIRST, ChangeAddress("other@mail.example.org"), False),
    ],
)
def test_what_is_not_stricter_never_counts_by_itself(
    state: ContactState, change: Change, with_evidence: bool
) -> None:
    found = hold(state, change)
    assert found.noes == []
    assert found.more == ([change] if with_evidence else [])
    assert found.why == [Why.LOOSER]


def test_a_pause_that_is_over_is_none() -> None:
    assert hold(FIRST, Pause("", "", NOON - HOUR)).why == [Why.OLDER]


def test_a_platform_that_forgot_her_sends_her_nothing() -> None:
    assert hold(HERS, Erase()).noes == [OptOut()]


def test_a_reason_comes_along_with_a_no_only() -> None:
    reason = GiveReason("too_much")
    assert hold(HERS, reason, LEAVE).noes == [LEAVE, reason]
    assert hold(HERS, reason).noes == []
    assert hold(replace(FIRST, choices={NEWS: UNSUBSCRIBED}), reason, LEAVE).noes == []


# --- older -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "act", "older"),
    [
        (NOON - MINUTE, NOON, True),
        (NOON, NOON, False),
        (NOON + MINUTE, NOON, False),
        # a moment in whole seconds may be anywhere in its second
        (NOON, NOON + timedelta(milliseconds=700), False),
        (NOON - timedelta(seconds=1), NOON + timedelta(milliseconds=700), True),
        # one that is exact is exact
        (NOON + timedelta(milliseconds=600), NOON + timedelta(milliseconds=700), True),
        (NOON + timedelta(milliseconds=800), NOON + timedelta(milliseconds=700), False),
        (None, NOON, False),
        (None, NOON + HOUR, False),
        # it came in before her act
        (None, NOON + 3 * HOUR, True),
    ],
)
def test_the_newest_act_wins(at: datetime | None, act: datetime, older: bool) -> None:
    assert is_older(at, NOON + 2 * HOUR, act) is older
    found = hold(HERS, LEAVE, at=at, received_at=NOON + 2 * HOUR, said=yes(act))
    assert found.noes == ([] if older else [LEAVE])
    assert found.why == ([Why.OLDER] if older else [])


def test_a_cap_that_she_loosened_since_stays_loose() -> None:
    state = replace(FIRST, version=2, frequencies={("", ""): "daily"}, versions={"frequency:all": 2})
    said = {"frequency:all": Said(2, NOON - HOUR, "monthly")}
    monthly = SetFrequency("", "", "monthly")
    assert hold(state, monthly, at=NOON - DAY, said=said).why == [Why.OLDER]
    assert hold(state, monthly, at=NOON - MINUTE, said=said).noes == [monthly]


def test_a_pause_that_she_ended_does_not_come_back() -> None:
    state = replace(FIRST, version=2, versions={"pause:all": 2})
    said = {"pause:all": Said(2, NOON - HOUR, None)}
    pause = Pause("", "", NOON + DAY)
    assert hold(state, pause, at=NOON - DAY, said=said).why == [Why.OLDER]
    assert hold(state, pause, at=NOON - MINUTE, said=said).noes == [pause]


@pytest.mark.parametrize(
    ("change", "all_of_it"), [(OptOut(), OptOut()), (NO_MAIL, NO_MAIL), (Erase(), OptOut())]
)
def test_of_many_yeses_those_stay_that_are_newer(change: Change, all_of_it: Change) -> None:
    said = {
        PATH: Said(2, NOON - 2 * HOUR, UNSUBSCRIBED),
        "choice:offers:email": Said(3, NOON - HOUR, UNSUBSCRIBED),
    }
    assert hold(BOTH, change, at=NOON, said=said).noes == [all_of_it]
    assert hold(BOTH, change, at=NOON - 90 * MINUTE, said=said).noes == [LEAVE]
    assert hold(BOTH, change, at=NOON - DAY, said=said).noes == []


def test_an_opt_out_that_she_has_lifted_since_does_not_come_back() -> None:
    state = replace(FIRST, version=2, versions={"opted_out": 2})
    said = {"opted_out": Said(2, NOON - HOUR, True)}
    assert "opted_out" in touched(state, [OptOut()])
    assert hold(state, OptOut(), at=NOON - DAY, said=said).why == [Why.OLDER]
    assert hold(state, OptOut(), at=NOON, said=said).noes == [OptOut()]


def test_a_yes_that_is_no_act_of_hers_protects_nothing() -> None:
    assert hold(HERS, LEAVE, at=NOON - 300 * DAY).noes == [LEAVE]


# --- perhaps our own words -------------------------------------------------------------------------------------------

ECHOES = Capabilities(echoes=True, inbound=Inbound.SIGNED, read_back=ReadBack.STRONG)
BLIND = replace(ECHOES, read_back=ReadBack.NONE)
SLOW = replace(ECHOES, read_back=ReadBack.EVENTUAL)
SILENT = replace(ECHOES, echoes=False)
TOKEN = replace(SILENT, inbound=Inbound.TOKEN)

OUT = RemoteState(opted_out=True)
IN = RemoteState(opted_out=False, choices={NEWS: SUBSCRIBED})
GONE = RemoteState(opted_out=False, choices={NEWS: UNSUBSCRIBED})
SINCE = NOON - 5 * MINUTE  # when she said yes


def sent(*moments: tuple[float, int]) -> Sequence[tuple[datetime, int]]:
    return [(NOON + minutes * MINUTE, version) for minutes, version in moments]


#: (capabilities, circumstances) -> what becomes of "she left", received at noon, against a yes of five minutes ago
CASES: list[tuple[str, Capabilities, dict[str, Any], Why | None]] = [
    # her yes waits to be delivered: the platform says what it held anyway
    ("waits", ECHOES, {"heard": 1, "sent": sent((-7, 1))}, Why.ECHO),
    ("waits, cannot be asked", BLIND, {"heard": 1, "sent": sent((-7, 1))}, Why.ECHO),
    ("waits, told long ago", ECHOES, {"heard": 1, "sent": sent((-7000, 1))}, Why.ECHO),
    ("waited when it came", ECHOES, {"heard": 1, "sent": sent((-7, 1), (1, 2))}, Why.ECHO),
    ("waits, and we had told it yes", ECHOES, {"heard": 1, "there": SUBSCRIBED, "sent": sent((-7, 1))}, None),
    ("waits, and we had told it nothing", ECHOES, {"heard": 0, "there": None}, Why.ECHO),
    ("waits, but it does not echo", SILENT, {"heard": 1, "sent": sent((-7, 1))}, None),
    ("never heard of her", ECHOES, {}, None),
    # her yes was delivered
    ("delivered", ECHOES, {"heard": 2, "sent": sent((-7, 1), (-4, 2))}, Why.ASK),
    ("delivered, cannot be asked", BLIND, {"heard": 2, "sent": sent((-7, 1), (-4, 2))}, None),
    ("delivered, it does not echo", SILENT, {"heard": 2, "sent": sent((-7, 1), (-4, 2))}, None),
    ("it was a yes before", ECHOES, {"heard": 2, "before": SUBSCRIBED, "sent": sent((-4, 2))}, None),
    # what it says then
    ("it says no", ECHOES, {"heard": 2, "sent": sent((-7, 1), (-4, 2)), "remote": GONE}, None),
    ("it says no to all", ECHOES, {"heard": 2, "sent": sent((-7, 1), (-4, 2)), "remote": OUT}, None),
    ("it does not know her", ECHOES, {"heard": 2, "sent": sent((-4, 2)), "asked": True}, None),
    ("it says yes", ECHOES, {"heard": 2, "sent": sent((-7, 1), (-4, 2)), "remote": IN}, Why.NOT_SO),
    ("it says nothing of it", ECHOES, {"heard": 2, "sent": sent((-4, 2)), "remote": RemoteState()}, None),
    ("our own second yes", ECHOES, {"heard": 3, "sent": sent((-4, 2), (-1, 3)), "remote": IN}, None),
    ("our own yes since", ECHOES, {"heard": 3, "sent": sent((-4, 2), (1, 3)), "remote": IN}, None),
    # late answers
    ("slow, no", SLOW, {"heard": 2, "sent": sent((-7, 1), (-4, 2)), "remote": GONE}, Why.WAIT),
    ("slow, yes", SLOW, {"heard": 2, "sent": sent((-7, 1), (-4, 2)), "remote": IN}, Why.WAIT),
    ("slow, no, later", SLOW, {"heard": 2, "sent": sent((-4, 2)), "remote": GONE, "after": 11}, None),
    ("slow, yes, later", SLOW, {"heard": 2, "sent": sent((-4, 2)), "remote": IN, "after": 11}, Why.NOT_SO),
    # with a moment after her yes: ours only where we had just said it
    ("dated, told just before", ECHOES, {"at": -1, "heard": 1, "sent": sent((-7, 1))}, Why.ECHO),
    ("dated, told just before, delivered", ECHOES, {"at": -1, "heard": 2, "sent": sent((-7, 1), (-4, 2))}, Why.ASK),
    ("dated, told long before", ECHOES, {"at": -1, "heard": 1, "sent": sent((-30, 1))}, None),
    ("dated, told long before, delivered", ECHOES, {"at": -1, "heard": 2, "sent": sent((-30, 1), (-4, 2))}, None),
    ("dated, cannot be asked", BLIND, {"at": -1, "heard": 2, "sent": sent((-7, 1), (-4, 2))}, None),
    ("dated, under way", ECHOES, {"at": -1, "heard": 1, "sent": sent((0, 1))}, Why.ECHO),
    ("dated, it does not echo", SILENT, {"at": -1, "heard": 1, "sent": sent((-7, 1))}, None),
    # without a signature it is asked back
    ("unsigned", TOKEN, {"at": -1, "heard": 2, "sent": sent((-4, 2))}, Why.ASK),
    ("unsigned, it says no", TOKEN, {"at": -1, "heard": 2, "sent": sent((-4, 2)), "remote": GONE}, None),
    ("unsigned, it says yes", TOKEN, {"at": -1, "heard": 2, "sent": sent((-4, 2)), "remote": IN}, Why.NOT_SO),
    ("unsigned, our own yes since", TOKEN, {"at": -1, "heard": 3, "sent": sent((-4, 2), (-0.5, 3)), "remote": IN}, None),
    ("unsigned, she waits", TOKEN, {"at": -1, "heard": 1, "sent": sent((-7, 1))}, None),
    ("unsigned, cannot be asked", replace(TOKEN, read_back=ReadBack.NONE), {"heard": 2, "sent": sent((-4, 2))}, None),
    ("unsigned, never heard of her", TOKEN, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("capabilities", "how", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_an_echo_is_told_from_news(capabilities: Capabilities, how: dict[str, Any], why: Why | None) -> None:
    how = dict(how)
    at, after = how.pop("at", None), how.pop("after", 0)
    stood = [how.pop(name, UNSUBSCRIBED) for name in ("before", "there")]
    how["asked"] = how.get("asked", "remote" in how)
    found = hold(
        HERS,
        LEAVE,
        at=None if at is None else NOON + at * MINUTE,
        now=NOON + after * MINUTE,
        capabilities=capabilities,
        readable=capabilities.read_back is not ReadBack.NONE,
        said=yes(SINCE, *stood),
        **how,
    )
    assert found.noes == ([LEAVE] if why is None else [])
    assert found.why == ([] if why is None else [why])
    assert found.ask is (why is Why.ASK)
    assert (found.until is not None) is (why is Why.WAIT)
    if found.until is not None:
        assert NOON + 10 * MINUTE <= found.until <= NOON + 11 * MINUTE


def test_an_unsigned_event_is_asked_back_whoever_said_the_yes() -> None:
    how = {"heard": 2, "sent": sent((-40, 2)), "readable": True, "capabilities": TOKEN}
    assert hold(HERS, LEAVE, **how).why == [Why.ASK]
    assert hold(HERS, LEAVE, **how, asked=True, remote=IN).why == [Why.NOT_SO]
    assert hold(HERS, OptOut(), **how, asked=True, remote=GONE).noes == [OptOut()]


def test_the_echo_of_a_cap_or_a_pause_is_known_too() -> None:
    state = replace(
        FIRST, version=2, frequencies={("", ""): "daily"}, versions={"frequency:all": 2, "pause:all": 2}
    )
    rest = Pause("", "", NOON + DAY)
    said = {
        "frequency:all": Said(2, SINCE, "monthly", "monthly"),
        "pause:all": Said(2, SINCE, "2026-11-23T12:00:00.000000Z", "2026-11-23T12:00:00.000000Z"),
    }
    how = {"capabilities": ECHOES, "heard": 1, "sent": sent((-7, 1)), "readable": True, "said": said}
    assert hold(state, SetFrequency("", "", "monthly"), **how).why == [Why.ECHO]
    assert hold(state, SetFrequency("", "", "quarterly"), **how).noes == [SetFrequency("", "", "quarterly")]
    assert hold(state, rest, **how).why == [Why.ECHO]
    how |= {"heard": 2, "sent": sent((-7, 1), (-4, 2))}
    assert hold(state, rest, **how).ask
    held = RemoteState(frequencies={("", ""): "monthly"}, pauses={("", ""): NOON + DAY})
    freed = RemoteState(frequencies={("", ""): "daily"}, pauses={("topic", ""): None})
    for change in (SetFrequency("", "", "monthly"), rest):
        assert hold(state, change, **how, asked=True, remote=held).noes == [change]
        assert hold(state, change, **how, asked=True, remote=freed).why == [Why.NOT_SO]


def test_an_opt_out_is_asked_about_as_a_whole() -> None:
    state = replace(HERS, versions={PATH: 2, "opted_out": 2})
    said = {PATH: Said(2, SINCE, UNSUBSCRIBED), "opted_out": Said(2, SINCE, True)}
    how = {
        "capabilities": ECHOES, "heard": 2, "sent": sent((-7, 1), (-4, 2)), "readable": True, "said": said,
    }  # fmt: skip
    assert hold(state, OptOut(), **how).ask
    assert hold(state, OptOut(), **how, asked=True, remote=OUT).noes == [OptOut()]
    found = hold(state, OptOut(), **how, asked=True, remote=IN)
    assert (found.noes, set(found.why)) == ([], {Why.NOT_SO})
    # one topic is left over there, and nothing else
    assert hold(state, OptOut(), **how, asked=True, remote=GONE).noes == [LEAVE]


@pytest.mark.parametrize(
    ("change", "all_of_it"), [(OptOut(), OptOut()), (NO_MAIL, NO_MAIL), (Erase(), OptOut())]
)
def test_leaving_all_of_it_ends_a_yes_that_was_still_under_way(change: Change, all_of_it: Change) -> None:
    """The platform has heard of her yes to the news, and not of the one to the offers, which were a no before."""
    state = replace(BOTH, versions={PATH: 2, "choice:offers:email": 3})
    offers = {"choice:offers:email": Said(3, SINCE, UNSUBSCRIBED, UNSUBSCRIBED)}
    said = {PATH: Said(2, NOON - DAY, None), **offers}
    how = {
        "capabilities": ECHOES, "heard": 2, "told": {2: {NEWS}}, "sent": sent((-7, 2)), "readable": True,
    }  # fmt: skip
    assert hold(state, change, **how, said=said).noes == [all_of_it]
    # it may be ours where we told it shortly before that nothing is left: then it is asked, where it can be
    how |= {"told": {1: set(), 2: {NEWS}}, "sent": sent((-9, 1), (-7, 2))}
    assert hold(state, change, **how, said=said).ask
    assert hold(state, change, **how, said=said, asked=True, remote=OUT).noes == [all_of_it]
    assert hold(state, change, **how, said=said, asked=True, remote=IN).noes == []
    assert hold(state, change, **how | {"readable": False}, said=said).noes == [all_of_it]
    # and where it has heard of both since, what it answers is what we told it
    told = how | {
        "heard": 3,
        "told": {1: set(), 2: {NEWS}, 3: {NEWS, OFFERS}},
        "sent": sent((-9, 1), (-7, 2), (-4, 3)),
    }
    found = hold(state, change, **told, said=said, asked=True, remote=IN)
    assert found.noes == [all_of_it]
    # but not where it had no yes of hers: then it may be what we told it
    nothing = how | {"told": {}}
    both = replace(BOTH, versions={PATH: 3, "choice:offers:email": 3})
    waiting = {PATH: Said(3, SINCE, UNSUBSCRIBED, UNSUBSCRIBED), **offers}
    found = hold(both, change, **nothing, said=waiting)
    assert (found.noes, set(found.why)) == ([], {Why.ECHO})
    # and a yes that is newer than that stays
    newer = {
        PATH: Said(1, NOON - DAY, None),
        "choice:offers:email": Said(3, NOON, UNSUBSCRIBED, UNSUBSCRIBED),
    }
    how |= {"at": NOON - MINUTE, "asked": True, "remote": OUT}
    assert hold(state, change, **how, said=newer).noes == [LEAVE]
