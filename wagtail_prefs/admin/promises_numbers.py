"""What the report on promises says: the counts of `decisions.promises`, added up and put into words and charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, DateField, F, QuerySet, Sum
from django.db.models.functions import TruncMonth, TruncWeek
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from ..blocks.words import CHANNEL_LABELS
from ..decisions import promises
from ..decisions.counting import Event
from ..decisions.custom import FAILED
from ..decisions.models import DecisionCount, Send
from ..decisions.promises import Sums
from ..decisions.rules import RULES, YES
from ..decisions.values import Verdict
from ..sending.models import Waiting
from ..values import CHANNELS
from . import charts
from .results_numbers import BARS, period_words, starts
from .why import messages_url

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Broken sends on the page: the newest.
LISTED = 25
#: Settled mails are kept for so many days (sending.retention).
WAITS_DAYS = 30

EVENTS: dict[str, _StrPromise] = {
    Event.ASKED_SEND: gettext_lazy("Answer: send"),
    Event.ASKED_DEFER: gettext_lazy("Answer: wait"),
    Event.ASKED_DIGEST: gettext_lazy("Answer: wait for the next digest"),
    Event.ASKED_REFUSE: gettext_lazy("Answer: do not send"),
    Event.SENT: gettext_lazy("Sent, and rightly"),
    Event.SENT_DEFER: gettext_lazy("Sent too early"),
    Event.SENT_DIGEST: gettext_lazy("Sent too early, and not in a digest"),
    Event.SENT_REFUSE: gettext_lazy("Sent against a no"),
    Event.SENT_UNJUDGED: gettext_lazy("Sent, and never judged"),
    Event.LATE: gettext_lazy("Sent after it had waited"),
}

#: What `decide` says about the moment of a send that it would not have allowed.
AGAINST: dict[str, _StrPromise] = {
    Verdict.REFUSE: gettext_lazy("Against a no"),
    Verdict.DEFER: gettext_lazy("Too early"),
    Verdict.DIGEST: gettext_lazy("Too early"),
}
_BROKEN = {
    Event.SENT_REFUSE: Verdict.REFUSE,
    Event.SENT_DEFER: Verdict.DEFER,
    Event.SENT_DIGEST: Verdict.DIGEST,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about; see `promises.Period`."""

    period: promises.Period
    unit: str


