"""A rest for a while: what is offered, what is refused in words, and the day on which it ends where she lives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.utils import timezone
from hypothesis import given, strategies as st
from rest_framework.serializers import ValidationError

from tests.blocks.conftest import compiled, state
from tests.properties import examples
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.pause import LENGTHS, LONGEST, PauseBlock, day_it_ends
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.centers.services import preferences
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.changes import PauseFor, Resume
from wagtail_prefs.contacts.rules import Act, apply, contradictions, merge
from wagtail_prefs.decisions.periods import add_period, start_of_day, zone
from wagtail_prefs.submissions.wishes import resolved
from wagtail_prefs.values import Actor, ActorType, Need, Pause, Spec, scope_to_key

SPEC = compiled("pause")
SCOPES = ["all", "channel:email", "channel:sms", "topic:news"]
DAYS = {
    "all": "until",
    "channel:email": "until--channel-email",
    "channel:sms": "until--channel-sms",
    "topic:news": "until--topic-news",
}
ZONES = ["", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Beirut", "no/such"]


def controls(**value: Any) -> dict[str, dict[str, Any]]:
    return {control["name"]: control for control in compiled("pause", **value).document["controls"]}


def valid(answers: Any, spec: Spec = SPEC) -> Any:
    return ObjectField(PauseBlock.fields(spec)).run_validation(answers)


def soon(days: int = 30) -> str:
    return (timezone.localdate() + timedelta(days=days)).isoformat()


def refusal(answers: Any) -> Any:
    with pytest.raises(ValidationError) as refused:
        valid(answers)
    return refused.value.detail


def test_everything_is_paused_with_one_button_a_length() -> None:
    found = controls()
    assert list(found)[:4] == [
        "for-p7d",
        "for-p3m",
        "until",
        "resume",
    ]  # from the shortest, whatever was ticked first
    assert found["for-p3m"]["label"] == "Pause for three months"
    assert found["for-p3m"]["do"] == {"answers": {"pauses": {"all": {"for": "P3M"}}}}
    answers = valid(found["for-p3m"]["do"]["answers"])
    assert PauseBlock.changes(SPEC, answers) == [PauseFor("", "", "P3M")]


def test_a_channel_and_a_topic_are_paused_by_themselves() -> None:
    picks = controls()["for"]
    assert (picks["cell"], picks["single"]) == ("one_of", True)
    # Neither what is always sent, nor what is archived, nor what not everybody may see.
    assert [(row["key"], row["label"]) for row in picks["rows"]] == [
        ("channel:email", "E-mail"),
        ("channel:sms", "Text message"),
        ("topic:news", "News"),
    ]
    assert [column["key"] for column in picks["columns"]] == ["P7D", "P3M"]
    answers = valid({"for": {"topic:news": "P7D"}, "until--channel-sms": soon()})
    assert PauseBlock.changes(SPEC, answers) == [
        PauseFor("news", "", "P7D"),
        PauseFor("", "sms", day=date.fromisoformat(soon())),
    ]
    assert set(SPEC.needs) == {
        Need("pause"),
        Need("pause", "", "email"),
        Need("pause", "", "sms"),
        Need("pause", "news"),
    }


@pytest.mark.parametrize("scope", SCOPES)
def test_a_pause_can_be_ended_as_long_as_it_holds(scope: str) -> None:
    resume = controls()[DAYS[scope].replace("until", "resume", 1)]
    assert resume["when"] == {"block": "b1", "control": f"pauses.{scope}.until", "not_in": [None]}
    answers = valid(resume["do"]["answers"])
    assert answers == {"pauses": {scope: None}}
    assert PauseBlock.changes(SPEC, answers) == [Resume(*scope_to_key(scope))]


def test_emptying_the_day_ends_the_pause() -> None:
    for empty in (None, ""):
        assert PauseBlock.changes(SPEC, valid({"until": empty})) == [Resume("", "")]


def test_without_days_to_choose_the_end_is_still_shown() -> None:
    day = controls(dates=False)["until"]
    assert day["locked"]
    assert day["when"] == {"block": "b1", "control": "pauses.all.until", "not_in": [None]}
    assert controls()["until"]["locked"] is None


def test_without_lengths_there_are_days_only() -> None:
    assert list(controls(lengths=[], channels=["sms"], topics=[])) == [
        "until",
        "resume",
        "until--channel-sms",
        "resume--channel-sms",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"pauses": {"all": {"for": "P1M"}}},  # not offered here
        {"pauses": {"all": {"for": "P3M", "until": "2027-03-03"}}},
        {"pauses": {"all": {}}},
        {"pauses": {"all": {"until": None}}},
        {"pauses": {"all": {"until": ""}}},
        {"pauses": {"all": "P3M"}},
        {"pauses": {"all": True}},
        {"pauses": {"channel:post": {"for": "P3M"}}},
        {"pauses": {"topic:orders": {"for": "P3M"}}},
        {"pauses": None},
        {"for": {"all": "P3M"}},
        {"for": {"topic:news": None}},
        {"for": {"topic:news": "P1M"}},
        {"until--topic-orders": "2027-03-03"},
    ],
)
def test_what_is_not_offered_is_refused(given: Any) -> None:
    assert refusal(given)


@pytest.mark.parametrize(
    "day",
    [
        "2027-02-30",
        "03.03.2027",
        "20270303",
        "2027-W10-3",
        "2027-3-3",
        "\u0662027-03-03",
        "x" * 9999,
        20270303,
        [],
        True,
    ],
)
def test_what_is_no_day_is_refused_in_words(day: Any) -> None:
    for answers in ({"until": day}, {"pauses": {"all": {"until": day}}}):
        assert "This is no date." in str(refusal(answers))


def test_days_that_are_over_or_too_far_are_refused_in_words() -> None:
    last = timezone.localdate() + LONGEST
    assert valid({"until": last.isoformat()})
    assert "five years" in str(refusal({"until": (last + timedelta(days=1)).isoformat()}))
    assert "five years" in str(refusal({"until": "9999-12-31"}))
    assert "This day is over." in str(refusal({"until": soon(-1)}))
    assert valid({"until": soon(0)})  # where she lives it may still be yesterday


def test_a_length_and_a_day_for_one_thing_contradict_each_other() -> None:
    answers = valid({"for": {"topic:news": "P3M"}, "until--topic-news": soon()})
    assert contradictions(PauseBlock.changes(SPEC, answers))
    same = valid({"pauses": {"topic:news": {"until": soon()}}, "until--topic-news": soon()})
    assert PauseBlock.changes(SPEC, same) == [PauseFor("news", "", day=date.fromisoformat(soon()))]


def test_the_editor_is_told_what_is_missing() -> None:
    block = PauseBlock()
    nothing = {"lengths": [], "dates": False, "overall": False, "channels": [], "topics": []}
    assert set(block.problems(nothing)) == {"lengths", "overall"}
    assert block.problems({**nothing, "dates": True, "channels": ["sms"]}) == {}


def test_another_offer_does_not_show_a_pause_that_it_cannot_name() -> None:
    held = state(pauses={("", "post"): Pause(datetime(2027, 3, 3, tzinfo=UTC))})
    assert PauseBlock.initial(SPEC, held) == {}


@pytest.mark.parametrize("name", ZONES)
def test_the_zone_is_the_one_that_a_save_goes_by(name: str) -> None:
    day = date(2027, 3, 28)
    assert day_it_ends(start_of_day(day, zone(name, settings.TIME_ZONE)), name) == day


def test_a_pause_that_never_ends_has_a_day_as_well() -> None:
    assert day_it_ends(datetime.max.replace(tzinfo=UTC), "Asia/Tokyo") == date.max


wishes = st.one_of(
    st.sampled_from(["P3M", "P7D"]).map(lambda length: {"for": length}),
    st.integers(2, LONGEST.days).map(lambda days: {"until": soon(days)}),
    st.none(),
)


@pytest.mark.property
@examples(200)
@given(
    asked=st.dictionaries(st.sampled_from(SCOPES), wishes, min_size=1),
    flat=st.booleans(),
    before=st.dictionaries(st.sampled_from(SCOPES), st.integers(2, 400)),
    name=st.sampled_from(ZONES),
)
def test_what_was_asked_for_is_what_is_shown_after_the_save(
    asked: dict[str, Any], flat: bool, before: dict[str, int], name: str
) -> None:
    """By the canonical answer as by the controls; and showing it again changes nothing."""
    now = timezone.now()
    tz = zone(name, settings.TIME_ZONE)
    held = state(
        timezone=name,
        pauses={
            scope_to_key(scope): Pause(start_of_day(timezone.localdate() + timedelta(days=days), tz))
            for scope, days in before.items()
        },
    )
    answers = valid(as_controls(asked) if flat else {"pauses": asked})
    after = save(held, answers, now)
    shown = PauseBlock.initial(SPEC, after)
    today = now.astimezone(tz).date()
    for scope in SCOPES:
        wish = asked.get(scope, "untouched")
        until = shown.get("pauses", {}).get(scope, {}).get("until")
        assert shown.get(DAYS[scope]) == until
        if wish == "untouched":
            assert until == (soon(before[scope]) if scope in before else None)
        elif wish is None:
            assert until is None
        elif "until" in wish:
            assert until == wish["until"]
        else:
            assert until == add_period(now, wish["for"], tz).astimezone(tz).date().isoformat()
            assert date.fromisoformat(until) > today
    assert save(after, valid(shown), now) == after


def as_controls(asked: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for scope, wish in asked.items():
        if wish is None:
            answers[DAYS[scope]] = None
        elif "until" in wish:
            answers[DAYS[scope]] = wish["until"]
        elif scope == "all":
            answers["pauses"] = {"all": wish}
        else:
            answers.setdefault("for", {})[scope] = wish["for"]
    return answers


def save(held: Any, answers: Any, now: datetime) -> Any:
    act = Act(Actor(ActorType.SUBJECT_SESSION), now)
    changes = resolved(PauseBlock.changes(SPEC, answers), held, now)
    assert not contradictions(changes)
    accepted, yielded = merge(held, changes, held.version, act)
    assert not yielded
    return apply(held, accepted, act)[0]


def test_every_length_is_one_that_a_save_can_count() -> None:
    now = datetime(2027, 1, 31, 12, tzinfo=UTC)
    ends = [add_period(now, length, ZoneInfo("Europe/Berlin")) for length in LENGTHS]
    assert ends == sorted(set(ends))


def drawn(held: Any) -> dict[str, Any]:
    """The controls on the page without JavaScript, by their names."""
    shown = make_snapshot(
        {
            "center": str(UUID(int=7)),
            "locale": "en",
            "direction": "ltr",
            "labels": {},
            "title": "",
            "page_url": "",
            "blocks": [SPEC.document],
        },
        [SPEC],
    )
    form = draw(shown.document, preferences(shown, held, "", assurance="link"))
    return {control.json["name"]: control for control in form.sections[0].controls}


def test_the_page_says_when_a_pause_ends_and_offers_to_end_it() -> None:
    until = start_of_day(date.fromisoformat(soon()), zone("Asia/Tokyo", ""))
    found = drawn(state(timezone="Asia/Tokyo", pauses={("", "sms"): Pause(until)}))
    assert found["until--channel-sms"].field.value == soon()
    assert "resume--channel-sms" in found
    assert "resume" not in found
    assert found["until"].field.value == ""


def test_nothing_on_the_page_is_paused_that_is_not() -> None:
    assert not [name for name in drawn(state()) if name.startswith("resume")]
    over = drawn(state(pauses={("", ""): Pause(timezone.now() - timedelta(seconds=1))}))
    assert "resume" not in over
    assert over["until"].field.value == ""
