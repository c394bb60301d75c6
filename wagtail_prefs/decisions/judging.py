"""What was sent without asking: noted, and held against what `decide` would have said at the moment it was sent.

Nobody is accused of what she could not know. A no that came later is not held against a message, and a yes that came
later does not excuse it: the ledger says what held (`past`). What it does not know - the rules of a site, that a topic was
archived - counts only for what was sent just now. A frequency is broken by one message too many in a period, in
whichever order they are told of; what went out in other periods is nobody's fault.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from ..contacts.models import Contact
from ..ledger.models import Record
from ..topics.models import Topic
from . import custom, facts, past, periods, sends
from .answers import names
from .models import Send
from .rules import RULES, Asked, judge, prepared
from .values import CapFact, Facts, Question, Standing, Verdict

#: What was sent so long ago was sent just now: what only today knows holds for it too.
PRESENT = timedelta(minutes=5)
#: How often somebody can be merged while she is looked for.
_TRIES = 5


class Report(NamedTuple):
    """A message that somebody sent; without `at` just now. `waited_since`: it was put off then."""

    message: str
    contact: UUID
    topic: str
    channel: str
    at: datetime | None = None
    waited_since: datetime | None = None


class Noted(NamedTuple):
    """What became of a report: whether it was new, and what `decide` says of its moment, or said when it was noted first.

    An empty verdict is that of a message noted before anything was judged.
    """

    new: bool
    verdict: str
    reason: str


#: Of whom nothing is noted, and what; told apart from what rules say by being these.
NOBODY = Noted(False, Verdict.REFUSE, "unknown")
ERASED = Noted(False, Verdict.REFUSE, "erased")
NO_TOPIC = Noted(False, Verdict.REFUSE, "unknown_topic")
#: The id stands for a message of another topic or channel, and goes on doing so.
REUSED = Noted(False, Verdict.REFUSE, "reused")


def note(reports: Sequence[Report], *, audience: int | None = None, sender: str = "") -> list[Noted]:
    """Note these messages, and say in their order what became of each. What is noted already stays as it is.

    Whoever was merged is who she is now. `audience`: contacts of others are unknown. A moment to come is now. Messages'
    ids, channels and moments (UTC) are sound already.

    Statements: eight at most, and one for each topic and channel that is named.
    """
    everybody = sorted({report.contact for report in reports})
    ours, theirs = prepared(RULES, ()), custom.rules()
    whole = Asked.of([*ours.rules, *prepared(theirs, everybody).rules]) if theirs else ours
    for _try in range(_TRIES):
        lasting = _lasting(everybody, audience)
        locked = sorted({*lasting, *lasting.values()})
        with transaction.atomic():
            sends.lock(facts.array(contact.hex for contact in locked))
            people = _people(locked)
            there = {who: lasts_as for who, lasts_as in lasting.items() if {who, lasts_as} <= people.keys()}
            if all(people[who].lasts_as == lasts_as for who, lasts_as in there.items()):
                return _Sitting(people, there, ours, whole).note(reports, sender)
        # She was merged while we waited, and nothing is written yet.
    raise RuntimeError("contacts are merged faster than they can be looked up")


class Person(NamedTuple):
    """What is true of a contact herself. `changed_at` is the moment of her newest record."""

    id: UUID
    audience: int
    merged_into: UUID | None
    erased_at: datetime | None
    dead_at: datetime | None
    changed_at: datetime | None

    @property
    def lasts_as(self) -> UUID:
        """Who she is now."""
        return self.merged_into or self.id

    def changed_after(self, moment: datetime) -> bool:
        return self.changed_at is not None and self.changed_at > moment


def _lasting(contacts: Collection[UUID], audience: int | None) -> dict[UUID, UUID]:
    """Those of the contacts who are there, and who each of them is now."""
    rows = Contact.objects.filter(pk__in=contacts)
    if audience is not None:
        rows = rows.filter(audience=audience)
    return {who: merged_into or who for who, merged_into in rows.values_list("pk", "merged_into")}


def _people(contacts: Collection[UUID]) -> dict[UUID, Person]:
    newest = Record.objects.filter(contact_ref=OuterRef("pk"), seq=OuterRef("version")).values("at")
    rows = Contact.objects.filter(pk__in=contacts).annotate(changed_at=Subquery(newest))
    columns = ("pk", "audience_id", "merged_into", "erased_at", "email_dead_at", "changed_at")
    return {row[0]: Person(*row) for row in rows.values_list(*columns)}


class _Case(NamedTuple):
    """A report that can be a row: of whom, and what is asked about it."""

    place: int
    report: Report
    contact: UUID  # who she is now: whose row it is
    subject: UUID  # whom the message was for at that moment: before a merge, another one
    question: Question

    @property
    def name(self) -> tuple[str, UUID]:
        """What a row is told from others by."""
        return self.report.message, self.contact


class _Known(NamedTuple):
    """What was known at the moment of a case, and the record behind what a ruling went by."""

    facts: Facts
    record: Callable[[str], UUID | None]


class _Sitting:
    """One call of `note`, with the contacts under lock."""

    def __init__(
        self, people: Mapping[UUID, Person], lasting: Mapping[UUID, UUID], ours: Asked, whole: Asked
    ) -> None:
        self.people = people
        self.lasting = lasting
        self.ours = ours
        self.whole = whole
        self.now = timezone.now()

    def note(self, reports: Sequence[Report], sender: str) -> list[Noted]:
        """See `note` of the module."""
        found: dict[int, Noted] = {}
        cases = self._cases(reports, found)
        rows = _rows(cases)
        known = self._known([case for case in cases if case.name not in rows])
        taken = _taken(known)
        made: dict[UUID, list[Send]] = defaultdict(list)
        for case in cases:
            row = rows.get(case.name)
            if row is not None:
                found[case.place] = _told(case, row)
            elif case not in known:
                found[case.place] = NO_TOPIC
            else:
                row = self._judged(case, known[case], taken, made[case.contact], sender)
                rows[case.name] = row
                made[case.contact].append(row)
                found[case.place] = Noted(True, row.verdict, row.reason)
        Send.objects.bulk_create(row for of_her in made.values() for row in of_her)
        return [found[place] for place in range(len(reports))]

    def _cases(self, reports: Sequence[Report], found: dict[int, Noted]) -> list[_Case]:
        """The reports that can be rows, in the order in which the messages went out; the others are answered."""
        topics = self._topics(reports)
        cases = []
        for place, report in enumerate(reports):
            lasts_as = self.lasting.get(report.contact)
            topic, channel = names(report.topic, report.channel)
            if lasts_as is None:
                found[place] = NOBODY
                continue
            who = self.people[lasts_as]
            if who.erased_at is not None:
                found[place] = ERASED
            elif topics is not None and (who.audience, topic) not in topics:
                found[place] = NO_TOPIC
            else:
                at = self.now if report.at is None else min(report.at, self.now)
                subject = report.contact if self.people[report.contact].changed_after(at) else who.id
                cases.append(_Case(place, report, who.id, subject, Question(topic, channel, at)))
        return sorted(cases, key=lambda case: (case.question.at, case.place))

    def _topics(self, reports: Sequence[Report]) -> set[tuple[int, str]] | None:
        """Those of the topics that there are; None where one is named, as its facts will tell."""
        keys = {names(report.topic, report.channel)[0] for report in reports}
        if len(keys) == 1:
            return None
        return set(Topic.objects.filter(key__in=keys).values_list("audience_id", "key"))

    def _known(self, cases: Sequence[_Case]) -> dict[_Case, _Known]:
        """What was known at the moment of each; without those whose topic is none of her audience."""
        together: dict[tuple[str, str], list[_Case]] = defaultdict(list)
        for case in cases:
            together[case.question.topic, case.question.channel].append(case)
        changed = {case.subject for case in cases if self._is_past(case)}
        chains = past.chains(changed)
        known: dict[_Case, _Known] = {}
        for (topic, channel), of_them in together.items():
            subjects = sorted({case.subject for case in of_them})
            question = Question(topic, channel, self.now)
            array = facts.array(subject.hex for subject in subjects)
            found = facts.fetch(array, len(subjects), question, facts.Look(whole=True))
            rows = dict(zip(subjects, found, strict=True))
            for case in of_them:
                today = facts.facts_of(case.subject, rows[case.subject], channel)
                if today.topic is not None:
                    known[case] = self._then(case, today, rows[case.subject], chains)
        return known

    def _is_past(self, case: _Case) -> bool:
        """Whether something of her changed since then."""
        return self.people[case.subject].changed_after(case.question.at)

    def _then(self, case: _Case, today: Facts, rows: facts.Rows, chains: past.Chains) -> _Known:
        at, dead_at = case.question.at, self.people[case.subject].dead_at
        known = today._replace(standing=Standing.KNOWN, email_dead=dead_at is not None and dead_at <= at)
        if known.topic is not None and self._only_the_ledger_knows(at):
            channels = known.topic.channels | {case.question.channel}
            known = known._replace(topic=replace(known.topic, archived=False, channels=channels))
        if self._is_past(case):
            try:
                then = past.Past(chains[case.subject], at)
            except ValueError:
                pass  # records that cannot be folded say nothing, so it is as it is today
            else:
                return _Known(
                    then.facts(known, case.question), lambda behind: then.record(behind, case.question)
                )
        return _Known(known, lambda behind: _record(rows, behind))

    def _only_the_ledger_knows(self, at: datetime) -> bool:
        return at < self.now - PRESENT

    def _judged(
        self, case: _Case, known: _Known, taken: Collection[_Slot], here: Sequence[Send], sender: str
    ) -> Send:
        """The row of a case. `taken` are the slots that are used up, `here` what this call noted of her before."""
        at = case.question.at
        caps = tuple(
            replace(cap, last=at if slot in taken or any(map(slot.holds, here)) else None)
            for cap, slot in _slots(case, known.facts)
        )
        ruling = judge(
            known.facts._replace(caps=caps),
            case.question,
            self.ours if self._only_the_ledger_knows(at) else self.whole,
        )
        return Send(
            message_id=case.report.message,
            contact=case.contact,
            topic=case.question.topic,
            channel=case.question.channel,
            at=at,
            counts=ruling.reason != "transactional",
            sender=sender,
            verdict=ruling.verdict.value,
            reason=sends.code(ruling.reason),
            record=known.record(ruling.behind),
            waited_since=case.report.waited_since,
        )


class _Slot(NamedTuple):
    """One period of a contact's in which one message may go out of those that a frequency is about."""

    contact: UUID
    topic: str  # "": of any
    channel: str
    begin: datetime
    end: datetime

    def holds(self, row: Send) -> bool:
        """Whether a message of hers takes it."""
        return (
            row.counts
            and self.begin <= row.at < self.end
            and self.topic in {"", row.topic}
            and self.channel in {"", row.channel}
        )