@dataclass(frozen=True, slots=True)
class Over:
    """A row of the table over time."""

    start: date
    label: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table by topic, channel and sender. `key` is "" for what no topic has."""

    key: str
    label: str
    channel: str
    sender: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Reason:
    """Why what was sent should not have been, and how often."""

    verdict: str
    words: str
    code: str
    number: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A send that should not have been. `contact` and the addresses are empty for who may not look at people."""

    at: datetime
    topic: str
    channel: str
    sender: str
    message_id: str
    verdict: str
    words: str
    contact: UUID | None = None
    url: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """Mails that wait now, and what became of those that do no longer, by the outcome in words."""

    waiting: int
    settled: Sequence[tuple[str, int]]

    @property
    def is_empty(self) -> bool:
        return not self.waiting and not self.settled


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was counted."""

    periods: Sequence[Over]
    rows: Sequence[Row]
    reasons: Sequence[Reason]
    senders: Mapping[str, Sums]
    total: Sums

    @property
    def is_empty(self) -> bool:
        return self.total.is_empty


def added_up(asked: Asked) -> QuerySet[DecisionCount, dict[str, Any]]:
    """`start`, topic, channel, sender, event, reason and `number`: one row for each that there was, in order."""
    by: Any = {
        "day": F("day"),
        "week": TruncWeek("day", output_field=DateField()),
        "month": TruncMonth("day"),
    }
    names = ("start", "topic", "channel", "sender", "event", "reason")
    rows: Any = promises.counted(asked.period).annotate(start=by[asked.unit]).order_by().values(*names)
    found: QuerySet[DecisionCount, dict[str, Any]] = rows.annotate(number=Sum("count")).order_by(*names)
    return found


def senders_in(period: promises.Period) -> list[str]:
    """Who asked or sent at that time. One statement, and that of `promises.of_audience`."""
    rows = promises.of_audience(period.audience).filter(day__range=(period.since, period.until))
    return list(rows.order_by("sender").values_list("sender", flat=True).distinct())


def report(asked: Asked, labels: Mapping[str, str]) -> Report:
    """Two statements. `labels` names the topics by their keys."""
    period = asked.period
    over: dict[date, Sums] = {start: Sums() for start in starts(asked.unit, period.since, period.until)}
    of: defaultdict[tuple[str, str, str], Sums] = defaultdict(Sums)
    senders: defaultdict[str, Sums] = defaultdict(Sums)
    reasons: Counter[tuple[str, str]] = Counter()
    total = Sums()
    for row in added_up(asked):
        event, number = row["event"], row["number"]
        place = row["topic"], row["channel"], row["sender"]
        for sums in (over[row["start"]], of[place], senders[row["sender"]], total):
            sums.add(event, number)
        if event in _BROKEN:
            reasons[_BROKEN[event], row["reason"]] += number
    return Report(
        [Over(start, period_words(asked.unit, start), sums) for start, sums in over.items()],
        list(_rows(of, labels)),
        [
            Reason(str(AGAINST[verdict]), reason_words(code), code, number)
            for (verdict, code), number in reasons.most_common()
        ],
        dict(senders),
        total,
    )


def _rows(of: Mapping[tuple[str, str, str], Sums], labels: Mapping[str, str]) -> Iterator[Row]:
    """In the order of the library; then topics that are gone; then what no topic has."""
    places = {key: number for number, key in enumerate(labels)}
    ways = {channel: number for number, channel in enumerate(CHANNELS)}

    def place(key: tuple[str, str, str]) -> tuple[bool, int, str, int, str]:
        topic, channel, sender = key
        return not topic, places.get(topic, len(places)), topic, ways.get(channel, len(ways)), sender

    for topic, channel, sender in sorted(of, key=place):
        sums = of[topic, channel, sender]
        yield Row(topic, topic_words(topic, labels), channel_words(channel), sender_words(sender), sums)


def topic_words(topic: str, labels: Mapping[str, str]) -> str:
    return labels.get(topic, topic) if topic else _("No topic of ours")


def channel_words(channel: str) -> str:
    return str(CHANNEL_LABELS.get(channel, channel)) if channel else _("No channel of ours")


def sender_words(sender: str) -> str:
    return sender or _("No name given")


def reason_words(code: str) -> str:
    """What a rule says; a site's own is known by its code alone."""
    words = {rule.code: rule.words for rule in RULES} | YES | {FAILED.reason: FAILED.rule}
    return str(words.get(code, code))


def waits(period: promises.Period) -> Waits:
    """Two statements, each by an index."""
    given = {name: getattr(period, name) for name in ("topic", "channel", "sender")}
    rows = Waiting.objects.filter(
        audience_id=period.audience.pk, **{name: value for name, value in given.items() if value}
    )
    begin, end = promises.moments(period.since, period.until)
    settled = rows.exclude(outcome="").filter(settled_at__gte=begin, settled_at__lt=end)
    numbers = dict(
        settled.order_by()
        .values_list("outcome")
        .annotate(number=Count("pk"))
        .values_list("outcome", "number")
    )
    found = [(str(words), numbers[key]) for key, words in Waiting.Outcome.choices if key in numbers]
    return Waits(rows.filter(outcome="").count(), found)


def broken(period: promises.Period, labels: Mapping[str, str], *, people: bool) -> list[Broken]:
    """The newest. One statement. `people`: whether the reader may look at people."""
    return [
        Broken(
            send.at,
            topic_words(send.topic, labels),
            channel_words(send.channel),
            sender_words(send.sender),
            send.message_id,
            str(AGAINST.get(send.verdict, send.verdict)),
            reason_words(send.reason),
            *(_person(send) if people else ()),
        )
        for send in promises.broken_sends(period)[:LISTED]
    ]


def _person(send: Send) -> tuple[UUID, str, str]:
    """Who it was, the screen of her, and that of why she got it."""
    person = reverse("prefs_contacts:person", args=[send.contact])
    return send.contact, person, f"{messages_url(send.contact)}?{urlencode({'send': send.pk})}"


