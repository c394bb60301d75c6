"""The one way in which a contact's state changes: lock, read, merge, apply, write - one transaction, six statements at most."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from .. import keys, writes
from ..access import services as access
from ..access.models import OneTimeLink
from ..access.services import Once
from ..canonical import canonical
from ..centers import services as centers, visibility
from ..centers.services import Snapshot, remembered
from ..changes import Change, ChangeAddress, Erase, Expire, Merge, PauseFor, Undo
from ..ciphers import Unreadable
from ..conf import conf
from ..contacts import rules, services as contacts, store
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact, State
from ..contacts.rules import OPTED_OUT
from ..decisions import sends
from ..delivery import services as delivery
from ..errors import AddressTaken, BadToken, KeyReused, StepUpRequired, UnknownContact, UnknownReceipt
from ..law import services as law
from ..ledger import fold, services as ledger
from ..ledger.format1 import GENESIS, Applied, Notice, Proof
from ..ledger.models import Record, SideValue
from ..mail import services as mail
from ..sending import queue
from ..sending.waking import wake
from ..topics.models import Topic
from ..values import DISPUTED, Actor, ActorType, Answers, Assurance, ContactState, Effect, Merged, Source
from . import new_address, receipt_mail, signals
from .gone import gone_answers, gone_topics, without
from .gpc import Shared, refusals, without_restored, without_yes
from .history import (
    PastSubmission,
    can_be_taken_back,
    history,
    is_final,
    is_untold,
    past_submission,
    records_of,
)
from .sales import as_customer
from .unconfirmed import is_nobody_yet, is_unconfirmed, tell_nobody
from .wishes import asked, wishes
from .words import Line, words_of

#: Where no browser says anything.
NOTHING_SHARED: Shared = {}

__all__ = [
    "PastSubmission",
    "Saved",
    "can_be_taken_back",
    "confirm_address",
    "erase",
    "expire_due",
    "history",
    "honour_signal",
    "merge_contacts",
    "past_submission",
    "record",
    "records_of",
    "submit",
    "undo",
]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a submission came to. `receipt` is None when nothing had to change; then `version` is the old one."""

    version: int
    receipt: str | None
    effects: tuple[Effect, ...]
    yielded: tuple[Merged, ...]
    state: ContactState
    email: str
    applied: tuple[Line, ...] = ()
    merged: tuple[Line, ...] = ()
    asks_address: bool = False  # another address was asked for, which counts when it is confirmed


def submit(
    *,
    link_id: str,
    epoch: int,
    snapshot: Snapshot,
    base_version: int,
    answers: Answers,
    actor: Actor,
    source: Source,
    idempotency_key: str | None,
    assurance: Assurance = "link",
    network: str = "",
    shared: Shared = NOTHING_SHARED,
) -> Saved:
    """Save answers given on a snapshot by the holder of a link.

    An absent answer means "not touched". A stale `base_version` is merged, never refused. A repeat of
    `idempotency_key` gets the first answer again. Another address is not saved: a mail goes there, within the limits of
    the address, the contact and the `network` that asks, and it counts when it is confirmed. No yes to a topic of
    `shared` is taken (`gpc`). Raises InvalidAnswers, StepUpRequired (personal fields, but no fresh link), KeyReused, BadToken (revoked meanwhile) and UnknownContact (erased meanwhile); then nothing was changed.
    """
    changes = centers.answers_to_changes(snapshot, answers)
    request = {"revision": snapshot.digest, "base_version": base_version, "answers": plain_answers(answers)}
    return _worded(
        _save(
            _Wish(
                {"link_id": link_id},
                changes,
                actor,
                source,
                base_version=base_version,
                idempotency_key=idempotency_key,
                request=request,
                proof=proof_of(snapshot),
                epoch=epoch,
                screen=_Screen(snapshot, answers, assurance, gone_topics(snapshot, changes), network),
                shared=shared,
            )
        ),
        snapshot,
    )