def _slots(case: _Case, known: Facts) -> Iterator[tuple[CapFact, _Slot]]:
    """The slots that the message of a case would take."""
    zone = periods.zone(known.timezone, settings.TIME_ZONE)
    for cap in known.caps:
        span = periods.period(cap.frequency, case.question.at, zone)
        if span is not None:
            topic, channel = past.scopes(case.question)[cap.scope]
            yield cap, _Slot(case.contact, topic, channel, *span)


def _taken(known: Mapping[_Case, _Known]) -> set[_Slot]:
    """Those of the slots that messages noted earlier take; one statement, none where nobody has a frequency."""
    slots = sorted({slot for case, of in known.items() for _cap, slot in _slots(case, of.facts)})
    if not slots:
        return set()
    columns = ("contact", "topic", "channel", "begins", "ends")
    given = [
        (slot.contact.hex, slot.topic, slot.channel, _stored(slot.begin), _stored(slot.end)) for slot in slots
    ]
    found = _asked(
        "given.place",
        columns,
        given,
        "WHERE EXISTS (SELECT 1 FROM {sends} AS sent WHERE sent.contact = given.contact AND sent.counts"
        " AND sent.at >= given.begins AND sent.at < given.ends"
        " AND given.topic IN ('', sent.topic) AND given.channel IN ('', sent.channel))",
    )
    return {slots[place] for (place,) in found}


