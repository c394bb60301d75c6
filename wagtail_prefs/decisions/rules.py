"""May this be sent to her? The rules in the order in which they are asked (design.md s8). Pure: no database, no clock.

A rule looks at the facts and the question, and either has nothing to say or gives a ruling. The first that refuses or
sends decides. Rules that ask to wait are heard together: the longest wait gives the verdict and its reason, and `until`
is the first moment at which none of them stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from ..conf import conf
from ..law import services as law
from ..values import CHANNELS, SUBSCRIBED, UNSUBSCRIBED
from . import periods
from .values import Facts, Place, Question, Ruling, Standing, Verdict

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Until here calendars reach (periods.py). Who pauses for longer means "for good".
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)
#: Pause, frequency and quiet hours settle in a few rounds. A site's rule may not, and then its last word holds.
_ROUNDS = 20
_WAITS = frozenset({Verdict.DEFER, Verdict.DIGEST})


class Rule:
    """One rule, ours or a site's. `code` and `words` are what its decisions say; `static` rules ask neither the clock
    nor what was sent.
    """

    code: str
    words: str | _StrPromise
    static: bool = False
    #: Whether it can ask to wait; who always refuses or sends is not asked about later moments.
    waits: ClassVar[bool] = True
    #: What a rule of ours says, if it says something.
    verdict: ClassVar[Verdict] = Verdict.REFUSE
    #: `prepare` returns the contacts (UUIDs) that the rule speaks of, and it is asked about nobody else: for a site's rule
    #: that concerns few, the others cost nothing.
    only_prepared: ClassVar[bool] = False

    def prepare(self, contacts: Sequence[UUID]) -> Any:
        """What the rule needs for all contacts of a call, fetched once before any of them is asked about."""
        return None

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        """The ruling, or None for nothing to say."""
        raise NotImplementedError

    def refuse(self, behind: str = "") -> Ruling:
        return Ruling(Verdict.REFUSE, self.code, self.words, behind=behind, static=self.static)

    def wait(self, verdict: Verdict, until: datetime, behind: str = "") -> Ruling:
        return Ruling(verdict, self.code, self.words, until, behind, self.static)


@dataclass(frozen=True)
class Refusal(Rule):
    """A rule that refuses where a condition holds."""

    code: str
    words: str | _StrPromise
    when: Callable[[Facts, Question], bool]
    behind: str = ""
    static: bool = True
    waits: ClassVar[bool] = False

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        return self.refuse(self.behind) if self.when(facts, question) else None


def _is_offered(facts: Facts, question: Question) -> bool:
    return (
        facts.topic is not None and question.channel in CHANNELS and question.channel in facts.topic.channels
    )


def _has_ended(facts: Facts, question: Question) -> bool:
    return facts.choice == SUBSCRIBED and not facts.pending and _is_over(facts, question)


def _waits(facts: Facts, question: Question) -> bool:
    return facts.pending and facts.choice != SUBSCRIBED and not _is_over(facts, question)


def _is_over(facts: Facts, question: Question) -> bool:
    """Whether the yes, or the wait for one, has ended by itself: the date of a wait is never that of a yes."""
    return facts.choice_until is not None and facts.choice_until <= question.at


UNKNOWN = Refusal(
    "unknown", _("There is no such contact."), lambda facts, _question: facts.standing is Standing.UNKNOWN
)
ERASED = Refusal(
    "erased",
    _("The contact was erased."),
    lambda facts, _question: facts.standing is Standing.ERASED,
    behind="contact",
)
MERGED = Refusal(
    "merged",
    _("The contact goes on as another one; ask about that."),
    lambda facts, _question: facts.standing is Standing.MERGED,
    behind="contact",
)
UNKNOWN_TOPIC = Refusal(
    "unknown_topic", _("There is no such topic."), lambda facts, _question: facts.topic is None
)
ARCHIVED = Refusal(
    "archived",
    _("The topic is archived."),
    lambda facts, _question: facts.topic is not None and facts.topic.archived,
)
NOT_OFFERED = Refusal(
    "not_offered",
    _("The topic does not come by this channel."),
    lambda facts, question: not _is_offered(facts, question),
)
DEAD_ADDRESS = Refusal(
    "dead_address",
    _("The e-mail address takes no mail."),
    lambda facts, question: facts.email_dead and question.channel == "email",
)


class Transactional(Rule):
    """What is always sent is asked no further: choices, pauses and quiet hours are about marketing."""

    verdict = Verdict.SEND
    code = "transactional"
    words = _("The topic is always sent.")
    static = True
    waits = False

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        if facts.topic is not None and facts.topic.transactional:
            return Ruling(self.verdict, self.code, self.words, static=self.static)
        return None


REUSED = Refusal(
    "reused",
    _("The id of this message stands for a message of another topic or channel."),
    lambda facts, _question: facts.place is Place.OTHER,
    static=False,
)
SUPPRESSED = Refusal(
    "suppressed",
    _("The address was erased once; only its owner can bring it back."),
    lambda facts, _question: facts.suppressed,
)
OPTED_OUT = Refusal(
    "opted_out",
    _("The contact has unsubscribed from everything."),
    lambda facts, _question: facts.opted_out,
    behind="opted_out",
)
CHANNEL_REFUSED = Refusal(
    "channel_refused",
    _("The contact wants nothing by this channel."),
    # A no to a channel unsubscribes from all that came by it, so a yes that stands beside it was said later.
    lambda facts, _question: facts.channel_choice == UNSUBSCRIBED and facts.choice != SUBSCRIBED,
    behind="channel",
)
EXPIRED = Refusal("expired", _("The contact's consent has ended."), _has_ended, behind="choice", static=False)
UNSUBSCRIBED_ = Refusal(
    "unsubscribed",
    _("The contact has unsubscribed from this."),
    lambda facts, _question: facts.choice == UNSUBSCRIBED,
    behind="choice",
)
PENDING = Refusal("pending", _("The contact has not confirmed her consent yet."), _waits, static=False)


class Consent(Rule):
    """Who was never asked gets only what the law of her country lets go out without a yes (security.md LW-01)."""

    code = "no_consent"
    words = _("The contact has not consented, and the law asks for it.")
    static = True
    waits = False

    def prepare(self, contacts: Sequence[UUID]) -> law.Law:
        return law.current()

    def __call__(self, facts: Facts, question: Question, prepared: law.Law) -> Ruling | None:
        if facts.choice == SUBSCRIBED:
            return None
        basis = facts.topic.basis if facts.topic else ""
        return self.refuse() if law.needs_consent(prepared.rules_for(facts.country), basis) else None


class Paused(Rule):
    """No messages until a moment: the latest end of the pauses that hold."""

    verdict = Verdict.DEFER
    behind = "pause"
    code = "paused"
    words = _("The contact has paused this.")

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        held = [pause for pause in facts.pauses if pause.until > question.at]
        if not held:
            return None
        longest = max(held, key=lambda pause: pause.until)
        return self.wait(self.verdict, longest.until, f"{self.behind}:{longest.scope}")


class Capped(Rule):
    """One message in each period of the contact's calendar, for everything, the channel and the topic alike.

    A send after the moment that is asked about counts as well, so that two clocks that disagree let no second one out.
    """

    verdict = Verdict.DIGEST
    behind = "frequency"
    code = "frequency"
    words = _("The contact has got all messages that she wants in this period.")

    def prepare(self, contacts: Sequence[UUID]) -> str:
        return settings.TIME_ZONE

    def __call__(self, facts: Facts, question: Question, prepared: str) -> Ruling | None:
        longest: Ruling | None = None
        for cap in facts.caps:
            if cap.last is None:
                continue
            zone = periods.zone(facts.timezone, prepared)
            now = periods.period(cap.frequency, question.at, zone)
            if now is None or cap.last < now[0]:
                continue
            taken = now if cap.last < now[1] else periods.period(cap.frequency, cap.last, zone) or now
            if longest is None or longest.until is None or taken[1] > longest.until:
                longest = self.wait(self.verdict, taken[1], f"{self.behind}:{cap.scope}")
        return longest


class Quiet(Rule):
    """No marketing at night: WAGTAIL_PREFS["QUIET_HOURS"], by the contact's clock."""

    verdict = Verdict.DEFER
    code = "quiet_hours"
    words = _("It is a quiet hour where the contact is.")

    def prepare(self, contacts: Sequence[UUID]) -> Night:
        return conf.quiet_hours, settings.TIME_ZONE

    def __call__(self, facts: Facts, question: Question, prepared: Night) -> Ruling | None:
        hours, default = prepared
        if question.channel not in hours:
            return None
        begin, end = hours[question.channel]
        until = quiet_until(begin, end, question.at, periods.zone(facts.timezone, default))
        return self.wait(self.verdict, until) if until is not None else None