def _worded(saved: Saved, snapshot: Snapshot) -> Saved:
    """With what was done in the words of a page."""
    words = words_of(snapshot, saved.state.timezone)
    applied = words.applied(saved.effects, saved.yielded)
    if saved.asks_address:
        applied = (*applied, new_address.line(words))
    return replace(saved, applied=applied, merged=words.merged(saved.yielded))


def record(
    contact_id: UUID,
    changes: Sequence[Change],
    *,
    actor: Actor,
    source: Source,
    idempotency_key: str | None = None,
) -> Saved:
    """Save changes that were not made on a center: one-click, jobs, checkouts.

    They are held against today's state. What she does herself counts for whom she was merged into; from anybody else
    a contact who was merged is unknown: a platform that we told to stop at the old address must not make her leave
    by its echo. Raises UnknownContact, NotAllowed (design.md s6: only the contact's own act, or evidence of it with a
    name, makes a yes), AddressTaken, and ValueError for changes that contradict each other. For `Undo`, `Merge` and
    `Erase` there are functions of their own.
    """
    if rules.contradictions(changes):
        raise ValueError("changes contradict each other")
    if any(isinstance(change, Undo | Merge | Erase) for change in changes):
        raise ValueError("use undo(), merge_contacts() or erase()")
    return _save(
        _Wish(
            {"id": contact_id},
            changes,
            actor,
            source,
            follow=actor.type in _HERS,
            idempotency_key=idempotency_key,
            request={"changes": [change.to_json() for change in changes]},
        )
    )


def undo(
    *,
    link_id: str,
    epoch: int,
    snapshot: Snapshot | None,
    receipt: UUID,
    actor: Actor,
    source: Source,
    idempotency_key: str | None,
    assurance: Assurance = "link",
    shared: Shared = NOTHING_SHARED,
) -> Saved:
    """Take a submission back, path by path, where nothing newer stands in its way (design.md s6).

    `applied` says what is as before, `merged` what stays and why; without a snapshot there are no words for it, and no
    attribute comes back. Raises UnknownReceipt for one of somebody else, one older than `UNDO_DAYS`, and one that no receipt takes back (an erasure, a merge, a change of address);
    StepUpRequired for one that holds personal answers, without a fresh link.
    """
    change = Undo(receipt)
    told = visibility.told_attributes(snapshot) if snapshot else ()
    saved = _save(
        _Wish(
            {"link_id": link_id},
            [change],
            actor,
            source,
            idempotency_key=idempotency_key,
            request={"changes": [change.to_json()]},
            epoch=epoch,
            told=None if assurance == "fresh" else told,
            shared=shared,
        )
    )
    return _worded(saved, snapshot) if snapshot else saved


def confirm_address(link: Once, *, source: Source, locale: str, center_title: str) -> Saved:
    """Use up a link that was mailed to a new address: from now on it is hers, with every choice as it was.

    Her old address is told, and whatever was mailed there opens nothing any more but the way out. Raises BadToken for
    a link that is used, too old or overtaken, and AddressTaken where another contact has that address by now; then
    nothing was changed, and the link can be tried again.
    """
    with transaction.atomic():
        # First the contact, then her links, as `new_address.ask` goes.
        if Contact.objects.select_for_update().filter(pk=link.contact_id).first() is None:
            raise UnknownContact
        access.consume(link)
        saved = record(
            link.contact_id,
            [ChangeAddress(link.address)],
            actor=Actor(ActorType.SUBJECT_LINK),
            source=source,
        )
        if saved.email and canonical_email(saved.email) != canonical_email(link.address):
            mail.post(
                "address_changed",
                to=saved.email,
                audience_id=link.audience_id,
                locale=locale,
                context={"center_title": center_title},
                contact=saved.state.id,
            )
    return saved


