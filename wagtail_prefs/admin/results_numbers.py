"""What the report on results says: the counts of the ledger (`ledger.counts`), added up. Nothing here reads a record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import DateField, F, QuerySet, Sum
from django.db.models.functions import TruncMonth, TruncWeek
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from ..blocks.words import CHANNEL_LABELS
from ..ledger.models import DayCount
from ..topics.models import Audience, Topic
from ..values import CHANNELS
from . import charts

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Most periods on a page, and most topics in a chart (the table has all of them).
PERIODS = 124
BARS = 20

UNITS: dict[str, _StrPromise] = {
    "day": gettext_lazy("Day"),
    "week": gettext_lazy("Week"),
    "month": gettext_lazy("Month"),
}

#: What a record says about where it was made; sites and integrations add their own.
METHODS: dict[str, _StrPromise] = {
    "page": gettext_lazy("Preference page"),
    "element": gettext_lazy("Embedded element"),
    "one_click": gettext_lazy("Unsubscribe button of a mail program"),
    "python": gettext_lazy("Python"),
    "staff": gettext_lazy("Staff, on her behalf"),
    "import": gettext_lazy("Import"),
    "sign_up": gettext_lazy("Sign-up, not confirmed yet"),
    "confirm": gettext_lazy("Confirmed by mail"),
    "expiry": gettext_lazy("Ended by itself"),
    "topic_merge": gettext_lazy("Topics merged"),
}

EVENTS: dict[str, _StrPromise] = {
    "opt_in": gettext_lazy("Opt-in"),
    "opt_out": gettext_lazy("Opt-out"),
    "again": gettext_lazy("Consent given again"),
    "refusal": gettext_lazy("Refusal without having been subscribed"),
    "request": gettext_lazy("Waiting to be confirmed"),
    "lapse": gettext_lazy("Not confirmed in time"),
    "left": gettext_lazy("Unsubscribed from everything"),
    "back": gettext_lazy("Lifted the unsubscription from everything"),
    "pause": gettext_lazy("Pause begun"),
    "longer": gettext_lazy("Pause changed"),
    "resume": gettext_lazy("Pause ended early"),
    "frequency": gettext_lazy("Frequency chosen"),
}

ACTIONS: dict[str, _StrPromise] = {
    "requested": pgettext_lazy("what happened", "asked"),
    "given": pgettext_lazy("what happened", "given"),
    "renewed": pgettext_lazy("what happened", "given again"),
    "refused": pgettext_lazy("what happened", "refused"),
    "withdrawn": pgettext_lazy("what happened", "withdrawn"),
    "expired": pgettext_lazy("what happened", "ended by itself"),
    "set": pgettext_lazy("what happened", "set"),
    "cleared": pgettext_lazy("what happened", "taken away"),
    "restored": pgettext_lazy("what happened", "taken back"),
    "merged": pgettext_lazy("what happened", "by merging two people"),
    "erased": pgettext_lazy("what happened", "by erasing"),
}

#: What makes a yes begin or end without the person, or somebody for her, saying so.
_NOBODY = {"expired", "merged", "erased"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about; "" is all. Both days are in it."""

    audience: Audience
    unit: str
    since: date
    until: date
    topic: str = ""
    channel: str = ""
    method: str = ""


@dataclass(slots=True)
class Sums:
    """Numbers of one period, one topic or all. `otherwise` is signed: what began or ended without anybody saying so."""

    joined: int = 0
    left: int = 0
    otherwise: int = 0
    refused: int = 0
    out: int = 0
    paused: int = 0
    resumed: int = 0

    @property
    def change(self) -> int:
        """How many a yes more there are."""
        return self.joined - self.left + self.otherwise

    def add(self, event: str, action: str, number: int) -> None:
        match event:
            case "opt_in" | "opt_out" if action in _NOBODY:
                self.otherwise += number if event == "opt_in" else -number
            case "opt_in":
                self.joined += number
            case "opt_out":
                self.left += number
            case "refusal" if action not in _NOBODY:
                self.refused += number
            case "left" if action not in _NOBODY:
                self.out += number
            case "pause" if action not in _NOBODY:
                self.paused += number
            case "resume" if action not in _NOBODY:
                self.resumed += number

    @property
    def is_empty(self) -> bool:
        return not any(
            (self.joined, self.left, self.otherwise, self.refused, self.out, self.paused, self.resumed)
        )


