"""What somebody is told that she will get: no less than senders may send, and nothing that does not come to her."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone, translation
from hypothesis import given, strategies as st

from tests.blocks.conftest import compiled, context, state
from tests.centers.test_answers import snapshot
from tests.decisions.cases import law_files
from tests.properties import examples
from wagtail_prefs.blocks.words import LIMITS, how_often, listed
from wagtail_prefs.centers import outlook as module
from wagtail_prefs.centers.outlook import PERIODS, TIMES, Coming, coming, outlook, spoken
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.decisions import periods
from wagtail_prefs.decisions.rules import RULES, judge, prepared
from wagtail_prefs.decisions.values import (
    CapFact,
    Facts,
    PauseFact,
    Question,
    Standing,
    TopicFacts,
    Verdict,
)
from wagtail_prefs.values import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    ContactState,
    Key,
    Pause,
    Per,
    Planned,
    TopicInfo,
)

FAR = datetime(2100, 3, 2, 23, tzinfo=UTC)
#: A Monday on which a pair of weeks, a month, a quarter and a year begin.
FIRST = datetime(2029, 1, 1, 12, tzinfo=UTC)
DAYS = 364


def topic(key: str, planned: Planned | None = None, **fields: Any) -> TopicInfo:
    return TopicInfo(key, key.title(), **{"channels": ("email", "sms"), **fields}, planned=planned)


def weekly(number: int = 1) -> Planned:
    return Planned(number, "week")


def page(*topics: TopicInfo, **extra: Any) -> Snapshot:
    """A center that offers these topics by each channel that they come by."""
    infos = dict(enumerate(topics, start=1))
    block = compiled(
        "topics",
        replace(context(), topics=infos),
        topics=[SimpleNamespace(pk=pk) for pk in infos],
        channels=list(CHANNELS),
        how_often=True,
    )
    whole = snapshot("topics", topics=block, **extra)
    return replace(whole, specs=whole.specs[1:])


def yes(*keys: Key) -> dict[Key, str]:
    return dict.fromkeys(keys, SUBSCRIBED)


def told(shown: Snapshot, held: ContactState, **said: bool) -> list[str]:
    return [sentence.text for sentence in outlook(shown, held, **said)]


BOTH = yes(("news", "email"), ("offers", "email"))
NEWS, OFFERS = topic("news", weekly()), topic("offers", weekly(2))


# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "picked", "expected"),
    [
        ((weekly(1), weekly(2)), {}, "E-mail: about 3 mails a week."),
        ((Planned(2, "month"), None), {}, None),  # below
        ((Planned(1, "quarter"), Planned(1, "quarter")), {}, "E-mail: about 2 mails a quarter."),
        ((Planned(1, "year"), Planned(1, "year")), {}, "E-mail: about 2 mails a year."),
        ((Planned(1, "month"), weekly(1)), {}, "E-mail: about 6 mails a month."),
        (
            (weekly(1), weekly(2)),
            {("", ""): "weekly"},
            "E-mail: at most one a week, as you asked, instead of about 3 mails a week.",
        ),
        (
            (weekly(1), weekly(2)),
            {("", "email"): "monthly", ("", ""): "weekly"},
            "E-mail: at most one a month, as you asked, instead of about 3 mails a week.",
        ),
        ((weekly(1), weekly(2)), {("", ""): "daily"}, "E-mail: about 3 mails a week."),
        ((weekly(1), weekly(2)), {("", ""): "as_it_happens"}, "E-mail: about 3 mails a week."),
        ((weekly(1), weekly(2)), {("", "sms"): "weekly"}, "E-mail: about 3 mails a week."),
        (
            (weekly(1), weekly(4)),
            {("offers", ""): "weekly"},
            "E-mail: about 2 mails a week, as you asked, instead of about 5 mails a week.",
        ),
        ((weekly(1), None), {("", ""): "fortnightly"}, "E-mail: at most one every two weeks, as you asked."),
        ((None, None), {("", "email"): "weekly"}, "E-mail: at most one a week, as you asked."),
        (
            (weekly(1), None),
            {},
            "E-mail: about 1 mail a week, and 1 topic that comes when there is something to say.",
        ),
        ((None, None), {}, "E-mail: you get 2 of 2 topics."),
        ((None, None), {("news", ""): "weekly"}, "E-mail: you get 2 of 2 topics."),
    ],
)
def test_what_comes_by_mail(
    planned: tuple[Planned | None, Planned | None], picked: Mapping[Key, str], expected: str | None
) -> None:
    shown = page(topic("news", planned[0]), topic("offers", planned[1]))
    held = state(choices=BOTH, frequencies=picked)
    expected = expected or (
        "E-mail: about 2 mails a month, and 1 topic that comes when there is something to say."
    )
    assert told(shown, held) == [expected, "Text message: nothing."]


def test_one_limit_on_all_channels_is_said_once() -> None:
    held = state(choices=BOTH | yes(("news", "sms")), frequencies={("", ""): "weekly"})
    assert told(page(NEWS, OFFERS), held) == [
        "E-mail, Text message together: at most one a week, as you asked."
    ]
    assert told(page(NEWS, OFFERS), replace(held, frequencies={("", ""): "daily"})) == [
        "E-mail: about 3 mails a week.",
        "Text message: about 1 text message a week.",
    ]


def test_who_chose_nothing_gets_nothing() -> None:
    assert told(page(NEWS), state()) == ["E-mail, Text message: nothing."]
    refused = state(choices={("news", "email"): UNSUBSCRIBED})
    assert told(page(NEWS), refused) == ["E-mail, Text message: nothing."]


def test_a_pending_choice_is_not_promised() -> None:
    held = state(pending=frozenset({("news", "email")}))
    assert told(page(NEWS), held) == ["E-mail, Text message: nothing."]
    by_law = page(replace(NEWS, basis="contract", channels=("email",)))
    assert told(by_law, state()) == ["E-mail: about 1 mail a week."]
    assert told(by_law, held) == ["E-mail: nothing."]


def test_a_yes_that_has_ended_is_not_promised() -> None:
    held = state(choices=BOTH, until={("news", "email"): timezone.now() - timedelta(seconds=1)})
    assert told(page(NEWS, OFFERS), held)[0] == "E-mail: about 2 mails a week."


@pytest.mark.parametrize("basis", ["soft_opt_in", "legitimate_interest", "contract"])
def test_what_the_law_lets_go_out_without_a_yes_is_not_kept_quiet(
    basis: str, settings: Any, tmp_path: Path
) -> None:
    shown = page(replace(NEWS, basis=basis, channels=("email",)))
    by_law = "E-mail: about 1 mail a week." if basis == "contract" else "E-mail: nothing."
    assert told(shown, state(country="US")) == [by_law]
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "JURISDICTIONS": str(law_files(tmp_path)["opt_out"]),
    }
    assert told(shown, state(country="US")) == ["E-mail: about 1 mail a week."]
    assert told(shown, state(country="US", choices={("news", "email"): UNSUBSCRIBED})) == ["E-mail: nothing."]


def test_no_night_is_long_enough_to_end_what_comes(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "QUIET_HOURS": {"email": ["00:00", "23:59"]}}
    assert told(page(NEWS, OFFERS), state(choices=BOTH))[0] == "E-mail: about 3 mails a week."


def test_a_no_to_the_channel_is_heard() -> None:
    held = state(choices={("", "email"): UNSUBSCRIBED})
    shown = page(replace(NEWS, basis="contract"))
    assert told(shown, held) == ["Text message: about 1 text message a week.", "E-mail: nothing."]


def test_whose_address_was_erased_gets_nothing() -> None:
    assert told(page(NEWS, OFFERS), state(choices=BOTH, suppressed=True)) == [
        "E-mail, Text message: nothing."
    ]


def test_after_an_opt_out_only_what_is_always_sent_is_left() -> None:
    held = state(opted_out=True, choices={("news", "email"): UNSUBSCRIBED}, pauses={("", ""): Pause(FAR)})
    found = outlook(snapshot(), held, signal=True)
    assert [(sentence.kind, sentence.text) for sentence in found] == [
        ("opted_out", "You get no marketing from us."),
        ("always", "These messages still come: Orders."),
        ("gpc", "Your browser’s opt-out signal is honoured."),
    ]


def test_a_center_without_topics_promises_nothing() -> None:
    assert told(snapshot("unsubscribe_all"), state()) == ["These messages still come: Orders."]
    assert told(snapshot("rich_text"), state(choices=BOTH)) == []


def test_what_is_not_on_the_page_is_not_forgotten() -> None:
    held = state(choices=BOTH | yes(("gone", "email")))
    elsewhere = "What you have chosen elsewhere, and is not on this page, may come as well."
    assert told(page(NEWS, OFFERS), held)[-1] == elsewhere
    gone = replace(held, pauses={("gone", ""): Pause(FAR)})
    assert elsewhere not in told(page(NEWS, OFFERS), gone)
    assert elsewhere not in told(page(NEWS, OFFERS), replace(held, pauses={("", ""): Pause(FAR)}))


def test_a_topic_in_two_blocks_is_one() -> None:
    twice = page(NEWS, OFFERS, again=compiled("topics", replace(context(), topics={1: NEWS})))
    assert told(twice, state(choices=BOTH))[0] == "E-mail: about 3 mails a week."


def test_snapshots_of_an_earlier_release_are_still_told_of() -> None:
    shown = page(NEWS, OFFERS, pause=compiled("pause", replace(context(), topics={1: NEWS})))
    old = [
        replace(
            spec,
            rules={
                name: rule for name, rule in spec.rules.items() if name not in {"planned", "always", "topics"}
            },
        )
        for spec in shown.specs
    ]
    assert told(replace(shown, specs=tuple(old)), state(choices=BOTH))[0] == "E-mail: you get 2 of 2 topics."


def test_the_language_is_the_page_s() -> None:
    shown = replace(page(NEWS, OFFERS), locale="de", digest="de")
    assert "3. März 2100" in told(shown, paused(("", ""), zone="Europe/Berlin"))[0]


# --- pauses ----------------------------------------------------------------------------------------------------------


def paused(*keys: Key, zone: str = "", at: datetime = FAR) -> ContactState:
    return state(choices=BOTH, pauses={key: Pause(at) for key in keys}, timezone=zone)


def test_the_outlook_says_what_is_paused_until_which_day() -> None:
    held = paused(("news", ""), ("", "sms"), ("secret", ""), ("gone", ""), zone="Europe/Berlin")
    assert told(page(NEWS, OFFERS, topic("secret", private=True)), held) == [
        "Text message: paused until March 3, 2100.",  # where she lives it is the 3rd already
        "News: paused until March 3, 2100.",
        "E-mail: about 2 mails a week.",
        "From March 3, 2100: about 3 mails a week.",
    ]


def test_a_pause_of_everything_says_it_all() -> None:
    held = paused(("", ""), ("news", ""), ("", "sms"), zone="UTC")
    assert told(page(NEWS, OFFERS, topic("orders", transactional=True)), held) == [
        "Paused until March 2, 2100.",
        "From March 2, 2100: about 3 mails a week.",
        "These messages still come: Orders.",
    ]
    longer = replace(held, pauses={**held.pauses, ("news", ""): Pause(FAR + timedelta(days=9))})
    assert told(page(NEWS, OFFERS), longer) == [
        "Paused until March 2, 2100.",
        "News: paused until March 11, 2100.",
        "From March 2, 2100: about 2 mails a week.",
    ]


def test_pauses_of_one_day_are_one_sentence_and_many_days_are_too() -> None:
    topics = [topic(f"topic{number}", weekly(), channels=("email",)) for number in range(5)]
    keys = [one.key for one in topics]
    held = state(choices=yes(*((key, "email") for key in keys)), timezone="UTC")
    same = replace(held, pauses={(key, ""): Pause(FAR) for key in keys[:4]})
    assert told(page(*topics), same) == [
        "Topic0, Topic1 and 2 more: paused until March 2, 2100.",
        "E-mail: about 1 mail a week.",
        "From March 2, 2100: about 5 mails a week.",
    ]
    days = {(key, ""): Pause(FAR + timedelta(days=number)) for number, key in enumerate(keys[:3])}
    assert told(page(*topics), replace(held, pauses=days)) == [
        "Topic0, Topic1, Topic2: paused, the first of them until March 2, 2100.",
        "E-mail: about 2 mails a week.",
        "From March 2, 2100: about 3 mails a week.",
    ]


def test_a_topic_that_can_only_be_paused_here_is_named() -> None:
    pause = compiled("pause", lengths=[])
    shown = snapshot("rich_text", pause=pause)
    assert told(shown, paused(("news", ""), zone="UTC")) == ["News: paused until March 2, 2100."]
    assert told(shown, replace(paused(("news", "")), choices={})) == []


def test_a_pause_that_is_over_is_not_told_of() -> None:
    held = paused(("", ""), at=timezone.now() - timedelta(seconds=1))
    assert told(page(NEWS, OFFERS), held)[0] == "E-mail: about 3 mails a week."


# --- words -----------------------------------------------------------------------------------------------------------


def test_numbers_are_words_where_an_editor_wrote_none() -> None:
    rows = {
        row["key"]: row["help"]
        for spec in page(
            topic("a", weekly(2), channels=("email",)),
            topic("b", weekly(2), channels=("email", "post")),
            topic("c", Planned(1, "quarter"), channels=("post",), text="Our report."),
            topic("d", weekly(2), cadence="now and then"),
            topic("e"),
        ).specs
        for row in spec.document["controls"][0]["rows"]
    }
    assert rows == {
        "a": "about 2 mails a week",
        "b": "about 2 a week",
        "c": "Our report. · about 1 letter a quarter",
        "d": "now and then",
        "e": "",
    }


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("per", TIMES)
def test_every_channel_and_time_has_words(channel: str, per: Per) -> None:
    one, many = how_often(1, per, [channel]), how_often(2, per, [channel])
    assert one.startswith("about 1 ") and many.startswith("about 2 ")
    assert one.endswith(f" a {per}") and many.endswith(f" a {per}")
    assert how_often(2, per, [channel, "other"]) == f"about 2 a {per}"


def test_many_names_are_counted() -> None:
    assert [listed("ABCDE"[:size]) for size in (1, 3, 4, 5)] == [
        "A",
        "A, B, C",
        "A, B and 2 more",
        "A, B and 3 more",
    ]


@pytest.mark.property
@examples(300)
@given(st.integers(800, 10**7), st.integers(800, 10**7))
def test_a_rate_is_never_spoken_as_less_and_of_two_the_lower_one_never_as_more(one: int, other: int) -> None:
    spoken_as = [number * TIMES[per] for number, per in map(spoken, sorted([one, other]))]
    assert spoken_as[0] >= min(one, other)
    assert spoken_as[0] <= spoken_as[1]
    assert 3 * spoken_as[0] <= 4 * min(one, other) or spoken(min(one, other))[1] == "year"


def test_limits_are_those_that_the_rules_know() -> None:
    assert PERIODS.keys() == LIMITS.keys() == {*FREQUENCIES} - {"as_it_happens"}
    begin, years = datetime(2001, 1, 1, 12, tzinfo=UTC), 28
    for frequency, times in PERIODS.items():
        at, number, zone = begin, 0, periods.zone("UTC", "UTC")
        while at.year < begin.year + years:
            span = periods.period(frequency, at, zone)
            assert span is not None
            at, number = span[1], number + 1
        assert abs(number - times * years / 800) <= 1


# --- held against the rules ------------------------------------------------------------------------------------------

KEYS = ("a", "b", "c")
PLANNED = st.builds(Planned, st.integers(1, 4), st.sampled_from(list(TIMES)))


@st.composite
def pages(draw: st.DrawFn) -> tuple[TopicInfo, ...]:
    return tuple(
        topic(
            f"topic-{key}",
            draw(st.none() | PLANNED | PLANNED),
            channels=tuple(draw(st.lists(st.sampled_from(CHANNELS[:3]), min_size=1, unique=True))),
            basis=draw(st.sampled_from(["consent", "soft_opt_in", "legitimate_interest", "contract"])),
            private=draw(st.sampled_from([False, False, True])),
        )
        for key in KEYS
    )


PLACES = [("", ""), *(("", channel) for channel in CHANNELS[:3]), *((f"topic-{key}", "") for key in KEYS)]
ENDS = st.sampled_from([FAR, FAR + timedelta(days=40), datetime(2020, 1, 1, tzinfo=UTC)])


@st.composite
def states(draw: st.DrawFn) -> ContactState:
    keys = [(f"topic-{key}", channel) for key in (*KEYS, "gone") for channel in CHANNELS[:3]]
    said = st.sampled_from([SUBSCRIBED, SUBSCRIBED, SUBSCRIBED, UNSUBSCRIBED])
    choices = draw(st.dictionaries(st.sampled_from([*keys, *PLACES[1:4]]), said))
    seldom = st.sampled_from([False] * 7 + [True])
    return state(
        choices=choices,
        pending=frozenset(draw(st.lists(st.sampled_from(keys), max_size=2))) - {*yes(*choices)},
        until=draw(st.dictionaries(st.sampled_from(keys), ENDS, max_size=2)),
        frequencies=draw(st.dictionaries(st.sampled_from(PLACES), st.sampled_from(FREQUENCIES), max_size=3)),
        pauses=draw(st.dictionaries(st.sampled_from(PLACES), ENDS.map(Pause), max_size=2)),
        country=draw(st.sampled_from(["", "DE", "US"])),
        timezone="UTC",
        opted_out=draw(seldom),
        suppressed=draw(seldom),
    )


def facts_of(held: ContactState, info: TopicInfo, channel: str, sent: Mapping[Key, datetime]) -> Facts:
    """What senders' rules look at, put together apart from the outlook."""
    scopes = {"all": ("", ""), "channel": ("", channel), "topic": (info.key, "")}
    return Facts(
        contact=held.id,
        standing=Standing.KNOWN,
        country=held.country,
        timezone=held.timezone,
        suppressed=held.suppressed,
        topic=TopicFacts(frozenset(info.channels), info.basis),
        opted_out=held.opted_out,
        channel_choice=held.choices.get(("", channel), ""),
        choice=held.choices.get((info.key, channel), ""),
        pending=(info.key, channel) in held.pending,
        choice_until=held.until.get((info.key, channel)),
        pauses=tuple(
            PauseFact(name, held.pauses[key].until) for name, key in scopes.items() if key in held.pauses
        ),
        caps=tuple(
            CapFact(name, held.frequencies[key], sent.get(key))
            for name, key in scopes.items()
            if key in held.frequencies
        ),
    )