def honour_signal(state: ContactState, shared: Shared, source: Source) -> ContactState:
    """Record what the browser's privacy signal says no to (`gpc`); returns the state after it.

    Nothing is asked of the database, and nothing recorded, where all of it is a no already: once is enough. Raises
    UnknownContact for one who was erased meanwhile.
    """
    changes = refusals(state, shared)
    if not changes:
        return state
    return record(state.id, changes, actor=Actor(ActorType.GPC), source=source).state


def merge_contacts(loser: UUID, winner: UUID, *, actor: Actor, source: Source) -> Saved:
    """Make one contact of two: the stricter value wins, and the loser's links lead to the winner from now on.

    A yes goes over only where the person herself unites the two, or evidence with a name says that they are one;
    `yielded` names what stayed behind. The loser's chain says whom she became, the winner's what came over. Raises
    UnknownContact for one who was erased or merged already, ValueError for two of different audiences. Returns what
    became of the winner.
    """
    change = Merge(loser, winner)
    with transaction.atomic():
        # In one order, whoever is merged into whom: two merges at once must not wait for each other. Whoever was
        # merged before is not locked: the merge of her winner moves her on, and would wait for us.
        for contact_id in sorted((loser, winner)):
            live = Contact.objects.filter(pk=contact_id, merged_into=None, erased_at=None)
            if live.select_for_update().values_list("pk").first() is None:
                raise UnknownContact
        there = contacts.load_target(loser).state
        if there.audience != contacts.load_target(winner).state.audience:
            raise ValueError("contacts of two audiences are not merged")
        saved = _save(_Wish({"id": winner}, [change], actor, source, others={loser: there}))
        _save(_Wish({"id": loser}, [change], actor, source))
        if contacts.dispute(winner, there.country):
            saved = replace(saved, state=replace(saved.state, country=DISPUTED))
        queue.hand_over(loser, winner)
        sends.hand_over(loser, winner)  # what either was sent counts for the caps of the one they are now
    return saved


def erase(contact_id: UUID, *, actor: Actor, source: Source, remember: bool = True) -> Saved:
    """Forget a person: her addresses, her profile, and every personal value of her records. The chains stay whole.

    Whoever was merged into her is forgotten with her; by the id of one of those she is meant as well, unless it is a
    platform that speaks: it may only tell us that it forgot the old address. Her addresses are remembered as keyed
    hashes, so that nobody mails them again by importing them (security.md LW-12), unless `remember` is False: for
    whoever never said anything, and has no no that could be forgotten. Raises UnknownContact for one who is erased
    already, and ciphers.Unreadable while the key of her address is missing.
    """
    with transaction.atomic():
        follow = actor.type is not ActorType.BACKEND
        saved = _save(_Wish({"id": contact_id}, [Erase()], actor, source, follow=follow))
        merged = (
            Contact.objects.filter(merged_into=saved.state.id).order_by("pk").values_list("pk", flat=True)
        )
        people = [
            saved,
            *(_save(_Wish({"id": former}, [Erase()], actor, source, former=True)) for former in list(merged)),
        ]
        audience = Contact.objects.values_list("audience_id", flat=True).get(pk=saved.state.id)
        hers = [
            address
            for address in (sorted(_addresses(people)) if remember else ())
            if contacts.find(audience, address) is None  # else it is somebody else's by now
        ]
        for address in hers:
            contacts.suppress(audience, address)
        access.forget_asked(audience, hers)
        for person in people:
            ledger.forget(person.state.id)
            queue.forget(
                person.state.id
            )  # first, as `hand_over` and `send_again` have it: else they might wait for us,
            sends.forget(person.state.id)  # and we for them
            mail.forget(person.state.id)
            OneTimeLink.objects.filter(contact=person.state.id).delete()
        signals.erased.send(sender=Contact, contact=saved.state.id, actor=actor)
    return replace(saved, email="")