@dataclass(frozen=True, slots=True)
class Period:
    """A row of the tables over time."""

    start: date
    label: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class OfTopic:
    """A row of the table by topic and channel. `key` is "" for what is about all topics."""

    key: str
    label: str
    channel: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page."""

    periods: Sequence[Period]
    topics: Sequence[OfTopic]
    total: Sums = field(default_factory=Sums)

    @property
    def is_empty(self) -> bool:
        return self.total.is_empty


def starts(unit: str, since: date, until: date) -> list[date]:
    """The first days of the periods from one day to another, which both are in one."""
    day, found = start_of(unit, since), []
    while day <= until:
        found.append(day)
        step = timedelta(days={"day": 1, "week": 7, "month": 31}[unit])
        if day > date.max - step:
            break  # the calendar ends
        day = start_of(unit, day + step)
    return found


def start_of(unit: str, day: date) -> date:
    """The first day of the period that a day is in; a week begins on Monday."""
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if unit == "week" else day


def counted(asked: Asked) -> QuerySet[DayCount]:
    """The counts that a report is about."""
    found = DayCount.objects.filter(audience=asked.audience.key, day__range=(asked.since, asked.until))
    given = {name: getattr(asked, name) for name in ("topic", "channel", "method")}
    return found.filter(**{name: value for name, value in given.items() if value})


def added_up(asked: Asked, *more: str) -> QuerySet[DayCount, dict[str, Any]]:
    """`start`, topic, channel, event, action, `more` and `number`: one row for each that there was, in order."""
    by: Any = {
        "day": F("day"),
        "week": TruncWeek("day", output_field=DateField()),
        "month": TruncMonth("day"),
    }
    names = ("start", "topic", "channel", "event", "action", *more)
    rows: Any = counted(asked).annotate(start=by[asked.unit]).order_by().values(*names)
    found: QuerySet[DayCount, dict[str, Any]] = rows.annotate(number=Sum("count")).order_by(*names)
    return found


def methods_in(asked: Asked) -> list[str]:
    """Where what is reported about was done."""
    found = DayCount.objects.filter(audience=asked.audience.key, day__range=(asked.since, asked.until))
    return list(found.order_by("method").values_list("method", flat=True).distinct())


def report(asked: Asked, labels: Mapping[str, str]) -> Report:
    """One statement. `labels` names the topics by their keys."""
    by_start: dict[date, Sums] = {start: Sums() for start in starts(asked.unit, asked.since, asked.until)}
    by_topic: defaultdict[tuple[str, str], Sums] = defaultdict(Sums)
    total = Sums()
    for row in added_up(asked):
        said = (row["event"], row["action"], row["number"])
        for sums in (by_start[row["start"]], by_topic[row["topic"], row["channel"]], total):
            sums.add(*said)
    return Report(
        [Period(start, period_words(asked.unit, start), sums) for start, sums in by_start.items()],
        list(_of_topics(by_topic, labels)),
        total,
    )


def _of_topics(sums: Mapping[tuple[str, str], Sums], labels: Mapping[str, str]) -> Iterator[OfTopic]:
    """In the order of the library; then topics that are gone, by their keys; what is about all comes first."""
    places = {key: number for number, key in enumerate(["", *labels])}
    ways = {channel: number for number, channel in enumerate(["", *CHANNELS])}

    def place(key: tuple[str, str]) -> tuple[int, str, int, str]:
        topic, channel = key
        return places.get(topic, len(places)), topic, ways.get(channel, len(ways)), channel

    for topic, channel in sorted(sums, key=place):
        if not sums[topic, channel].is_empty:
            yield OfTopic(topic, topic_words(topic, labels), channel_words(channel), sums[topic, channel])


def topic_labels(audience: Audience) -> dict[str, str]:
    """Topic key -> its name in the language of whoever reads, in the library's order."""
    topics = Topic.objects.filter(audience=audience).prefetch_related("texts__locale")
    return {topic.key: str(topic) for topic in topics.order_by("sort_order", "key")}