#: {channel: (begin, end)}, and the time zone of contacts that have none.
Night = tuple[Mapping[str, Sequence[str]], str]


def quiet_until(begin: str, end: str, at: datetime, zone: ZoneInfo) -> datetime | None:
    """`periods.quiet_until`, for a few hours and zones that are asked about all day."""
    for first, until in _nights_of(begin, end, at.astimezone(UTC).date(), zone):
        if first <= at < until:
            return until
    return None


@lru_cache(maxsize=4096)
def _nights_of(begin: str, end: str, day: date, zone: ZoneInfo) -> list[periods.Span]:
    return periods.quiet_spans((begin, end), day, zone)


#: Ours, in order; a site's rules follow.
RULES: tuple[Rule, ...] = (
    UNKNOWN,
    ERASED,
    MERGED,
    UNKNOWN_TOPIC,
    ARCHIVED,
    NOT_OFFERED,
    DEAD_ADDRESS,
    Transactional(),
    REUSED,
    SUPPRESSED,
    OPTED_OUT,
    CHANNEL_REFUSED,
    EXPIRED,
    UNSUBSCRIBED_,
    PENDING,
    Consent(),
    Paused(),
    Capped(),
    Quiet(),
)

_Call = Callable[[Facts, Question, Any], Ruling | None]
#: A rule with what it has prepared for a call.
Ready = tuple[_Call, Any]