def _addresses(people: Sequence[Saved]) -> set[str]:
    """The addresses of people who are being erased, also those they had before."""
    records = Record.objects.filter(contact_ref__in=[person.state.id for person in people]).values("id")
    before = SideValue.objects.filter(name="address:email", record__in=records)
    found = {person.email for person in people}
    for record, name, stored in before.values_list("record", "name", "value"):
        value = json.loads(SideValue.revealed(record, name, stored))
        found |= {address for address in value.values() if isinstance(address, str)}
    return found - {""}


def expire_due(at: datetime | None = None, limit: int = 500) -> int:
    """Write down which consents, and which waits for one, have ended by themselves; returns how many contacts.

    Nothing waits for this: a decision reads the dates. It is for CRMs, which do not. Whoever was only signed up, and
    never confirmed it, is forgotten with the last of those waits.
    """
    now = at or timezone.now()
    due = (
        State.objects.filter(choice_until__lte=now, contact__merged_into=None, contact__erased_at=None)
        .order_by("contact_id", "topic", "channel")
        .values_list("contact_id", "topic", "channel")[:limit]
    )
    by_contact: dict[UUID, list[Change]] = {}
    for contact_id, topic, channel in due:
        by_contact.setdefault(contact_id, []).append(Expire(topic, channel))
    written = 0
    for contact_id, changes in by_contact.items():
        with suppress(UnknownContact), transaction.atomic():  # erased or merged since we looked
            saved = record(contact_id, changes, actor=_EXPIRY, source=Source(method="expiry"))
            if saved.receipt is None:
                continue
            written += 1
            if is_unconfirmed(saved.state):
                erase(contact_id, actor=_EXPIRY, source=Source(method="expiry"), remember=False)
                tell_nobody(contact_id)
    return written


_EXPIRY = Actor(ActorType.SYSTEM, "expiry")
#: Whose acts are the person's own hand, whatever they may do.
_HERS = {ActorType.SUBJECT_LINK, ActorType.SUBJECT_SESSION, ActorType.ONE_CLICK, ActorType.GPC}
#: The second is for whoever was merged; each further one needs another merge of the same contact in just that moment.
_TRIES = 8