def _rows(cases: Sequence[_Case]) -> dict[tuple[str, UUID], Send]:
    """The rows that there are of these; one statement."""
    of = sorted({case.name for case in cases})
    if not of:
        return {}
    found = _asked(
        "given.place, sent.topic, sent.channel, sent.verdict, sent.reason",
        ("contact", "message"),
        [(contact.hex, message) for message, contact in of],
        "JOIN {sends} AS sent ON sent.message_id = given.message AND sent.contact = given.contact",
    )
    columns = ("topic", "channel", "verdict", "reason")
    return {of[place]: Send(**dict(zip(columns, row, strict=True))) for place, *row in found}


def _told(case: _Case, row: Send) -> Noted:
    """What is answered of a message that is a row already."""
    if (row.topic, row.channel) != (case.question.topic, case.question.channel):
        return REUSED
    return Noted(False, row.verdict, row.reason)


def _record(rows: facts.Rows, behind: str) -> UUID | None:
    spot = facts.spot_behind(rows, behind)
    record = rows[spot[0]][spot[1]] if spot else None
    return record if record is None or isinstance(record, UUID) else UUID(record)


_TYPES = {"contact": "uuid", "begins": "timestamptz", "ends": "timestamptz"}


def _asked(wanted: str, columns: Sequence[str], rows: Sequence[Sequence[str]], rest: str) -> list[Any]:
    """Ask about rows that come as one parameter: a table `given` with their places, from 0, and these columns."""
    if connection.vendor == "postgresql":
        typed = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in columns)
        table = f"json_to_recordset(%(given)s::json) AS given(place int, {typed})"
    else:
        named = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
        table = f"(SELECT key AS place, {named} FROM json_each(%(given)s)) AS given"  # noqa: S608 - names
    given = [{"place": place, **dict(zip(columns, row, strict=True))} for place, row in enumerate(rows)]
    sql = f"SELECT {wanted} FROM {table} {rest.format(sends=connection.ops.quote_name(Send._meta.db_table))}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, {"given": json.dumps(given)})
        found: list[Any] = cursor.fetchall()
    return found


def _stored(moment: datetime) -> str:
    """A moment as the database writes it."""
    return str(connection.ops.adapt_datetimefield_value(moment))