def sentence(total: Sums) -> str:
    """The report in one sentence."""
    if total.broken:
        return ngettext(
            "%(number)s message was sent against a no.",
            "%(number)s messages were sent against a no.",
            total.broken,
        ) % {"number": number_format(total.broken)}
    if total.early:
        return ngettext(
            "Nothing was sent against a no, but %(number)s message was sent too early.",
            "Nothing was sent against a no, but %(number)s messages were sent too early.",
            total.early,
        ) % {"number": number_format(total.early)}
    if total.asked:
        return ngettext(
            "%(number)s of %(number)s answer was obeyed: nothing was sent against a no.",
            "%(number)s of %(number)s answers were obeyed: nothing was sent against a no.",
            total.asked,
        ) % {"number": number_format(total.asked)}
    return ngettext(
        "%(number)s message was sent, and not against a no. Nobody had asked before.",
        "%(number)s messages were sent, and none against a no. Nobody had asked before.",
        total.sent,
    ) % {"number": number_format(total.sent)}


HEADINGS = (
    gettext_lazy("Beginning"),
    gettext_lazy("Topic key"),
    gettext_lazy("Topic"),
    gettext_lazy("Channel"),
    gettext_lazy("Sender"),
    gettext_lazy("What"),
    gettext_lazy("Code"),
    gettext_lazy("Rule"),
    gettext_lazy("Number"),
)


def lines(asked: Asked, labels: Mapping[str, str]) -> Iterator[Sequence[Any]]:
    """The rows of the file, as HEADINGS name them: everything that was counted, and nobody.

    All words are found before the first row: a file is sent when the language of the reader is forgotten.
    """
    channels = {channel: channel_words(channel) for channel in ("", *CHANNELS)}
    events = {key: str(text) for key, text in EVENTS.items()}
    rules = {
        code: reason_words(code) for code in ({rule.code for rule in RULES} | set(YES) | {FAILED.reason})
    }
    no_topic, no_sender = topic_words("", labels), sender_words("")
    rows = added_up(asked)

    def each() -> Iterator[Sequence[Any]]:
        for row in rows.iterator(chunk_size=2000):
            topic, channel, code = row["topic"], row["channel"], row["reason"]
            yield (
                row["start"],
                topic,
                labels.get(topic, topic) if topic else no_topic,
                channels.get(channel, channel),
                row["sender"] or no_sender,
                events.get(row["event"], row["event"]),
                code,
                rules.get(code, ""),
                row["number"],
            )

    return each()


def drawn(found: Report) -> dict[str, charts.Chart]:
    """The charts of the page; only those that show something."""
    total = found.total
    charts_: dict[str, charts.Chart] = {}
    if total.asked:
        charts_["answers"] = charts.columns(
            "answers",
            _("Answers over time"),
            _(
                "Answers to send are bars above the line; answers to wait or not to send are hatched bars below it: "
                "%(yes)s and %(no)s in all. The table below has the same numbers."
            )
            % {"yes": number_format(total.yes), "no": number_format(total.waits + total.no)},
            (_("Send"), _("Wait, or do not send")),
            [charts.Pair(one.label, one.sums.yes, one.sums.waits + one.sums.no) for one in found.periods],
        )
    if total.against:
        charts_["against"] = charts.columns(
            "against",
            _("Sent against an answer, over time"),
            _(
                "What was sent against a no are bars above the line; what was sent too early are hatched bars below it: "
                "%(broken)s and %(early)s in all. The table below has the same numbers."
            )
            % {"broken": number_format(total.broken), "early": number_format(total.early)},
            (_("Against a no"), _("Too early")),
            [charts.Pair(one.label, one.sums.broken, one.sums.early) for one in found.periods],
        )
        most = sorted(
            ((sender, sums) for sender, sums in found.senders.items() if sums.against),
            key=lambda one: (-max(one[1].broken, one[1].early), one[0]),
        )[:BARS]
        charts_["senders"] = charts.rows(
            "senders",
            _("Sent against an answer, by sender"),
            _(
                "What was sent against a no are bars to the right of the line, what was sent too early are hatched bars "
                "to the left of it; senders with the most come first, %(number)s at most. The table has all of them."
            )
            % {"number": BARS},
            (_("Against a no"), _("Too early")),
            [charts.Pair(sender_words(sender), sums.broken, sums.early) for sender, sums in most],
        )
    return charts_


def is_beyond_waits(period: promises.Period) -> bool:
    """Whether mails that waited at that time are forgotten in part."""
    return period.since < datetime.now(UTC).date() - timedelta(days=WAITS_DAYS)