@dataclass(frozen=True, slots=True)
class _Screen:
    """What a person had before her eyes, what she answered, and by which link she came."""

    snapshot: Snapshot
    answers: Answers
    assurance: Assurance
    gone: frozenset[str] = frozenset()  # topics that she asks for, and that nobody can get any more
    network: str = ""  # from where, for the limits of what leaves a mail


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody wants changed, of whom, and on what terms."""

    who: dict[str, Any]
    changes: Sequence[Change]
    actor: Actor
    source: Source
    idempotency_key: str | None = None
    request: Any = None  # what the key was sent with, as JSON
    base_version: int | None = None  # None: it is held against today's state
    proof: Proof | None = None  # None: the bases of the topics as they are today
    epoch: int | None = None
    others: Mapping[UUID, ContactState] = field(default_factory=dict)
    follow: bool = False  # an id leads on to whom its contact was merged into, as a link always does
    former: bool = False  # it is about one who was merged: to erase her, too
    shared: Shared = field(default_factory=dict)  # what the browser's privacy signal is about: it gets no yes
    told: Collection[str] | None = None  # the only attributes that an undo may bring back; None: all
    screen: _Screen | None = None  # where it was made: what of it she could see is known beside her state
    new_address: str = ""  # asked for on a screen; it takes more than that


def _save(wish: _Wish) -> Saved:
    for number in range(_TRIES):
        with suppress(_Moved):
            return _try(wish, via=number > 0)
    raise UnknownContact


def _try(wish: _Wish, *, via: bool) -> Saved:
    once = _Once.of(wish)
    try:
        with transaction.atomic():
            held = _lock(wish, via=via)
            now = timezone.now()  # under the lock: the records of a chain stand in the order of their times
            found = _read(held, once, with_bases=wish.proof is None)
            if found.repeat is not None:
                asks = bool(wish.screen and new_address.asked_for(wish.changes)[1])
                raise _Settled(replace(_again(found, found.repeat, once), asks_address=asks))
            state = found.loaded.state
            if wish.former:
                state = replace(state, merged_into=None)
            base = _base(wish, found)
            wish, hidden = _seen(wish, state, now)
            act, off = without_restored(_act(wish, found.loaded, now), wish.shared, state)
            wanted, unsold = as_customer(wish.changes, state, act, country=state.country, bases=found.bases)
            accepted, yielded = rules.merge(state, wanted, base, act)
            yielded = (*hidden, *off, *unsold, *yielded)
            after, effects = rules.apply(state, accepted, act)
            if wish.screen and wish.new_address:
                new_address.ask(state.id, wish.new_address, wish.screen.snapshot, wish.screen.network)
            if not effects:
                unchanged = Saved(state.version, None, (), yielded, state, found.loaded.email)
                if not wish.new_address:
                    raise _Settled(unchanged)
                # Nothing to record, and still something to keep: so the version goes back by itself.
                Contact.objects.filter(pk=state.id).update(version=F("version") - 1)
                return replace(unchanged, asks_address=True)
            moved = next((effect.after for effect in effects if effect.path == "address:email"), None)
            _write_contact(found.loaded, after, effects, moved)
            _lift_suppression(found.loaded, after, effects, moved)
            proof, place = wish.proof or Proof(bases=found.bases), law.current().rules_for(state.country)
            entry = ledger.next_record(
                contact=state.id,
                audience=state.audience,
                seq=after.version,
                prev=found.head,
                at=now,
                actor=wish.actor,
                source=wish.source,
                base_version=wish.base_version,
                changes=wish.changes,
                effects=effects,
                merged=yielded,
                proof=Proof(
                    proof.notice, place.jurisdiction, proof.bases, Applied(place.version, place.reason)
                ),
                idempotency_key=once.keys[0] if once.keys else None,
                request=once.requests[0] if once.requests else None,
            )
            if moved is not None or after.erased:
                if found.loaded.unreadable:  # or nobody could tell platforms which address to forget
                    raise Unreadable
                delivery.retire(state.id, found.loaded.target.identifiers, erased=after.erased)
            restricts = any(effect.is_no for effect in effects)
            writes.carry_out(
                [
                    *store.upsert(after, effects),
                    *entry.writes,
                    *wake(state.id, effects, now),
                    *(
                        ()
                        if is_nobody_yet(after, effects)
                        else delivery.want(state.id, after.version, restricts=restricts)
                    ),
                ]
            )
            if wish.screen and receipt_mail.is_wanted(wish.screen.snapshot):
                receipt_mail.leave(state.id, entry.id, effects, wish.screen.snapshot, after.timezone)
    except _Settled as settled:
        return settled.saved
    return Saved(
        after.version,
        str(entry.id),
        effects,
        yielded,
        after,
        found.loaded.email,
        asks_address=bool(wish.new_address),
    )


@dataclass(frozen=True, slots=True)
class _Once:
    """What tells a repeat from a new wish, as digests under every key of the ring, the newest first.

    Keyed, because both stand in a record for ever: anybody could try addresses against a plain hash of a request that
    holds one, and against that of a key that a job has made of one (security.md AU-03).
    """

    keys: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()

    @classmethod
    def of(cls, wish: _Wish) -> _Once:
        if not wish.idempotency_key:
            return cls()
        return cls(
            tuple(keys.digests("idempotency-key", wish.idempotency_key.encode())),
            tuple(keys.digests("request", canonical(wish.request))),
        )


def _seen(wish: _Wish, state: ContactState, now: datetime) -> tuple[_Wish, tuple[Merged, ...]]:
    """The wish as it is meant by who saw the page that she saw; and what of it the page did not show."""
    screen = wish.screen
    if screen is None:
        return wish, ()
    changes, hidden = tuple(wish.changes), tuple[Merged, ...]()
    if not visibility.is_same_for_all(screen.snapshot):
        found = wishes(screen.snapshot, screen.answers, state, now, screen.assurance)
        changes, hidden = found.changes, found.hidden
    elif any(isinstance(change, PauseFor) for change in wish.changes):
        changes = asked(screen.snapshot, screen.answers, state, now)
    changes, gone = without(changes, screen.gone, gone_answers(screen.snapshot, screen.answers), state)
    changes, off = without_yes(changes, wish.shared, state)
    changes, address = new_address.asked_for(changes)
    if (
        address and screen.assurance != "fresh"
    ):  # also where a block of the site's own does not call it personal
        raise StepUpRequired
    return replace(wish, changes=changes, new_address=address), (*hidden, *gone, *off)


def _act(wish: _Wish, found: store.Loaded, now: datetime) -> rules.Act:
    """The circumstances; reads more only where a change needs it."""
    state, source = found.state, wish.source
    noes: list[str] = []
    if source.evidence:
        channels = dict.fromkeys(change.key[1] for change in wish.changes)
        noes = [OPTED_OUT, *map(rules.channel_path, channels), *(change.path for change in wish.changes)]
    addresses = [change.address for change in wish.changes if isinstance(change, ChangeAddress)]
    return rules.Act(
        actor=wish.actor,
        at=now,
        evidence=source.evidence,
        address=found.email,
        suppressed=frozenset(
            address for address in addresses if contacts.is_suppressed(found.audience_id, address)
        ),
        times=ledger.times(state.id, [state.versions.get(path, 0) for path in noes]) if noes else {},
        past={
            change.record: _past(state.id, change.record, now, wish.told)
            for change in wish.changes
            if isinstance(change, Undo)
        },
        others=wish.others,
    )


def _past(contact: UUID, receipt: UUID, now: datetime, told: Collection[str] | None) -> rules.Past:
    """What a record did, with what stood before it; raises UnknownReceipt, and StepUpRequired for what is not `told`."""
    entry = Record.objects.filter(pk=receipt, contact_ref=contact, at__gt=now - conf.undo_life).first()
    if entry is None:
        raise UnknownReceipt
    body = ledger.read_body(entry)
    if is_final(body):
        raise UnknownReceipt
    before = fold.of(contact, until_seq=entry.seq - 1)
    after = fold.of(contact, until_seq=entry.seq)
    effects = ledger.effects_of(body)
    if is_untold(effects, told):
        raise StepUpRequired
    steps: dict[str, rules.Step] = {}
    for effect in effects:
        was, became = before.get(effect.path), after[effect.path]
        steps[effect.path] = rules.Step(
            before=was.after if was else effect.before,
            after=became.after,
            until=was.until if was else None,
            gone=isinstance(was and was.after, fold.Gone) or isinstance(became.after, fold.Gone),
        )
    later = Record.objects.filter(contact_ref=contact, seq__gt=entry.seq)
    noes = [
        effect for other in later for effect in ledger.effects_of(ledger.read_body(other)) if effect.is_no
    ]
    return rules.Past(
        entry.seq,
        steps,
        left_since=any(effect.path == OPTED_OUT for effect in noes),
        refused_since=frozenset(
            effect.channel for effect in noes if effect.path == rules.channel_path(effect.channel)
        ),
    )


def _base(wish: _Wish, found: _Found) -> int:
    """The version of this contact that the person had before her eyes."""
    version = found.loaded.state.version
    if wish.base_version is None:
        return version
    if wish.base_version < found.since:
        return 0  # a tab of hers from before the merge: it shows the other chain, and nothing of this one
    return min(wish.base_version, version)


def _write_contact(
    found: store.Loaded, after: ContactState, effects: Sequence[Effect], moved: str | None
) -> None:
    """Write what became of the contact as a whole. Raises AddressTaken where `moved`, the new address, is another contact's in whatever spelling."""
    if moved is None:
        store.write_contact(after, effects)
        return
    holder = contacts.find(found.audience_id, moved)
    if holder is not None and holder.pk != after.id:
        raise AddressTaken
    try:
        store.write_contact(after, effects)
    except IntegrityError as taken:  # in just this moment
        raise AddressTaken from taken


