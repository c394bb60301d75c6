"""What holds for the rules whatever the facts: restrictions restrict, and waits end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, event, given, strategies as st

from tests.properties import examples
from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.rules import effective
from wagtail_prefs.decisions import periods
from wagtail_prefs.decisions.facts import LOOK_BACK
from wagtail_prefs.decisions.rules import LAST, RULES, Asked, Capped, Consent, Quiet, judge, quiet_until
from wagtail_prefs.decisions.values import (
    CapFact,
    Facts,
    PauseFact,
    Place,
    Question,
    Ruling,
    Standing,
    TopicFacts,
    Verdict,
)
from wagtail_prefs.law import services as law
from wagtail_prefs.values import CHANNELS, FREQUENCIES, ContactState, Pause

from .cases import World, cases

WAITS = {Verdict.DEFER, Verdict.DIGEST}
STRICTNESS = {Verdict.SEND: 0, Verdict.DEFER: 1, Verdict.DIGEST: 1, Verdict.REFUSE: 2}
SCOPES = ("all", "channel", "topic")
TICK = timedelta(microseconds=1)

#: Half an hour here, a quarter there, summer at midnight, a day that was skipped, no zone at all.
ZONES = [
    "", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Apia", "Pacific/Kiritimati", "Africa/Cairo", "Mars/Olympus",
]  # fmt: skip
#: Around the edges of daylight saving, of months, quarters, leap days and the year.
EDGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 9, 6, 4, tzinfo=UTC),
    datetime(2026, 4, 5, 3, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 23, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC),
]  # fmt: skip


def moments() -> st.SearchStrategy[datetime]:
    near = st.builds(
        lambda edge, off: edge + timedelta(minutes=off), st.sampled_from(EDGES), st.integers(-6000, 6000)
    )
    anywhen = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    return near | anywhen


def around(at: datetime) -> st.SearchStrategy[datetime]:
    """Moments near one, and that one itself."""
    minutes = st.integers(-60 * 24 * 40, 60 * 24 * 40)
    return minutes.map(lambda off: at + timedelta(minutes=off)) | st.just(at)


CLOCK = st.builds(lambda hour, half: f"{hour:02}:{30 * half:02}", st.integers(0, 23), st.integers(0, 1))
NIGHT = st.tuples(CLOCK, CLOCK)


Situation = tuple[Facts, Question, dict[str, Any]]


@st.composite
def willing(draw: st.DrawFn) -> Situation:
    """A contact who said yes to what she is asked about, with pauses and frequencies, and the site's quiet hours."""
    at = draw(moments())
    near = around(at)
    channel = draw(st.sampled_from(["email", "sms"]))
    for_good = st.just(datetime(9999, 12, 31, tzinfo=UTC))
    pauses = draw(st.dictionaries(st.sampled_from(SCOPES), near | near | near | for_good, max_size=2))
    caps = draw(
        st.dictionaries(
            st.sampled_from(SCOPES), st.tuples(st.sampled_from(FREQUENCIES), st.none() | near), max_size=2
        )
    )
    facts = Facts(
        contact=uuid.UUID(int=1),
        standing=Standing.KNOWN,
        country=draw(st.sampled_from(["", "DE", "US", "RU", "QQ"])),
        timezone=draw(st.sampled_from(ZONES)),
        topic=TopicFacts(frozenset({"email", "sms"}), draw(st.sampled_from(["consent", "contract"]))),
        choice="subscribed",
        pauses=tuple(PauseFact(scope, until) for scope, until in pauses.items()),
        caps=tuple(CapFact(scope, frequency, last) for scope, (frequency, last) in caps.items()),
    )
    hours = {channel: draw(NIGHT)} if draw(st.booleans()) else {}
    return facts, Question("news", channel, at), hours


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Anything that can stand in a database."""
    facts, question, hours = draw(willing())
    near = around(question.at)
    spoilt = {
        "standing": st.sampled_from(Standing),
        "suppressed": st.booleans(),
        "email_dead": st.booleans(),
        "opted_out": st.booleans(),
        "channel_choice": st.sampled_from(["", "subscribed", "unsubscribed"]),
        "pending": st.booleans(),
        "choice": st.sampled_from(["", "subscribed", "unsubscribed"]),
        "choice_until": near,
        "place": st.sampled_from(Place),
        "topic": st.none()
        | st.builds(
            TopicFacts,
            st.sampled_from([frozenset({"email"}), frozenset({"sms"}), frozenset({"email", "sms"})]),
            st.sampled_from(["consent", "soft_opt_in", "legitimate_interest", "contract"]),
            transactional=st.booleans(),
            archived=st.booleans(),
        ),
    }
    names = draw(st.sets(st.sampled_from(sorted(spoilt)), max_size=3))
    return facts._replace(**{name: draw(spoilt[name]) for name in sorted(names)}), question, hours


LAW = law.load()


def ruling(facts: Facts, question: Question, hours: dict[str, Any]) -> Ruling:
    ready = {Consent: LAW, Capped: "Europe/Vienna", Quiet: (hours, "Europe/Vienna")}
    return judge(facts, question, Asked.of([(rule, ready.get(type(rule))) for rule in RULES]))


Restriction = Callable[[Facts, Question, dict[str, Any]], tuple[Facts, dict[str, Any]]]


@st.composite
def restrictions(draw: st.DrawFn) -> tuple[str, Restriction]:
    """Something a contact or a site does to get less mail."""
    minutes, night = timedelta(minutes=draw(st.integers(1, 60 * 24 * 90))), draw(NIGHT)
    scope, frequency = draw(st.sampled_from(SCOPES)), draw(st.sampled_from(FREQUENCIES))

    def paused(facts: Facts, question: Question) -> Facts:
        others = [pause for pause in facts.pauses if pause.scope != scope]
        until = max([question.at + minutes, *(p.until for p in facts.pauses if p.scope == scope)])
        return facts._replace(pauses=(*others, PauseFact(scope, until)))

    def capped(facts: Facts, question: Question) -> Facts:
        return facts._replace(caps=(*facts.caps, CapFact(scope, frequency, question.at - minutes / 50)))

    def unconfirmed(facts: Facts, _question: Question) -> Facts:
        choice = "" if facts.choice == "subscribed" else facts.choice
        return facts._replace(choice=choice, pending=True, choice_until=None)

    known: dict[str, Restriction] = {
        "opts out": lambda f, q, h: (f._replace(opted_out=True), h),
        "leaves the channel": lambda f, q, h: (
            f._replace(
                channel_choice="unsubscribed",
                choice=f.choice and "unsubscribed",
                pending=False,
                choice_until=None,
            ),
            h,
        ),
        "unsubscribes": lambda f, q, h: (f._replace(choice="unsubscribed", choice_until=None), h),
        "pauses": lambda f, q, h: (paused(f, q), h),
        "caps": lambda f, q, h: (capped(f, q), h),
        "sleeps": lambda f, q, h: (f, {**h, q.channel: night} if q.channel not in h else h),
        "is suppressed": lambda f, q, h: (f._replace(suppressed=True), h),
        "dies": lambda f, q, h: (f._replace(email_dead=True), h),
        "did not confirm": lambda f, q, h: (unconfirmed(f, q), h),
        "is erased": lambda f, q, h: (f._replace(standing=Standing.ERASED), h),
        "is merged": lambda f, q, h: (f._replace(standing=Standing.MERGED), h),
        "loses her topic": lambda f, q, h: (f._replace(topic=f.topic and replace(f.topic, archived=True)), h),
    }
    name = draw(st.sampled_from(sorted(known)))
    return name, known[name]


@pytest.mark.property
@examples(250)
@given(situations(), restrictions())
def test_a_restriction_never_lets_more_through(
    situation: Situation, restriction: tuple[str, Restriction]
) -> None:
    facts, question, hours = situation
    name, restrict = restriction
    # What cannot be there by itself: an erased contact who is merged is erased.
    assume(facts.standing is Standing.KNOWN or name not in {"is erased", "is merged"})
    before = ruling(facts, question, hours)
    fewer, longer = restrict(facts, question, hours)
    after = ruling(fewer, question, longer)
    event(f"{before.verdict} -> {after.verdict}")
    assert STRICTNESS[after.verdict] >= STRICTNESS[before.verdict]
    if before.until and after.until:
        assert after.until >= before.until


@pytest.mark.property
@examples(250)
@given(willing() | situations())
def test_a_wait_ends_when_it_says_and_not_before(situation: Situation) -> None:
    facts, question, hours = situation
    first = ruling(facts, question, hours)
    event(first.reason)
    assert (first.until is not None) == (first.verdict in WAITS)
    if first.until is None:
        return
    until = first.until
    assert until > question.at
    if until < LAST:
        assert ruling(facts, replace(question, at=until), hours).verdict not in WAITS
    else:
        until = LAST
    assert ruling(facts, replace(question, at=until - TICK), hours).verdict != Verdict.SEND


@pytest.mark.property
@examples(250)
@given(willing() | situations())
def test_who_waits_for_as_long_as_she_is_told_gets_there_in_one_step(
    situation: Situation,
) -> None:
    """Asked at any moment of a wait, the answer is a wait for the same moment, or a refusal: nobody may slip through."""
    facts, question, hours = situation
    first = ruling(facts, question, hours)
    if first.until is not None and first.until < LAST:
        middle = question.at + (first.until - question.at) / 2
        second = ruling(facts, replace(question, at=middle), hours)
        assert second.verdict == Verdict.REFUSE or second.until == first.until


@pytest.mark.property
@examples(150)
@given(situations(), st.sampled_from(CHANNELS))
def test_what_is_always_sent_asks_only_whether_she_is_there(situation: Situation, channel: str) -> None:
    facts, question, hours = situation
    topic = TopicFacts(frozenset(CHANNELS), "consent", transactional=True)
    said = ruling(facts._replace(topic=topic), replace(question, channel=channel), hours)
    there = facts.standing is Standing.KNOWN and not (facts.email_dead and channel == "email")
    assert (said.verdict == Verdict.SEND) is there


@pytest.mark.property
@examples(150)
@given(situations())
def test_nobody_is_sent_marketing_without_a_yes_or_a_law_that_needs_none(
    situation: Situation,
) -> None:
    facts, question, hours = situation
    marketing = facts.topic is not None and not facts.topic.transactional
    if marketing and ruling(facts, question, hours).verdict != Verdict.REFUSE:
        assert facts.choice == "subscribed" or (
            facts.choice == "" and facts.topic and facts.topic.basis == "contract"
        )
        assert not facts.opted_out
        assert facts.channel_choice != "unsubscribed" or facts.choice == "subscribed"
        assert not facts.suppressed


@pytest.mark.property
@examples(150)
@given(willing() | situations())
def test_it_does_not_matter_whether_somebody_wrote_down_what_ended_by_itself(situation: Situation) -> None:
    """`effective` is what is written down, some time later, for systems that know no dates."""
    facts, question, hours = situation
    key = ("news", "email")
    state = ContactState(
        id=facts.contact,
        audience="",
        choices={key: facts.choice} if facts.choice else {},
        pending=frozenset({key} if facts.pending else ()),
        until={key: facts.choice_until} if facts.choice_until and facts.choice != "unsubscribed" else {},
        pauses={(pause.scope, ""): Pause(pause.until) for pause in facts.pauses},
    )
    written = effective(state, question.at)
    later = facts._replace(
        choice=written.choices.get(key, ""),
        pending=key in written.pending,
        choice_until=written.until.get(key),
        pauses=tuple(PauseFact(scope, pause.until) for (scope, _), pause in written.pauses.items()),
    )
    assume(not (facts.pending and facts.choice == "subscribed"))  # no contact is both
    one, other = ruling(facts, question, hours), ruling(later, question, hours)
    assert (one.verdict, one.until) == (other.verdict, other.until)
    # A yes that ended by itself says so; the no that is written for it is told as any no is, of a topic or of a channel.
    assert one.reason == other.reason or (
        one.reason == "expired" and other.reason in {"unsubscribed", "channel_refused"}
    )


@pytest.mark.property
@examples(250)
@given(moments(), st.sampled_from(ZONES), st.sampled_from([f for f in FREQUENCIES if f != "as_it_happens"]))
def test_a_period_begins_nowhere_before_what_is_looked_back_to(
    at: datetime, zone: str, frequency: str
) -> None:
    span = periods.period(frequency, at, periods.zone(zone, "UTC"))
    assert span
    earliest = periods.begins_not_before(frequency, at)
    assert earliest <= span[0]
    assert earliest > at - LOOK_BACK


@pytest.mark.property
@examples(250)
@given(moments(), NIGHT, st.sampled_from(ZONES))
def test_nights_that_are_remembered_end_as_those_that_are_counted(
    at: datetime, night: tuple[str, str], zone: str
) -> None:
    tz = periods.zone(zone, "UTC")
    expected = periods.quiet_until(night, at, tz)
    event("night" if expected else "day")
    assert quiet_until(*night, at, tz) == expected


@pytest.mark.django_db
@pytest.mark.parametrize("rules", [[], ["sundays", "dislikes"]])
def test_an_answer_for_a_list_is_the_answer_for_each(
    rules: list[str], settings: Any, tell: Callable[[str], None]
) -> None:
    """Who is in the same circumstances is judged once, wherever she sleeps; a rule of the site sees each."""
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "QUIET_HOURS": {"email": ["21:00", "08:00"]} if rules else {"sms": ["21:00", "08:00"]},
        "DECISION_RULES": [f"tests.decisions.site_rules.{name}" for name in rules],
    }
    world = World(cases())
    for zone in ZONES:
        few = [
            contact
            for number, contact in enumerate(world.contacts.values())
            if number % 20 == ZONES.index(zone)
        ]
        Contact.objects.filter(pk__in=few).update(timezone=zone)
    everybody = list(world.contacts.values())
    questions = sorted(
        {
            (case.question.topic, case.question.channel, case.question.at)
            for case in cases()
            if case.question.topic != "weather"
        },
        key=str,
    )[:: 60 if rules else 24]
    for topic, channel, at in questions:
        together = decide(everybody, topic, channel, at=at)
        assert together == [decide(contact, topic, channel, at=at) for contact in everybody]
    tell(
        f"decisions for a list: {len(questions)} questions about {len(everybody)} contacts, together and alone"
    )