def topic_words(topic: str, labels: Mapping[str, str]) -> str:
    return labels.get(topic, topic) if topic else _("All topics")


def channel_words(channel: str) -> str:
    return str(CHANNEL_LABELS.get(channel, channel)) if channel else _("All channels")


def method_words(method: str) -> str:
    return str(METHODS.get(method, method))


def period_words(unit: str, start: date) -> str:
    """`November 2026`, or the day that a week begins with."""
    return date_format(start, "YEAR_MONTH_FORMAT" if unit == "month" else "SHORT_DATE_FORMAT")


HEADINGS = (
    gettext_lazy("Beginning"),
    gettext_lazy("Topic key"),
    gettext_lazy("Topic"),
    gettext_lazy("Channel"),
    gettext_lazy("What"),
    gettext_lazy("How"),
    gettext_lazy("Where"),
    gettext_lazy("Number"),
)


def lines(asked: Asked, labels: Mapping[str, str]) -> Iterator[Sequence[Any]]:
    """The rows of the file, as HEADINGS name them: everything that was counted, not only what the page shows.

    All words are found before the first row: a file is sent when the language of the reader is forgotten.
    """
    channels = {channel: channel_words(channel) for channel in ("", *CHANNELS)}
    events, actions, methods = (
        {key: str(text) for key, text in of.items()} for of in (EVENTS, ACTIONS, METHODS)
    )
    everything = _("All topics")
    rows = added_up(asked, "method")

    def each() -> Iterator[Sequence[Any]]:
        for row in rows.iterator(chunk_size=2000):
            topic, channel, method = row["topic"], row["channel"], row["method"]
            yield (
                row["start"],
                topic,
                labels.get(topic, topic) if topic else everything,
                channels.get(channel, channel),
                events.get(row["event"], row["event"]),
                actions.get(row["action"], row["action"]),
                methods.get(method, method),
                row["number"],
            )

    return each()


def drawn(found: Report) -> dict[str, charts.Chart]:
    """The charts of the page: choices over time, by topic, and pauses over time. Only those that show something."""
    periods, total = found.periods, found.total
    charts_: dict[str, charts.Chart] = {}
    if total.joined or total.left:
        charts_["choices"] = charts.columns(
            "choices",
            _("Opt-ins and opt-outs over time"),
            _(
                "Opt-ins are bars above the line, opt-outs hatched bars below it: %(joined)s and %(left)s in all. "
                "The table below has the same numbers."
            )
            % {"joined": total.joined, "left": total.left},
            (_("Opt-ins"), _("Opt-outs")),
            [charts.Pair(period.label, period.sums.joined, period.sums.left) for period in periods],
        )
    most = sorted(
        (row for row in found.topics if row.sums.joined or row.sums.left),
        key=lambda row: -max(row.sums.joined, row.sums.left),
    )[:BARS]
    if most:
        charts_["topics"] = charts.rows(
            "topics",
            _("Opt-ins and opt-outs by topic and channel"),
            _(
                "Opt-ins are bars to the right of the line, opt-outs hatched bars to the left of it; those with the "
                "most come first, %(number)s at most. The table below has all of them."
            )
            % {"number": BARS},
            (_("Opt-ins"), _("Opt-outs")),
            [charts.Pair(f"{row.label}, {row.channel}", row.sums.joined, row.sums.left) for row in most],
        )
    if total.paused or total.resumed:
        charts_["pauses"] = charts.columns(
            "pauses",
            _("Pauses over time"),
            _(
                "Pauses that began are bars above the line, those ended early hatched bars below it: %(paused)s and "
                "%(resumed)s in all. The table below has the same numbers."
            )
            % {"paused": total.paused, "resumed": total.resumed},
            (_("Begun"), _("Ended early")),
            [charts.Pair(period.label, period.sums.paused, period.sums.resumed) for period in periods],
        )
    return charts_


def sorted_choices(keys: Iterable[str], words: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Choices of a filter, by their words."""
    return sorted(((key, str(words.get(key, key))) for key in keys), key=lambda choice: choice[1].casefold())