def _lift_suppression(
    found: store.Loaded, after: ContactState, effects: Sequence[Effect], moved: str | None
) -> None:
    """Forget a suppression whose address its owner has shown to be hers; one that she moved away from stays."""
    if not after.suppressed and (moved or any(effect.path == "suppressed" for effect in effects)):
        contacts.unsuppress(found.audience_id, moved or found.email)


class _Settled(Exception):
    """Leaves the transaction by rolling back: there is nothing to write, and the version must not have moved."""

    def __init__(self, saved: Saved) -> None:
        super().__init__()
        self.saved = saved


class _Moved(Exception):
    """Nobody goes by this herself, or she was merged between our look and our lock; the next try finds whom she became.

    It leaves the transaction first: PostgreSQL keeps a row locked that a merge has changed while we waited for it, and
    who locks a loser before the winner stands in the way of who goes from the winner to her losers.
    """


@dataclass(frozen=True, slots=True)
class _Held:
    """A locked contact, as `store.loaded` takes it, with the version it had; `via`: one merged into it led to it."""

    row: list[Any]
    via: bool


def _lock(wish: _Wish, *, via: bool) -> _Held:
    """Statement 1: take the contact's row lock by moving its version on. Everything read after it is settled.

    A link of one who was merged leads to whom she was merged into, as long as her own links hold: that road (`via`) is
    taken where nobody goes by the link herself, by a second statement. Few were merged.
    """
    ((column, value),) = wish.who.items()
    given = store.db_uuid(value) if isinstance(value, UUID) else value
    leads_on = column == "link_id" or wish.follow
    with connection.cursor() as cursor:
        if via:
            cursor.execute(_lock_via(column), [given, given])
        else:
            cursor.execute(_lock_own(column, leads_on), [given])
        row = cursor.fetchone()
    if row is None:
        raise _Moved if leads_on and not via else UnknownContact
    epoch, head = row[0], list(row[1:])
    if via and head[_MERGED_INTO]:
        raise _Moved
    if wish.epoch is not None and epoch != wish.epoch:
        raise BadToken("revoked")
    head[_VERSION] -= 1
    return _Held(head, via)