class Asked(NamedTuple):
    """The rules of a call, and those of them that can ask to wait."""

    rules: Sequence[Ready]
    waiting: Sequence[Ready]

    @classmethod
    def of(cls, rules: Sequence[Ready]) -> Asked:
        return cls(rules, [ready for ready in rules if getattr(ready[0], "waits", True)])

    @property
    def at_once(self) -> Sequence[Ready]:
        """Those that never ask to wait: whatever she paused, and got, they say the same."""
        return [ready for ready in self.rules if not getattr(ready[0], "waits", True)]


def prepared(rules: Sequence[Rule], contacts: Sequence[UUID]) -> Asked:
    """Let each rule prepare itself for these contacts."""
    return Asked.of([(rule, rule.prepare(contacts)) for rule in rules])


def judge(facts: Facts, question: Question, asked: Asked) -> Ruling:
    """What the rules come to for one contact; see the module."""
    final, waits = heard(facts, question, asked.rules)
    return final or concluded(facts, question, waits, asked.waiting)


def heard(facts: Facts, question: Question, rules: Sequence[Ready]) -> tuple[Ruling | None, list[Ruling]]:
    """The first of these rules that refuses or sends, and what those before it ask to wait for."""
    waits: list[Ruling] = []
    for rule, ready in rules:
        if type(rule) is Refusal and not rule.when(facts, question):
            continue  # most are, and do not: asked without a call in between
        ruling = rule(facts, question, ready)
        if ruling is None:
            continue
        if ruling.verdict not in _WAITS:
            return ruling, waits
        waits.append(ruling)
    return None, waits


def concluded(facts: Facts, question: Question, waits: Sequence[Ruling], waiting: Sequence[Ready]) -> Ruling:
    """What it comes to where no rule refuses or sends. `waiting` are those that can ask to wait, at later moments too."""
    if not waits:
        return _yes(facts)
    longest = _longest(waits)
    until = _settled(longest, facts, question, waiting)
    return longest if until == longest.until else replace(longest, until=until)


def _longest(waits: Sequence[Ruling]) -> Ruling:
    """The wait that ends last; of equals the first that was asked."""
    return max(waits, key=lambda ruling: ruling.until or LAST)


def _settled(longest: Ruling, facts: Facts, question: Question, waiting: Sequence[Ready]) -> datetime:
    """The first moment from the end of a wait on at which no rule asks to wait: a pause may end in the night."""
    until = longest.until or LAST
    for _round in range(_ROUNDS):
        if until >= LAST:
            break
        later = Question(question.topic, question.channel, until, question.message, question.sender)
        waits = waits_at(later, facts, waiting)
        if not waits:
            break
        until = _longest(waits).until or LAST
    return until


def waits_at(question: Question, facts: Facts, waiting: Sequence[Ready]) -> list[Ruling]:
    """What these rules ask to wait for, without what they refuse."""
    return [
        ruling
        for rule, ready in waiting
        if (ruling := rule(facts, question, ready)) is not None and ruling.verdict in _WAITS
    ]


#: What a `send` rests on that no rule has made one.
YES = {
    "recorded": _("This message has its place already."),
    "subscribed": _("The contact has subscribed to this."),
    "allowed": _("Nothing stands in the way, and no consent is needed."),
}


def _yes(facts: Facts) -> Ruling:
    """Nothing stands in the way. Where there is a consent, it is what this rests on."""
    consented = facts.choice == SUBSCRIBED
    code = "recorded" if facts.place is Place.SAME else "subscribed" if consented else "allowed"
    return Ruling(Verdict.SEND, code, YES[code], behind="choice" if consented else "")
