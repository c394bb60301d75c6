"""Bringing people in from a file: first what it would come to, then carrying it out (security.md LW-14).

A no is always taken. A yes is taken where its row names evidence of the person's own act that is younger than whatever
she said since: the rules of every save decide that (`submissions.services.record`), and an address that was erased once
stays out. What she said of herself is not overwritten. Nothing here is logged but numbers.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from wagtail.log_actions import LogActionRegistry, log

from ..changes import Change, OptOut, SetAttribute, SetChoice
from ..contacts import rules, services as contacts, store
from ..contacts.addresses import address_keys
from ..contacts.models import Contact, Suppression
from ..errors import KeyReused, NotAllowed, UnknownContact
from ..ledger import services as ledger
from ..ledger.services import batched
from ..submissions import services as submissions
from ..submissions.sales import as_customer
from ..topics.models import Audience, Topic
from ..values import (
    DISPUTED,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Effect,
    Key,
    Source as Where,
)
from .codes import Code
from .models import ImportRun
from .reading import Line, Source

logger = logging.getLogger("wagtail_prefs.sync")

#: Rows that are looked up together, and after which a run says how far it came.
BATCH = 100
#: Rows that are forecast together at most.
PIECE = 2000
#: How often somebody may change her mind while her row is written.
TRIES = 5
#: Somebody who is not there yet.
_NOBODY = UUID(int=0)

IMPORTED = "wagtail_prefs.import"
STARTED = "wagtail_prefs.import.start"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became, or would become, of one row."""

    row: int
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is: the last row, what became of those since the last step, and of all."""

    row: int
    outcomes: Sequence[Outcome]
    sums: Mapping[str, int]


def forecast(source: Source, audience: Audience, *, batch: int = BATCH) -> Iterator[Step]:
    """Say what a file would come to, row by row. Writes nothing.

    A person with several rows is judged as each would leave her. Raises BadFile where it cannot be read on.
    """
    work = _Work(audience, "")
    several = _several(source)
    rehearsed: dict[str, _Person] = {}
    sums: Counter[str] = Counter()
    for lines in batched(source.lines(), batch):
        outcomes = _rehearse(work, lines, rehearsed, lambda address: hash(address) in several)
        sums.update(code for outcome in outcomes for code in outcome.codes)
        yield Step(lines[-1].row, outcomes, dict(sums))


def forecast_next(
    source: Source, audience: Audience, after: int, *, rows: int = PIECE, batch: int = BATCH
) -> Iterator[Step]:
    """The same for the rows beyond one, at most so many of them; nothing where there are no more.

    Pieces after one another say what `forecast` says of the whole file: what the rows before would have made of
    the people in these is gone through once more. The sums are those of this piece.
    """
    work = _Work(audience, "")
    coming = list(islice(source.lines(after), rows))
    addresses = {line.address for line in coming} - {""}
    before = takewhile(lambda line: line.row <= after, source.lines())
    rehearsed: dict[str, _Person] = {}
    for lines in batched((line for line in before if line.address in addresses), batch):
        _rehearse(work, lines, rehearsed, lambda _address: True)
    sums: Counter[str] = Counter()
    for lines in batched(coming, batch):
        outcomes = _rehearse(work, lines, rehearsed, lambda _address: True)
        sums.update(code for outcome in outcomes for code in outcome.codes)
        yield Step(lines[-1].row, outcomes, dict(sums))


def _rehearse(
    work: _Work, lines: Sequence[Line], rehearsed: dict[str, _Person], keeps: Callable[[str], bool]
) -> list[Outcome]:
    """Judge rows as those before them would have left their people; notes who is left how, where wanted."""
    people = work.look_up(lines)
    people.update({address: person for address, person in rehearsed.items() if address in people})
    outcomes = []
    for line in lines:
        codes, person = work.judge(line, people.get(line.address), timezone.now())
        outcomes.append(Outcome(line.row, codes))
        if person is not None:
            people[line.address] = person
            if keeps(line.address):
                rehearsed[line.address] = person
    return outcomes


def run(
    source: Source,
    audience: Audience,
    *,
    user: Any = None,
    batch: int = BATCH,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Write a file, beginning where an earlier run of the same file was stopped; the last step has all sums.

    May be stopped anywhere: each row is saved once. A file that was written to its end yields nothing: it changes
    nothing any more. A row that was under way when a run was stopped counts as unchanged afterwards. Raises BadFile
    where it cannot be read on; what came before stays.
    """
    digest = source.digest(audience.key)
    state, _made = ImportRun.objects.get_or_create(audience=audience, digest=digest)
    if state.done_at is not None:
        return
    work = _Work(audience, digest)
    sums: Counter[str] = Counter(state.sums)
    for lines in batched(source.lines(state.row), batch):
        people = work.look_up(lines)
        outcomes = []
        for line in lines:
            codes, person = work.carry_out(line, people.get(line.address))
            outcomes.append(Outcome(line.row, codes))
            if person is not None:
                people[line.address] = person
        sums.update(code for outcome in outcomes for code in outcome.codes)
        ImportRun.objects.filter(pk=state.pk).update(row=lines[-1].row, sums=dict(sums))
        yield Step(lines[-1].row, outcomes, dict(sums))
        if stopping():
            return
    if ImportRun.objects.filter(pk=state.pk, done_at=None).update(done_at=timezone.now()):
        log(audience, IMPORTED, user=user, data={"file": digest[:12], "sums": dict(sums)})


