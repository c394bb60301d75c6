"""What somebody will get from now on, in plain words: the rules that senders ask, held against what is planned. Pure.

Each topic of the page is put before the rules of `decide` as a message that is about to go out now, on each of its
channels. What they let through is added up: no more than this comes, as long as nobody sends more than was planned.
Frequencies are limits on the sum, and pauses count as nothing until they end; a sentence says what comes then. Where it is
planned on which days a topic comes, and no frequency holds it back, she reads which one is next. Rules of the site are not asked: they may
want the database, and can only make it less. So is the hour of the day: what waits for the morning comes all the same.

A rate is a whole number of messages in 800 years, the shortest time that weeks, pairs of them, months and years all fit
into, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _, ngettext

from ..blocks.pause import day_it_ends
from ..blocks.words import CHANNEL_LABELS, LIMITS, how_often, in_order, listed
from ..contacts.rules import effective
from ..decisions import periods
from ..decisions.rules import RULES, Quiet, judge, prepared
from ..decisions.values import Facts, PauseFact, Question, Standing, TopicFacts, Verdict
from ..law import services as law
from ..law.services import Law
from ..topics import calendar
from ..values import (
    CHANNELS,
    SUBSCRIBED,
    ContactState,
    Key,
    Outlook,
    Per,
    Planned,
    controls_of,
    key_to_scope,
)
from . import visibility
from .answers import today
from .values import Snapshot, remembered

#: How often each time comes in 800 years, from the shortest that people count messages in.
TIMES: Mapping[Per, int] = {"week": 41742, "month": 9600, "quarter": 3200, "year": 800}
#: How many periods of each frequency there are in 800 years: one message in each is what it lets through.
PERIODS = {"daily": 292194, "weekly": 41742, "fortnightly": 20871, "monthly": 9600, "quarterly": 3200}

#: More sentences than this and nobody reads them: what can be left unsaid is.
MOST = 5

#: What a plan has of a day is no hour: noon where the sender is stands for it, and it is this day or the ones beside it in
#: other zones. So of as many days from yesterday on, at least two are not over anywhere.
_NOON, _AHEAD = time(12), 4

#: What the rules say without the hour of the day and without what was sent: only pauses can still ask to wait.
_PAUSED = Verdict.DEFER
_ANYBODY = UUID(int=0)
_RULES = tuple(rule for rule in RULES if not isinstance(rule, Quiet))


@dataclass(frozen=True, slots=True)
class Coming:
    """What comes by a channel, or by several that share one limit.

    `got` of the `offered` topics come now. `rate` is how much at most of those whose number is planned; `unplanned` are
    the others. `limit` is the frequency that she picked where it is less than what is planned or where that is not
    known; then `rate` is what it lets through of all of them. `asked` is what would come if she had picked none, where
    that is more and known.
    """

    channels: tuple[str, ...]
    got: int
    offered: int
    rate: int = 0
    unplanned: int = 0
    limit: str = ""
    asked: int = 0


@dataclass(frozen=True, slots=True)
class _Offer:
    """A topic on one channel; `blocks` are the blocks that offer it. `rate` is 0 where nothing is planned."""

    key: Key
    scope: Key  # the topic by itself
    blocks: tuple[str, ...]
    basis: str
    rate: int
    planned: Planned | None = None  # where its days are planned


class _Offers(NamedTuple):
    by_channel: Mapping[str, tuple[_Offer, ...]]
    keys: frozenset[Key]


#: What the rules say of a topic on a channel now: (topic, channel), the topic by itself, its legal basis.
Answer = Callable[[Key, Key, str], Verdict]


def outlook(snapshot: Snapshot, state: ContactState, *, signal: bool = False) -> list[Outlook]:
    """What will come, the most important first, in the snapshot's language.

    `signal`: her browser asks that her data is not sold or shared, and there are topics that this is about.
    """
    state = today(state)
    locale = snapshot.locale
    always = _always(snapshot, state)
    last = [Outlook(_always_sent(locale, always), "always")] if always else []
    if signal:
        last.append(Outlook(_plain(locale, "gpc"), "gpc"))
    if state.opted_out:
        return [Outlook(_plain(locale, "opted_out"), "opted_out"), *last]
    says = _answers(state)
    first = _pauses(snapshot, state, says) if state.pauses else []
    if ("", "") in state.pauses:
        return [*first, *_after(snapshot, state, [], MOST - len(first) - len(last)), *last]
    offers = _open(snapshot, state)
    comes = coming(offers, state, says)
    first += [
        Outlook(
            _sentence(locale, one) + _next(snapshot, offers, one, state, says),
            "rate" if one.rate else "topics",
        )
        for one in comes
    ]
    if state.pauses:
        first += _after(snapshot, state, comes, MOST - len(first) - len(last))
    if offers.keys and _elsewhere(offers, state, says):
        last.insert(0, Outlook(_plain(locale, "elsewhere"), "elsewhere"))
    nothing = _nothing(offers, state, says, comes)
    if nothing and len(first) + len(last) < MOST:
        first.append(Outlook(_nothing_comes(locale, nothing), "nothing"))
    return first + last


def coming(offers: _Offers, state: ContactState, says: Answer) -> list[Coming]:
    """What comes now, by channel; channels by which nothing comes are left out."""
    found = [_on(channel, of, state, says) for channel, of in offers.by_channel.items()]
    found = [one for one in found if one.got]
    code = state.frequencies.get(("", ""), "")
    overall = PERIODS.get(code)
    if overall is None:
        return [_limited(one, state) for one in found]
    limited = [_limited(one, state) for one in found]
    known = all(one.limit or not one.unplanned for one in limited)
    if len(found) < 2 or (known and sum(one.rate for one in limited) <= overall):
        return [_limited(one, state, code) for one in found]
    return [
        Coming(
            channels=tuple(channel for one in found for channel in one.channels),
            got=sum(one.got for one in found),
            offered=sum(one.offered for one in found),
            rate=overall,
            limit=code,
        )
    ]


def spoken(rate: int) -> tuple[int, Per]:
    """A rate as people count: the shortest time in which it is at least one and rounding up makes it a third more at most.

    Never less than the rate, and of two rates the lower one is never spoken as more.
    """
    numbers: dict[Per, int] = {per: -(-rate // times) for per, times in TIMES.items()}
    fits = (per for per, number in numbers.items() if 3 * number * TIMES[per] <= 4 * rate)
    per: Per = next(fits, "year")
    return numbers[per], per


# --- what the rules say ----------------------------------------------------------------------------------------------


#: What the rules look at of a topic on a channel, once it is known what holds today: its channel and legal basis, the
#: country, what was said to the channel and to the topic, whether that waits for a confirmation, whether it is paused,
#: and what is true of the contact as a whole.
_Circumstances = tuple[str, str, str, str, str, bool, bool, Standing, bool, bool]
#: What the rules said lately, and under which law: asked anew when that changes. Most people are in the same few
#: circumstances, and so are most topics.
_lately: tuple[Law | None, dict[_Circumstances, Verdict]] = (None, {})
_MAX_KNOWN = 4096
#: All that holds today holds at this moment, and pauses last longer: no rule here asks what time it is.
_AT, _LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)


def _answers(state: ContactState) -> Answer:
    """The rules, for a contact as she is today: no pause of the state is over, and no yes has ended."""
    known = _known()
    choices, pending, pauses = state.choices, state.pending, state.pauses
    standing = Standing.ERASED if state.erased else Standing.MERGED if state.merged_into else Standing.KNOWN
    everything = ("", "") in pauses

    def says(key: Key, scope: Key, basis: str) -> Verdict:
        channel = key[1]
        same = (
            channel,
            basis,
            state.country,
            choices.get(("", channel), ""),
            choices.get(key, ""),
            key in pending,
            bool(pauses) and (everything or scope in pauses or ("", channel) in pauses),
            standing,
            state.suppressed,
            state.opted_out,
        )
        return known.get(same) or _judged(known, same)

    return says


def _known() -> dict[_Circumstances, Verdict]:
    global _lately  # noqa: PLW0603 - one for the process: two threads that make one each lose nothing
    current = law.current()
    found, known = _lately
    if found is not current or len(known) > _MAX_KNOWN:
        _lately = (current, known := {})
    return known


def _judged(known: dict[_Circumstances, Verdict], same: _Circumstances) -> Verdict:
    """What `decide` would answer in these circumstances."""
    channel, basis, country, of_channel, said, waits, rests, standing, suppressed, opted_out = same
    facts = Facts(
        contact=_ANYBODY,
        standing=standing,
        country=country,
        suppressed=suppressed,
        topic=TopicFacts(frozenset([channel]), basis),
        opted_out=opted_out,
        channel_choice=of_channel,
        choice=said,
        pending=waits,
        pauses=(PauseFact("topic", _LATER),) if rests else (),
    )
    verdict = judge(facts, Question("", channel, _AT), prepared(_RULES, ())).verdict
    known[same] = verdict
    return verdict


def _on(channel: str, offers: Sequence[_Offer], state: ContactState, says: Answer) -> Coming:
    """What the rules let through on a channel, before the limits on all of it; `asked` is without those on topics."""
    got = rate = unplanned = asked = 0
    picked = state.frequencies
    for offer in offers:
        if says(offer.key, offer.scope, offer.basis) is not Verdict.SEND:
            continue
        got += 1
        if offer.rate:
            code = picked.get(offer.scope) if picked else None
            rate += min(offer.rate, PERIODS.get(code, offer.rate)) if code else offer.rate
            asked += offer.rate
        else:
            unplanned += 1
    return Coming((channel,), got, len(offers), rate, unplanned, asked=0 if unplanned else asked)


def _limited(one: Coming, state: ContactState, overall: str = "") -> Coming:
    """With the frequency of the channel, or the `overall` one where that is rarer, if it lets less through."""
    codes = {state.frequencies.get(("", one.channels[0]), ""), overall} & PERIODS.keys()
    code = min(codes, key=PERIODS.__getitem__, default="")
    if code and (one.unplanned or one.rate > PERIODS[code]):
        return replace(one, rate=PERIODS[code], unplanned=0, limit=code)
    return one if one.asked != one.rate else replace(one, asked=0)


def _elsewhere(offers: _Offers, state: ContactState, says: Answer) -> bool:
    """Whether she has said yes to something that this page does not show her, so that its number is not all."""
    here = offers.keys
    return any(
        says(key, (key[0], ""), "consent") is Verdict.SEND
        for key, said in state.choices.items()
        if said == SUBSCRIBED and key not in here and key[0]
    )


def _nothing(offers: _Offers, state: ContactState, says: Answer, comes: Iterable[Coming]) -> tuple[str, ...]:
    """The channels by which nothing comes, and not because of a pause, which is told of."""
    found = {channel for one in comes for channel in one.channels}
    return tuple(
        channel
        for channel, of in offers.by_channel.items()
        if channel not in found
        and ("", channel) not in state.pauses
        and not (state.pauses and any(says(one.key, one.scope, one.basis) is _PAUSED for one in of))
    )


# --- when ------------------------------------------------------------------------------------------------------------


def _next(snapshot: Snapshot, offers: _Offers, one: Coming, state: ContactState, says: Answer) -> str:
    """A sentence about the next message of a channel, with a space before it; "" where it cannot be known.

    With any frequency it cannot: what was sent this week already is not looked at. Of a channel by which something comes
    on no planned day, the topic is named that the day is of. Private ones are not.
    """
    channel = one.channels[0]
    of = offers.by_channel[channel]
    if len(one.channels) > 1 or not any(offer.planned for offer in of):
        return ""
    if _is_limited(state, ("", "")) or _is_limited(state, ("", channel)):
        return ""
    zone = periods.zone(state.timezone, settings.TIME_ZONE)
    day = timezone.now().astimezone(zone).date()
    days = {
        offer: found
        for offer in of
        if offer.planned
        and not _is_limited(state, offer.scope)
        and says(offer.key, offer.scope, offer.basis) is Verdict.SEND
        and (found := _days_of(offer.planned, day, zone.key))
        and (offer.key not in state.until or state.until[offer.key].astimezone(zone).date() > found[1])
    }
    name = ""
    if len(days) < one.got:
        named = _named(snapshot)
        days = {offer: found for offer, found in days.items() if offer.scope in named}
        if not days:
            return ""
        first = min(days, key=lambda offer: days[offer])
        days, name = {first: days[first]}, named[first.scope][0]
    ahead = sorted({day for found in days.values() for day in found})
    return " " + _planned_for(snapshot.locale, name, tuple(ahead[:2]), day)


def _is_limited(state: ContactState, key: Key) -> bool:
    return state.frequencies.get(key, "") in PERIODS


@lru_cache(maxsize=4096)
def _days_of(planned: Planned, today: date, zone: str) -> tuple[date, ...]:
    """The first two planned days that are not over where she lives, by the calendar there."""
    here, there = periods.zone(settings.TIME_ZONE, "UTC"), periods.zone(zone, settings.TIME_ZONE)
    days = calendar.next_days(planned, today - timedelta(days=1), _AHEAD)
    # Two days may be one there: the noon of a night in which clocks change can be the same day's evening.
    found = {datetime.combine(day, _NOON, here).astimezone(there).date() for day in days}
    return tuple(sorted(day for day in found if day >= today)[:2])


def _after(snapshot: Snapshot, state: ContactState, comes: Sequence[Coming], room: int) -> list[Outlook]:
    """What comes when the first pause has ended that holds something back, by no more than so many sentences."""
    locale = snapshot.locale
    now = {_sentence(locale, replace(one, asked=0)) for one in comes}
    ends: dict[date, datetime] = {}
    for pause in sorted(state.pauses.values(), key=lambda pause: pause.until):
        ends[day_it_ends(pause.until, state.timezone)] = pause.until
    for day, until in ends.items():
        then = effective(state, until)
        later = [
            replace(one, asked=0)
            for one in (
                coming(_open(snapshot, then), then, _answers(then)) if ("", "") not in then.pauses else ()
            )
        ]
        new = tuple(one for one in later if _sentence(locale, one) not in now)
        if new:
            return [Outlook(text, "after") for text in _from(locale, day, new)[: max(room, 0)]]
    return []


# --- what a page offers ----------------------------------------------------------------------------------------------


def _open(snapshot: Snapshot, state: ContactState) -> _Offers:
    """What this contact can choose on a page, by channel in the order in which people meet them."""
    closed = _closed(snapshot, state)
    offers = _offers(snapshot)
    if not closed:
        return offers
    found = {
        channel: tuple(
            offer
            for offer in of
            if any(not closed & {block_id, f"{block_id}.{offer.key[0]}"} for block_id in offer.blocks)
        )
        for channel, of in offers.by_channel.items()
    }
    return _all({channel: of for channel, of in found.items() if of})


def _all(by_channel: Mapping[str, tuple[_Offer, ...]]) -> _Offers:
    return _Offers(by_channel, frozenset(offer.key for of in by_channel.values() for offer in of))


def _closed(snapshot: Snapshot, state: ContactState) -> frozenset[str]:
    """The blocks, and rows as `block.topic`, that are not for this contact."""
    if visibility.is_same_for_all(snapshot):
        return frozenset()
    return frozenset(
        [
            *visibility.hidden(snapshot, state),
            *(
                f"{spec.block_id}.{row['key']}"
                for spec in snapshot.specs
                for row in visibility.closed_rows(spec, state)
            ),
        ]
    )


@remembered
def _offers(snapshot: Snapshot) -> _Offers:
    """All that a page offers to anybody. A topic that stands in two blocks is one."""
    blocks: dict[Key, list[str]] = {}
    rates: dict[str, int] = {}
    plans: dict[str, Planned] = {}
    bases: dict[str, str] = {}
    for spec in snapshot.specs:
        bases |= spec.rules.get("bases", {})
        rates |= {
            topic: number * TIMES[per] for topic, (number, per) in spec.rules.get("planned", {}).items()
        }
        plans |= {
            topic: calendar.read(number, per, on)
            for topic, on in spec.rules.get("planned_on", {}).items()
            for number, per in [spec.rules["planned"][topic]]
        }
        for path in spec.paths:
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if kind == "choice" and topic and channel in CHANNEL_LABELS:
                blocks.setdefault((topic, channel), []).append(spec.block_id)
    return _all(
        {
            channel: tuple(
                _Offer(
                    key,
                    (key[0], ""),
                    tuple(of),
                    bases.get(key[0], "consent"),
                    rates.get(key[0], 0),
                    plans.get(key[0]),
                )
                for key, of in blocks.items()
                if key[1] == channel
            )
            for channel in in_order({key[1] for key in blocks}, CHANNELS)
        }
    )


@remembered
def _named(snapshot: Snapshot) -> Mapping[Key, tuple[str, str, frozenset[str]]]:
    """The topics that everybody sees on a page, or can pause there: their name, legal basis and channels."""
    offers = [offer for of in _offers(snapshot).by_channel.values() for offer in of]
    channels: dict[Key, set[str]] = {}
    for offer in offers:
        channels.setdefault(offer.scope, set()).add(offer.key[1])
    bases = {offer.scope: offer.basis for offer in offers}
    found: dict[Key, tuple[str, str, frozenset[str]]] = {}
    for spec in snapshot.specs:
        for control in controls_of(spec.document):
            for row in control["rows"] if control["type"] == "matrix" else ():
                scope = (row["key"], "")
                if scope in bases:
                    found[scope] = (row["label"], bases[scope], frozenset(channels[scope]))
        for topic, (of, basis) in spec.rules.get("topics", {}).items() if spec.type == "pause" else ():
            name = spec.rules["scopes"][key_to_scope((topic, ""))]
            found[topic, ""] = (name, basis, frozenset(of))
    return found


@remembered
def _always_named(snapshot: Snapshot) -> tuple[tuple[str, str, str], ...]:
    """(block, topic, name) of what is always sent."""
    return tuple(
        (spec.block_id, topic, name)
        for spec in snapshot.specs
        for topic, name in spec.rules.get("always", {}).items()
    )


def _always(snapshot: Snapshot, state: ContactState) -> tuple[str, ...]:
    """The names of what is always sent, as far as it stands on her page."""
    named = _always_named(snapshot)
    if not named:
        return ()
    hidden: Collection[str] = (
        () if visibility.is_same_for_all(snapshot) else visibility.hidden(snapshot, state)
    )
    return tuple({topic: name for block_id, topic, name in named if block_id not in hidden}.values())


# --- sentences -------------------------------------------------------------------------------------------------------


def _pauses(snapshot: Snapshot, state: ContactState, says: Answer) -> list[Outlook]:
    """One sentence for each pause that keeps something back: of everything, of channels, of topics that she gets.

    Those that end on one day are told of together.
    """
    pauses, zone, locale = state.pauses, state.timezone, snapshot.locale
    days = {key: day_it_ends(pause.until, zone) for key, pause in pauses.items()}
    channels: dict[date, list[str]] = {}
    topics: dict[date, list[str]] = {}
    found = []
    if ("", "") in pauses:
        found.append(Outlook(_paused(locale, (), (), days["", ""]), "pause"))
        longest = pauses["", ""].until
        days = {key: day for key, day in days.items() if pauses[key].until > longest}
    for channel in CHANNELS:
        if ("", channel) in days:
            channels.setdefault(days["", channel], []).append(channel)
    for scope, (name, basis, of) in _named(snapshot).items() if any(key[0] for key in days) else ():
        if scope in days and any(says((scope[0], channel), scope, basis) is _PAUSED for channel in of):
            topics.setdefault(days[scope], []).append(name)
    found += [Outlook(_paused(locale, tuple(codes), (), day), "pause") for day, codes in channels.items()]
    if len(topics) > 2:  # a sentence each would bury what comes
        names = tuple(name for one_day in topics.values() for name in one_day)
        return [*found, Outlook(_several_paused(locale, names, min(topics)), "pause")]
    return found + [
        Outlook(_paused(locale, (), tuple(one_day), day), "pause") for day, one_day in topics.items()
    ]


@lru_cache(maxsize=1024)  # few sentences, and translating one takes longer than reading a contact's rows
def _sentence(locale: str, one: Coming) -> str:
    with translation.override(locale):
        what = {"channel": listed([str(CHANNEL_LABELS[channel]) for channel in one.channels])}
        if one.limit:
            what["limit"] = str(LIMITS[one.limit])
            if len(one.channels) > 1:
                return _("%(channel)s together: %(limit)s.") % what
            if one.asked > one.rate:
                what["before"] = _often(one.asked, one.channels)
                return _("%(channel)s: %(limit)s, instead of %(before)s.") % what
            return _("%(channel)s: %(limit)s.") % what
        if not one.rate:
            text = ngettext(
                "%(channel)s: you get %(chosen)s of %(offered)s topic.",
                "%(channel)s: you get %(chosen)s of %(offered)s topics.",
                one.offered,
            )
            return text % {**what, "chosen": one.got, "offered": one.offered}
        what["often"] = _often(one.rate, one.channels)
        if one.unplanned:
            text = ngettext(
                "%(channel)s: %(often)s, and %(number)s topic that comes when there is something to say.",
                "%(channel)s: %(often)s, and %(number)s topics that come when there is something to say.",
                one.unplanned,
            )
            return text % {**what, "number": one.unplanned}
        if one.asked and (before := _often(one.asked, one.channels)) != what["often"]:
            return _("%(channel)s: %(often)s, as you asked, instead of %(before)s.") % {
                **what,
                "before": before,
            }
        return _("%(channel)s: %(often)s.") % what


@lru_cache(maxsize=1024)
def _planned_for(locale: str, name: str, days: tuple[date, ...], today: date) -> str:
    """About the first of these days, and about the second one if the first is today: that may have come already."""
    with translation.override(locale):
        what = {"topic": name, "day": _day(days[0] if days[0] != today else days[1], today)}
        if days[0] == today:
            if name:
                return _("%(topic)s: one is planned for today, the next one for %(day)s.") % what
            return _("One is planned for today, the next one for %(day)s.") % what
        if name:
            return _("%(topic)s: the next one is planned for %(day)s.") % what
        return _("The next one is planned for %(day)s.") % what


def _day(day: date, today: date) -> str:
    """`Thursday, November 26`, in the active language; with the year where it is another one."""
    what = {
        "weekday": date_format(day, "l"),
        "day": date_format(day, "MONTH_DAY_FORMAT" if day.year == today.year else "DATE_FORMAT"),
    }
    # Translators: a day, as in "Thursday, November 26".
    return _("%(weekday)s, %(day)s") % what


@lru_cache(maxsize=1024)
def _from(locale: str, day: date, comes: tuple[Coming, ...]) -> list[str]:
    """What comes from a day on: one sentence, or one for each where it takes more words than a number."""
    with translation.override(locale):
        what = {"day": date_format(day, "DATE_FORMAT")}
        if not any(one.limit or one.unplanned or not one.rate for one in comes):
            often = _(", ").join(_often(one.rate, one.channels) for one in comes)
            return [_("From %(day)s: %(often)s.") % {**what, "often": often}]
        # Translators: "what" is a sentence: "From March 3, 2027, E-mail: at most one a week, as you asked."
        return [_("From %(day)s, %(what)s") % {**what, "what": _sentence(locale, one)} for one in comes]


def _often(rate: int, channels: Collection[str]) -> str:
    return how_often(*spoken(rate), channels)


@lru_cache(maxsize=256)
def _plain(locale: str, kind: str) -> str:
    with translation.override(locale):
        return {
            "gpc": _("Your browser’s opt-out signal is honoured."),
            "opted_out": _("You get no marketing from us."),
            "elsewhere": _("What you have chosen elsewhere, and is not on this page, may come as well."),
        }[kind]


@lru_cache(maxsize=256)
def _nothing_comes(locale: str, channels: tuple[str, ...]) -> str:
    with translation.override(locale):
        return _("%(channel)s: nothing.") % {
            "channel": listed([str(CHANNEL_LABELS[channel]) for channel in channels])
        }


@lru_cache(maxsize=256)
def _always_sent(locale: str, names: tuple[str, ...]) -> str:
    with translation.override(locale):
        return _("These messages still come: %(topics)s.") % {"topics": listed(names)}


@lru_cache(maxsize=1024)
def _paused(locale: str, channels: tuple[str, ...], names: tuple[str, ...], day: date) -> str:
    """Of these channels, or of the topics of these names; of everything where there are none."""
    with translation.override(locale):
        what = {"day": date_format(day, "DATE_FORMAT")}
        if not (channels or names):
            return _("Paused until %(day)s.") % what
        what["what"] = listed([str(CHANNEL_LABELS[channel]) for channel in channels] or names)
        return _("%(what)s: paused until %(day)s.") % what


@lru_cache(maxsize=1024)
def _several_paused(locale: str, names: tuple[str, ...], day: date) -> str:
    with translation.override(locale):
        until = date_format(day, "DATE_FORMAT")
        return _("%(what)s: paused, the first of them until %(day)s.") % {"what": listed(names), "day": until}
