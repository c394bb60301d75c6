"""When the next one comes, and what comes after a pause: only what is planned, and what the rules will let through then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from hypothesis import given, strategies as st

from tests.blocks.conftest import compiled, context, state
from tests.centers.test_answers import snapshot
from tests.centers.test_outlook import (
    NEWS,
    OFFERS,
    facts_of,
    page,
    pages,
    seen,
    states,
    told,
    topic,
    weekly,
    yes,
)
from tests.properties import examples
from wagtail_prefs.centers import outlook as module
from wagtail_prefs.centers.outlook import outlook
from wagtail_prefs.contacts.rules import effective
from wagtail_prefs.decisions.rules import RULES, judge, prepared
from wagtail_prefs.decisions.values import Question, Verdict
from wagtail_prefs.topics.calendar import slots
from wagtail_prefs.values import ContactState, Key, Pause, Planned, SendDays, TopicInfo

#: A Wednesday at noon.
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BOTH = yes(("news", "email"), ("offers", "email"))
THURSDAYS = Planned(1, "week", SendDays((4,)))
FIRST_TUESDAYS = Planned(1, "month", SendDays((2,), (1,)))
NEWS_ON, OFFERS_ON = (
    topic("news", THURSDAYS, channels=("email",)),
    topic("offers", FIRST_TUESDAYS, channels=("email",)),
)


@pytest.fixture(autouse=True)
def _now(settings: Any) -> Any:
    settings.TIME_ZONE = "Europe/Berlin"
    with time_machine.travel(NOW, tick=False):
        yield


def first(*topics: TopicInfo, **fields: Any) -> str:
    return told(page(*topics), state(choices=BOTH, **fields))[0]


# --- the next one ----------------------------------------------------------------------------------------------------


def test_the_next_one_is_said_with_its_day() -> None:
    assert first(NEWS_ON) == "E-mail: about 1 mail a week. The next one is planned for Thursday, November 26."
    assert (
        first(OFFERS_ON) == "E-mail: about 1 mail a month. The next one is planned for Tuesday, December 1."
    )
    assert first(NEWS_ON, OFFERS_ON).endswith("The next one is planned for Thursday, November 26.")


def test_of_today_it_is_said_that_it_may_have_come() -> None:
    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        assert first(NEWS_ON).endswith("One is planned for today, the next one for Thursday, December 3.")
        assert first(NEWS_ON, OFFERS_ON).endswith(
            "One is planned for today, the next one for Tuesday, December 1."
        )
        assert "News: one is planned for today, the next one for Thursday, December 3." in first(
            NEWS_ON, OFFERS
        )


def test_another_year_is_said() -> None:
    in_may = topic(
        "news", Planned(1, "year", SendDays(dates=(2,), months=(5,))), channels=("email",), frequencies=()
    )
    assert first(in_may).endswith("The next one is planned for Sunday, May 2, 2027.")


def test_beside_what_comes_on_no_day_the_topic_is_named() -> None:
    for other in (OFFERS, topic("offers")):
        said = first(NEWS_ON, other)
        assert said.endswith(" News: the next one is planned for Thursday, November 26.")
    private = topic("offers", private=True, channels=("email",))
    assert first(NEWS_ON, private).endswith(" News: the next one is planned for Thursday, November 26.")


def test_a_private_topic_is_not_named() -> None:
    hidden = replace(NEWS_ON, private=True)
    assert first(hidden, OFFERS) == "E-mail: about 3 mails a week."
    # Without its name nothing is told of it but a number, as before.
    assert first(hidden).endswith("The next one is planned for Thursday, November 26.")


def test_the_language_and_the_days_are_hers() -> None:
    shown = replace(page(NEWS_ON), locale="de", digest="de")
    held = state(choices=BOTH)
    # The page is German, whatever is spoken around it.
    with translation.override("en"):
        assert told(shown, held)[0].endswith(" Die nächste ist geplant für Donnerstag, den 26. November.")


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        ("Europe/Berlin", "2026-11-26T23:30+01:00", "One is planned for today, the next one for Thursday, December 3."),
        ("America/Los_Angeles", "2026-11-26T02:00+01:00", "The next one is planned for Thursday, November 26."),
        # At noon in Berlin it is Friday there.
        ("Pacific/Auckland", "2026-11-25T12:00+01:00", "The next one is planned for Friday, November 27."),
        ("Pacific/Auckland", "2026-11-26T13:00+01:00", "One is planned for today, the next one for Friday, December 4."),
        ("../etc", "2026-11-25T12:00+01:00", "The next one is planned for Thursday, November 26."),
    ],
)  # fmt: skip
def test_the_day_is_that_of_her_calendar(zone: str, at: str, expected: str) -> None:
    with time_machine.travel(datetime.fromisoformat(at), tick=False):
        assert first(NEWS_ON, timezone=zone).endswith(expected)


@pytest.mark.parametrize(
    ("here", "there", "at"),
    [
        ("Europe/Berlin", "Pacific/Auckland", "2027-03-28T12:00+13:00"),
        ("Europe/London", "Pacific/Fiji", "2027-03-28T12:00+12:00"),
        ("Pacific/Auckland", "UTC", "2027-09-25T12:00+00:00"),
    ],
)
def test_two_planned_days_are_one_where_she_lives_as_clocks_change(
    settings: Any, here: str, there: str, at: str
) -> None:
    """The noons of Saturday and Sunday are the first and the last hour of one day of hers."""
    settings.TIME_ZONE = here
    daily = topic("news", Planned(7, "week", SendDays((1, 2, 3, 4, 5, 6, 7))), channels=("email",))
    now = datetime.fromisoformat(at)
    tomorrow = now.date() + timedelta(days=1)
    with time_machine.travel(now, tick=False):
        said = first(daily, timezone=there)
    expected = f"{date_format(tomorrow, 'l')}, {date_format(tomorrow, 'MONTH_DAY_FORMAT')}."
    assert said.endswith(f"One is planned for today, the next one for {expected}")


@pytest.mark.parametrize("key", [("", ""), ("", "email"), ("news", "")])
def test_with_a_frequency_or_a_pause_no_day_is_promised(key: Key) -> None:
    assert "planned" not in first(NEWS_ON, frequencies={key: "daily"})
    assert "planned" in first(NEWS_ON, frequencies={key: "as_it_happens"})
    assert "planned" in first(NEWS_ON, frequencies={("", "sms"): "daily", ("offers", ""): "daily"})
    held = state(choices=BOTH, pauses={key: Pause(NOW + timedelta(days=3))})
    assert not [text for text in told(page(NEWS_ON), held) if "planned" in text]


def test_a_consent_that_ends_before_promises_no_day() -> None:
    ends = {("news", "email"): NOW + timedelta(days=5)}
    assert first(NEWS_ON, until=ends) == "E-mail: about 1 mail a week."
    ends = {("news", "email"): NOW + timedelta(days=50)}
    assert "planned" in first(NEWS_ON, until=ends)


def test_snapshots_whose_days_make_no_sense_are_told_of_without_them() -> None:
    shown = page(NEWS_ON)
    (spec,) = shown.specs
    rules = {**spec.rules, "planned_on": {"news": {"weekdays": [1, 2]}}}
    found = told(replace(shown, specs=(replace(spec, rules=rules),)), state(choices=BOTH))
    assert found[0] == "E-mail: about 1 mail a week."


def test_who_gets_nothing_is_promised_no_day() -> None:
    assert told(page(NEWS_ON), state()) == ["E-mail: nothing."]
    assert "planned for" not in " ".join(told(page(NEWS_ON), state(choices=BOTH, opted_out=True)))


WITH_DAYS = st.sampled_from(
    [
        THURSDAYS,
        FIRST_TUESDAYS,
        Planned(2, "week", SendDays((3, 7))),
        Planned(2, "month", SendDays(dates=(25, 26))),
        Planned(1, "quarter", SendDays((5,), (5,), months=(3, 6, 9, 12))),
    ]
)
ZONES = st.sampled_from(["", "UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"])


@st.composite
def dated_pages(draw: st.DrawFn) -> tuple[TopicInfo, ...]:
    return tuple(
        replace(info, planned=draw(WITH_DAYS)) if draw(st.integers(0, 3)) else info for info in draw(pages())
    )


@pytest.mark.property
@examples(80)
@given(dated_pages(), states(), ZONES, st.integers(0, 24 * 40))
def test_the_day_that_is_said_is_the_first_that_the_rules_will_let_through(
    infos: tuple[TopicInfo, ...], held: ContactState, zone: str, hours: int
) -> None:
    """Held against a calendar that is walked day by day, and the rules asked anew on each."""
    held = replace(held, timezone=zone)
    her = ZoneInfo(zone or settings.TIME_ZONE)
    with time_machine.travel(NOW + timedelta(hours=hours), tick=False):
        now = datetime.now(UTC)
        today = now.astimezone(her).date()
        found = outlook(page(*infos), held)
    asked = prepared([rule for rule in RULES if not isinstance(rule, module.Quiet)], ())
    for channel in ("email", "sms", "push"):
        (text,) = [
            one.text for one in found if one.text.startswith(f"{module.CHANNEL_LABELS[channel]}:")
        ] or [""]
        by_topic: dict[str, set[date]] = {}
        for info in seen(infos, held):
            if not info.planned or not info.planned.on or channel not in info.channels:
                continue
            for slot in slots(info.planned, today - timedelta(days=2), today + timedelta(days=100)):
                noon = datetime.combine(slot.first, time(12), ZoneInfo(settings.TIME_ZONE))
                question = Question(info.key, channel, max(noon.astimezone(UTC), now))
                if judge(facts_of(held, info, channel, {}), question, asked).verdict is Verdict.SEND:
                    by_topic.setdefault(info.label, set()).add(noon.astimezone(her).date())
        if "planned for" in text:
            named = [label for label in by_topic if f". {label}: " in text]
            days = set().union(*(by_topic[label] for label in named or by_topic))
            ahead = sorted(day for day in days if day >= today)
            then = next(day for day in ahead if day != today)
            said = date_format(then, "MONTH_DAY_FORMAT" if then.year == today.year else "DATE_FORMAT")
            assert text.endswith(f" {date_format(then, 'l')}, {said}.")
            assert ("planned for today" in text) == (today in days)
            assert not {"", "email", "sms", "push"} & {
                key[1]
                for key, code in held.frequencies.items()
                if code != "as_it_happens" and key in {("", ""), ("", channel)}
            }


# --- after a pause ---------------------------------------------------------------------------------------------------


def test_after_a_pause_it_is_said_by_channel() -> None:
    held = state(
        choices=BOTH | yes(("news", "sms"), ("offers", "sms")),
        pauses={("", ""): Pause(NOW + timedelta(days=9))},
    )
    assert told(page(NEWS, OFFERS), held) == [
        "Paused until Dec. 4, 2026.",
        "From Dec. 4, 2026: about 3 mails a week, about 3 text messages a week.",
    ]
    limited = replace(held, frequencies={("", "email"): "weekly"})
    assert told(page(NEWS, OFFERS), limited) == [
        "Paused until Dec. 4, 2026.",
        "From Dec. 4, 2026, E-mail: at most one a week, as you asked.",
        "From Dec. 4, 2026, Text message: about 3 text messages a week.",
    ]
    assert "From Dec. 4, 2026, E-mail: you get 2 of 2 topics." in told(
        page(topic("news"), topic("offers")), held
    )


def test_who_gets_nothing_is_told_of_nothing_after_the_pause() -> None:
    held = state(pauses={("", ""): Pause(NOW + timedelta(days=9))})
    assert told(page(NEWS, OFFERS), held) == ["Paused until Dec. 4, 2026."]


def test_a_consent_that_ends_in_the_pause_is_not_counted_after_it() -> None:
    held = state(
        choices=BOTH,
        until={("offers", "email"): NOW + timedelta(days=2)},
        pauses={("", ""): Pause(NOW + timedelta(days=9))},
    )
    assert told(page(NEWS, OFFERS), held)[1] == "From Dec. 4, 2026: about 1 mail a week."


def test_a_pause_that_holds_nothing_back_needs_no_after() -> None:
    held = state(choices=BOTH, pauses={("", "sms"): Pause(NOW + timedelta(days=9))})
    assert [text for text in told(page(NEWS, OFFERS), held) if text.startswith("From")] == []


def test_it_is_the_first_end_that_changes_something() -> None:
    held = state(
        choices=BOTH,
        pauses={
            ("", "sms"): Pause(NOW + timedelta(days=1)),
            ("news", ""): Pause(NOW + timedelta(days=9)),
            ("offers", ""): Pause(NOW + timedelta(days=19)),
        },
    )
    assert [text for text in told(page(NEWS, OFFERS), held) if text.startswith("From")] == [
        "From Dec. 4, 2026: about 1 mail a week."
    ]


@pytest.mark.property
@examples(80)
@given(pages(), states())
def test_after_the_pause_she_reads_what_she_was_told(
    infos: tuple[TopicInfo, ...], held: ContactState
) -> None:
    """On the day itself, nobody having changed anything, the page says no less and no more than it had said before."""
    found = [one.text for one in outlook(page(*infos), held) if one.kind == "after"]
    if not found:
        return
    held_now = module.today(held)
    ends = {
        date_format(module.day_it_ends(pause.until, held.timezone), "DATE_FORMAT"): pause.until
        for pause in sorted(held_now.pauses.values(), key=lambda pause: pause.until)
    }
    (day,) = [day for day in ends if found[0].startswith(f"From {day}")]
    then = effective(held_now, ends[day])
    before, after = (
        {module._sentence("en", replace(one, asked=0)) for one in _comes(infos, at)}
        for at in (held_now, then)
    )
    for text in found:
        rest = text.removeprefix(f"From {day}")
        if rest.startswith(", "):
            assert rest.removeprefix(", ") in after - before
        else:
            assert all(part.strip(" .") in " ".join(after) for part in rest.removeprefix(": ").split(","))


def _comes(infos: tuple[TopicInfo, ...], held: ContactState) -> list[module.Coming]:
    shown = page(*infos)
    if ("", "") in held.pauses:
        return []
    return module.coming(module._open(shown, held), held, module._answers(held))


def test_what_it_looks_at_is_kept_for_the_next_visitor() -> None:
    """No statement, as pytest would refuse it here: these tests have no database."""
    shown = snapshot("topics", topics=compiled("topics", replace(context(), topics={1: NEWS_ON})))
    assert outlook(shown, state(choices=BOTH)) == outlook(shown, state(choices=BOTH))


def test_a_plan_of_no_days_is_a_plan_as_before() -> None:
    assert first(topic("news", weekly(), channels=("email",))) == "E-mail: about 1 mail a week."