_ID, _AUDIENCE, _VERSION, _MERGED_INTO = map(
    store.CONTACT_COLUMNS.index, ("id", "audience_id", "version", "merged_into_id")
)


@cache  # as all SQL here: to put a text together takes longer than to send it
def _lock_own(column: str, unmerged: bool) -> str:
    """Of whom `column` names, with the epoch that her row has under the lock; `unmerged`: nobody else goes by it."""
    table = connection.ops.quote_name(Contact._meta.db_table)
    condition = " AND merged_into_id IS NULL" if unmerged else ""
    return (
        f"UPDATE {table} SET version = version + 1 WHERE {column} = %s{condition} "  # noqa: S608 - names, no values
        f"RETURNING {table}.epoch, {store.contact_columns(table)}"
    )


@cache
def _lock_via(column: str) -> str:
    """Of whom the one whom `column` names was merged into, with the epoch of the one who was merged."""
    table = connection.ops.quote_name(Contact._meta.db_table)
    alias = f"FROM {table} AS alias WHERE alias.{column} = %s"
    return (
        f"UPDATE {table} SET version = version + 1 WHERE id = (SELECT alias.merged_into_id {alias}) "  # noqa: S608
        f"RETURNING (SELECT alias.epoch {alias}), {store.contact_columns(table)}"
    )


@dataclass(frozen=True, slots=True)
class _Found:
    loaded: store.Loaded
    head: str
    repeat: UUID | None
    bases: dict[str, str]
    since: int  # where another led here: the version that this one had after the last merge