def period_of(at: datetime, per: Per) -> Any:
    if per == "week":
        return at.isocalendar()[:2]
    return (at.year, {"month": at.month, "quarter": (at.month - 1) // 3, "year": 0}[per])


def year_of_sends(held: ContactState, infos: Iterable[TopicInfo]) -> dict[tuple[str, str], int]:
    """How many of each topic reach her by each channel, if everybody sends as often as was planned and the rules let.

    What was not planned is sent every day.
    """
    asked = prepared(RULES, ())
    sent: dict[Key, datetime] = {}
    counts: dict[tuple[str, str], int] = {}
    used: dict[Any, int] = {}
    offers = [(info, channel) for info in infos for channel in info.channels]
    # Who is refused today is refused every day: nothing of it ends before the year 2100.
    offers = [
        (info, channel)
        for info, channel in offers
        if judge(facts_of(held, info, channel, {}), Question(info.key, channel, FIRST), asked).verdict
        is Verdict.SEND
    ]
    for day, (info, channel) in itertools.product(range(DAYS), offers):
        at = FIRST + timedelta(days=day)
        quota = (info.key, channel, info.planned and period_of(at, info.planned.per))
        if info.planned and used.get(quota, 0) >= info.planned.number:
            continue
        question = Question(info.key, channel, at)
        if judge(facts_of(held, info, channel, sent), question, asked).verdict is not Verdict.SEND:
            continue
        used[quota] = used.get(quota, 0) + 1
        counts[info.key, channel] = counts.get((info.key, channel), 0) + 1
        sent.update(dict.fromkeys([("", ""), ("", channel), (info.key, "")], at))
    return counts


def found_on(infos: tuple[TopicInfo, ...], held: ContactState) -> list[Coming]:
    """What the outlook's sentences are made of."""
    shown = page(*infos)
    held = module.today(held)
    if held.opted_out or ("", "") in held.pauses:
        return []
    return coming(module._open(shown, held), held, module._answers(held))


def seen(infos: Iterable[TopicInfo], held: ContactState) -> list[TopicInfo]:
    return [info for info in infos if not info.private or module.visibility.is_open(held, info.key)]


@pytest.mark.property
@examples(40)
@given(pages(), states())
def test_no_more_comes_in_a_year_than_she_is_told(infos: tuple[TopicInfo, ...], held: ContactState) -> None:
    infos = tuple(seen(infos, held))
    planned = {info.key for info in infos if info.planned}
    counts = year_of_sends(held, infos)
    by_channel = {channel: one for one in found_on(infos, held) for channel in one.channels}
    assert {channel for _topic, channel in counts} <= by_channel.keys()
    for one in by_channel.values():
        number, per = spoken(one.rate) if one.rate else (0, "year")
        told_of = [
            count
            for (key, channel), count in counts.items()
            if channel in one.channels and (one.limit or key in planned)
        ]
        assert sum(told_of) <= number * TIMES[per] / 800
        others = {key for key, channel in counts if channel in one.channels and key not in planned}
        assert one.limit or len(others) <= one.unplanned
        assert one.got >= len({(key, channel) for key, channel in counts if channel in one.channels})


@pytest.mark.property
@examples(60)
@given(pages(), states())
def test_without_limits_it_is_what_is_planned_and_no_more(
    infos: tuple[TopicInfo, ...], held: ContactState
) -> None:
    held = replace(held, frequencies={})
    infos = tuple(seen(infos, held))
    counts = year_of_sends(held, infos)
    for one in found_on(infos, held):
        (channel,) = one.channels
        rates = [
            info.planned.number * TIMES[info.planned.per]
            for info in infos
            if info.planned and (info.key, channel) in counts
        ]
        assert (one.rate, one.unplanned) == (sum(rates), one.got - len(rates))


@pytest.mark.property
@examples(100)
@given(pages(), states())
def test_no_topic_is_named_that_she_does_not_get(infos: tuple[TopicInfo, ...], held: ContactState) -> None:
    pause = compiled(
        "pause",
        replace(context(), topics=dict(enumerate(infos, start=1))),
        topics=[SimpleNamespace(pk=pk) for pk in range(1, len(infos) + 1)],
    )
    said = " ".join(told(page(*infos, pause=pause), held))
    asked = prepared(RULES, ())
    for info in infos:
        verdicts = {
            judge(
                facts_of(held, info, channel, {}), Question(info.key, channel, timezone.now()), asked
            ).verdict
            for channel in info.channels
        }
        if info.private or verdicts == {Verdict.REFUSE}:
            assert info.label not in said


@pytest.mark.property
@examples(100)
@given(pages(), states(), st.sampled_from(PLACES))
def test_a_pause_never_makes_it_more(infos: tuple[TopicInfo, ...], held: ContactState, place: Key) -> None:
    def bounds(of: ContactState) -> tuple[dict[str, float], float]:
        found = found_on(infos, of)
        each = {
            channel: number * TIMES[per] if one.rate and not one.unplanned else float("inf")
            for one in found
            for number, per in [spoken(one.rate) if one.rate else (0, "year")]
            for channel in one.channels
        }
        return each, sum(one.rate if one.rate and not one.unplanned else float("inf") for one in found)

    before, all_before = bounds(held)
    after, all_after = bounds(replace(held, pauses={**held.pauses, place: Pause(FAR + timedelta(days=99))}))
    assert all(after[channel] <= before.get(channel, 0) for channel in after)
    assert all_after <= all_before


@pytest.mark.property
@examples(100)
@given(pages(), states(), st.booleans())
def test_it_is_short_in_any_state(infos: tuple[TopicInfo, ...], held: ContactState, signal: bool) -> None:
    with translation.override("de"):  # the page's language holds, whatever is active
        said = told(page(*infos, topic("orders", transactional=True)), held, signal=signal)
    assert 1 <= len(said) <= 9
    assert len(set(said)) == len(said)
    assert all(text.endswith(".") and "%" not in text and "None" not in text for text in said)