def is_done(source: Source, audience: Audience) -> bool:
    """Whether a file was written to its end."""
    runs = ImportRun.objects.filter(audience=audience, digest=source.digest(audience.key))
    return runs.exclude(done_at=None).exists()


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`. An entry holds numbers only."""
    actions.register_action(IMPORTED, _("Import people"), _("Imported a file of people"))
    actions.register_action(STARTED, _("Begin an import"), _("Began to import a file of people"))


def _several(source: Source) -> set[int]:
    """The hashes of the addresses that stand in more than one row: few, so that only those are kept in mind."""
    seen: set[int] = set()
    several: set[int] = set()
    for line in source.lines():
        name = hash(line.address)
        (several if name in seen else seen).add(name)
    return several


@dataclass(frozen=True, slots=True)
class _Person:
    """Who a row is about, as she is now: `contact` is None for somebody who is not there yet.

    `said` are the rows of this file about her so far, but for their numbers: what comes twice says nothing new.
    """

    state: ContactState
    contact: UUID | None = None
    external_id: str = ""
    said: frozenset[int] = frozenset()


class _Work:
    """Judging and writing the rows of one file for one audience."""

    def __init__(self, audience: Audience, digest: str) -> None:
        self.audience = audience
        self.digest = digest
        self.actor = Actor(ActorType.IMPORT, f"file-{digest[:12]}" if digest else "file")
        self.topics = {topic.key: topic for topic in Topic.objects.filter(audience=audience)}

    def look_up(self, lines: Iterable[Line]) -> dict[str, _Person]:
        """Who the rows are about, by address: three statements for a batch."""
        keys = {
            key: line.address
            for line in lines
            if line.address
            for key in address_keys(self.audience.key, line.address)
        }
        rows = Contact.objects.filter(audience=self.audience, address_key__in=keys)
        found = {keys[row.address_key or ""]: (row.merged_into_id or row.pk, row.external_id) for row in rows}
        loaded = {one.state.id: one.state for one in store.load_many([pk for pk, _name in found.values()])}
        erased = Suppression.objects.filter(audience=self.audience, address_key__in=keys)
        suppressed = {keys[key] for key in erased.values_list("address_key", flat=True)}
        people = {}
        for address in dict.fromkeys(keys.values()):
            pk, external_id = found.get(address, (None, ""))
            if pk in loaded:
                people[address] = _Person(loaded[pk], pk, external_id)
            else:
                nobody = ContactState(_NOBODY, self.audience.key, suppressed=address in suppressed)
                people[address] = _Person(nobody)
        return people

    def judge(
        self, line: Line, person: _Person | None, now: datetime
    ) -> tuple[tuple[Code, ...], _Person | None]:
        """What a row would come to, and the person as it would leave her; None where that is not known."""
        if person is None:
            return line.problems, None
        plan = self._plan(line, person, now)
        if person.contact is None and plan.is_wanted:
            # As good as there: the rows that follow find her.
            return plan.codes, replace(plan.person, contact=_NOBODY)
        return plan.codes, plan.person

    def carry_out(self, line: Line, person: _Person | None) -> tuple[tuple[Code, ...], _Person | None]:
        """Write a row; the same as `judge`, of what really became of it."""
        for _again in range(TRIES):
            if person is None:
                return line.problems, None
            plan = self._plan(line, person, timezone.now())
            if not plan.is_wanted:
                return plan.codes, plan.person
            try:
                return self._write(line, person, plan)
            except (NotAllowed, UnknownContact):
                # She changed her mind, was merged or erased, since we looked.
                person = replace(self.look_up([line])[line.address], said=person.said)
        return (*line.problems, Code.GONE), person

    def _write(self, line: Line, person: _Person, plan: _Plan) -> tuple[tuple[Code, ...], _Person]:
        pk, codes = person.contact, plan.codes
        if pk is None:
            # As it was given, but for one that only its canonical form makes short enough.
            written = line.email if len(line.email) <= 254 else line.address
            made = contacts.get_or_create(self.audience.pk, written, **line.facts, source="import")
            pk = made.pk
        else:
            contacts.dispute(pk, line.facts.get("country", ""))
        state = plan.person.state
        if plan.changes:
            try:
                state = submissions.record(
                    pk,
                    plan.changes,
                    actor=self.actor,
                    source=Where(method="import", evidence=line.evidence if plan.says_yes else None),
                    idempotency_key=f"import:{self.digest}:{line.row}",
                ).state
            except KeyReused:  # it was written before somebody stopped us
                state = contacts.load_state(pk)
        external_id = plan.person.external_id
        if plan.names and not self._name(pk, line.external_id):
            codes, external_id = (*codes, Code.TAKEN), person.external_id
        return codes, replace(plan.person, state=state, contact=pk, external_id=external_id)

    def _name(self, pk: UUID, external_id: str) -> bool:
        try:
            with transaction.atomic():
                nameless = Contact.objects.filter(pk=pk, external_id="")
                nameless.update(external_id=external_id, touched_at=timezone.now())
        except IntegrityError:
            return False
        return True

    def _plan(self, line: Line, person: _Person, now: datetime) -> _Plan:
        said = hash(replace(line, row=0, email="", facts=(), attributes=()))  # type: ignore[arg-type]
        if line.chooses and said in person.said:
            return _Plan(person, (*line.problems, Code.DUPLICATE))
        return _Planning(self, line, replace(person, said=person.said | {said}), now).plan()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a row comes to: `person` afterwards, and what has to be written for it."""

    person: _Person
    codes: tuple[Code, ...]
    changes: tuple[Change, ...] = ()
    is_wanted: bool = False  # there is something to write, and be it that she is there
    says_yes: bool = False
    names: bool = False  # gives her an external id


def _disputed(person: _Person, line: Line) -> tuple[_Person, bool]:
    """The person, once the country of the line is noted; whether that says another one than was known."""
    state, named = person.state, line.facts.get("country", "")
    if person.contact is None or "country" in state.attributes or not contacts.differ(state.country, named):
        return person, False
    return replace(person, state=replace(state, country=DISPUTED)), True


class _Planning:
    """One row and the person that it is about."""

    def __init__(self, work: _Work, line: Line, person: _Person, now: datetime) -> None:
        person, self.disputes = _disputed(person, line)
        self.work, self.line, self.person, self.now = work, line, person, now
        self.state = person.state
        self.codes: list[Code] = list(line.problems)
        self.changes: list[Change] = []
        self.effects: tuple[Effect, ...] = ()
        self.says_yes = False
        self._act: rules.Act | None = None

    def plan(self) -> _Plan:
        line, person = self.line, self.person
        if person.contact is None and person.state.suppressed:
            return _Plan(person, (*self.codes, Code.SUPPRESSED))
        if line.opted_out:
            self._try(OptOut(), Code.STRICTER)
        for key in line.noes:
            if self._offers(key):
                self._try(SetChoice(*key, UNSUBSCRIBED), Code.STRICTER)
        for key in line.yeses:
            if line.opted_out:
                self.codes.append(Code.OPTED_OUT)
            elif self._offers(key, yes=True):
                self._yes(key)
        is_new = person.contact is None
        # Somebody of whom nothing is to be noted is not noted either: nobody asked us to keep her.
        is_wanted = bool(self.changes) or self.disputes or (is_new and not line.chooses)
        if is_new and is_wanted:
            self.codes.append(Code.NEW)
        if not is_new or is_wanted:
            filled = self._fill(is_new)
            is_wanted = is_wanted or filled
        names = bool(is_wanted or not is_new) and bool(line.external_id) and not person.external_id
        if names and not is_new:
            self.codes.append(Code.FILLED)
        if not self.codes:
            self.codes.append(Code.UNCHANGED)
        after = replace(
            person,
            state=self._with_facts() if is_new and is_wanted else self.state,
            external_id=person.external_id or line.external_id * names,
        )
        return _Plan(after, tuple(self.codes), tuple(self.changes), is_wanted or names, self.says_yes, names)

    def _with_facts(self) -> ContactState:
        """Somebody who is new, as she will be made."""
        facts = self.line.facts
        return replace(
            self.state,
            language=facts.get("language", ""),
            country=facts.get("country", ""),
            timezone=facts.get("timezone", ""),
        )

    def _offers(self, key: Key, *, yes: bool = False) -> bool:
        topic = self.work.topics.get(key[0])
        if topic is None or key[1] not in topic.channels:
            self.codes.append(Code.UNKNOWN_TOPIC)
        elif topic.transactional:
            self.codes.append(Code.ALWAYS_SENT)
        elif yes and topic.archived:
            self.codes.append(Code.ARCHIVED)
        else:
            return True
        return False

    def _yes(self, key: Key) -> None:
        evidence = self.line.evidence
        change = SetChoice(*key, SUBSCRIBED)
        act = self._circumstances()
        state = self.person.state
        allowed, unsold = as_customer(
            [change],
            state,
            act,
            country=state.country if self.person.contact else self.line.facts.get("country", ""),
            bases={key[0]: self.work.topics[key[0]].basis},
        )
        if unsold:
            self.codes.append(Code.NO_CUSTOMER)
            return
        if not allowed:  # a yes of hers reaches as far already
            self.codes.append(Code.UNCHANGED)
            return
        try:
            self.says_yes |= self._try(allowed[0], Code.ACCEPTED)
        except NotAllowed:
            if self.state.suppressed:
                self.codes.append(Code.SUPPRESSED)
            elif evidence is None:
                self.codes.append(Code.NO_EVIDENCE)
            else:
                later = evidence.at > self.now
                self.codes.append(Code.LATER_EVIDENCE if later else Code.OLD_EVIDENCE)

    def _fill(self, is_new: bool) -> bool:
        """Take along what is not known of her; facts of somebody who is new are noted with her."""
        line, held = self.line, self.state.attributes
        wanted = dict(line.attributes)
        if not is_new:
            wanted |= {name: value for name, value in line.facts.items() if not getattr(self.state, name)}
        changes = [SetAttribute(name, value) for name, value in wanted.items() if name not in held]
        if changes:
            for change in changes:
                self._carry_out(change)
            if not is_new:
                self.codes.append(Code.FILLED)
        return bool(changes)

    def _try(self, change: Change, code: Code) -> bool:
        changed = self._carry_out(change)
        self.codes.append(code if changed else Code.UNCHANGED)
        return changed

    def _carry_out(self, change: Change) -> bool:
        """Whether a change does anything beside those before it, as one save of them all. Raises NotAllowed."""
        act, before = self._circumstances(), self.person.state
        wanted = (*self.changes, change)
        accepted, _yielded = rules.merge(before, wanted, before.version, act)
        after, effects = rules.apply(before, accepted, act)
        if effects == self.effects:
            return False
        self.changes.append(change)
        self.state, self.effects = after, effects
        return True

    def _circumstances(self) -> rules.Act:
        if self._act is None:
            state, evidence = self.person.state, self.line.evidence
            times: dict[int, datetime] = {}
            if evidence is not None and self.line.yeses and state.versions:
                times = ledger.times(state.id, set(state.versions.values()))
            # What rows before this one came to is said now.
            times |= {version: self.now for version in state.versions.values() if version not in times}
            self._act = rules.Act(actor=self.work.actor, at=self.now, evidence=evidence, times=times)
        return self._act