def _read(held: _Held, once: _Once, *, with_bases: bool) -> _Found:
    """Statement 2: the state, the hash of the record before, and the record of this idempotency key if it is there.

    `with_bases` adds the legal basis of every topic, for changes that no page has spelled out. Where a former self of
    hers led here, what was sent may stand in the chain of any of those, and a base may be a version of any of them.
    """
    version = held.row[_VERSION]
    values = {
        "contact": store.db_uuid(store.as_uuid(held.row[_ID])),
        "version": version,
        "audience": held.row[_AUDIENCE],
        **{f"key{number}": key for number, key in enumerate(once.keys)},
    }
    with connection.cursor() as cursor:
        cursor.execute(_read_sql(len(once.keys), held.via, with_bases), values)
        rows = cursor.fetchall()
    head, first, since, bases = rows[0][:4]
    if version and head is None:
        raise RuntimeError("the ledger lacks the newest record of a contact; run prefs_verify_ledger")
    return _Found(
        loaded=store.loaded(held.row, [row[4:] for row in rows], assurance="link"),
        head=head or GENESIS,
        repeat=store.as_uuid(first) if first else None,
        bases=store.as_json(bases) if bases else {},
        since=since or 0,
    )


@cache
def _read_sql(keys: int, via: bool, with_bases: bool) -> str:
    quote = connection.ops.quote_name
    record = f"FROM {quote(Record._meta.db_table)} WHERE contact_ref"
    former = f"SELECT id FROM {quote(Contact._meta.db_table)} WHERE merged_into_id = %(contact)s"  # noqa: S608
    head = f"(SELECT hash {record} = %(contact)s AND seq = %(version)s)"
    first = since = bases = "NULL"
    if keys:
        chains = f"IN (SELECT %(contact)s UNION ALL {former})" if via else "= %(contact)s"
        wanted = ", ".join(f"%(key{number})s" for number in range(keys))
        first = f"(SELECT id {record} {chains} AND idempotency_key IN ({wanted}) LIMIT 1)"
    if via:
        merged = f"(SELECT MAX(at) {record} IN ({former}))"
        since = f"(SELECT seq {record} = %(contact)s AND at <= {merged} ORDER BY seq DESC LIMIT 1)"
    if with_bases:
        function = "jsonb_object_agg" if connection.vendor == "postgresql" else "json_group_object"
        topics = f"FROM {quote(Topic._meta.db_table)} WHERE audience_id = %(audience)s"
        bases = f"(SELECT {function}({quote('key')}, basis) {topics})"
    return (
        f"SELECT {head}, {first}, {since}, {bases}, {store.state_columns('state')} FROM (SELECT 1) AS once "  # noqa: S608
        f"LEFT JOIN {quote(State._meta.db_table)} AS state ON state.contact_id = %(contact)s"
    )


def _again(found: _Found, first: UUID, once: _Once) -> Saved:
    """The answer a repeated idempotency key gets: that of the first time, with today's state."""
    entry = Record.objects.get(pk=first)
    body = ledger.read_body(entry)
    if body["request"] not in once.requests:
        raise KeyReused
    return Saved(
        entry.seq,
        str(entry.id),
        ledger.effects_of(body),
        ledger.merged_of(body),
        found.loaded.state,
        found.loaded.email,
    )


@remembered
def proof_of(snapshot: Snapshot) -> Proof:
    """What was before the person's eyes: the notice of the snapshot and the basis of each topic."""
    notice: Notice | None = None
    bases: dict[str, str] = {}
    for spec in snapshot.specs:
        bases.update(spec.rules.get("bases", {}))
        shown = spec.rules.get("notice")
        if shown and notice is None:
            notice = Notice(shown["id"], snapshot.digest, shown["sha256"])
    return Proof(notice=notice, bases=bases)


def plain_answers(answers: Answers) -> dict[str, Any]:
    return {block: dict(fields) for block, fields in answers.items()}
