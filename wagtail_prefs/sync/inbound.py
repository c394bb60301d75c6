"""Working off what platforms tell us: whom it is about, what of it counts (`stricter`), and recording that.

Whom: by the id that this platform gave her, exactly her; else by our external id or the address, in every audience that
knows it, since one platform serves them all. What is about an address that is no longer hers, of somebody who was merged
or erased, does nothing: that is how our own opting out of old addresses comes back to us.

An event and what comes of it are one transaction, under the lock of the contact: a save of hers stands before or after
it. A platform is asked outside of that, and what it answers counts only while she has said nothing more.

An event that fails is tried again; one that always fails ends as refused, with a code and without a trace of whom it was
about in the log. Only what the database did is tried for ever.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from ..backends.base import PlatformError, Unsupported
from ..backends.registry import UnknownBackend, backends
from ..changes import Change, Erase, SetChoice
from ..ciphers import Unreadable, decrypt
from ..contacts import rules, services as contacts
from ..contacts.addresses import address_keys, canonical_email
from ..contacts.models import Contact
from ..delivery.backoff import delay
from ..delivery.drain import never
from ..delivery.models import Delivery
from ..delivery.rows import LEASE_LOST
from ..errors import NotAllowed
from ..ledger import services as ledger
from ..ledger.models import Record
from ..submissions import services as submissions
from ..topics.models import Audience, Topic
from ..topics.services import goes_on_as
from ..values import (
    CHANNELS,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Capabilities,
    ContactState,
    Identifiers,
    Inbound,
    InboundEvent,
    Key,
    Outcome,
    ReadBack,
    RemoteState,
    Source,
)
from . import arrivals
from .models import Arrival
from .stricter import LATELY, Circumstances, Said, Sifted, Why, end_of, sift, touched

__all__ = ["work_off_arrivals"]

logger = logging.getLogger("wagtail_prefs.inbound")

#: How long a claimed event is one worker's.
LEASE = timedelta(minutes=2)
BATCH = 50
#: Seconds after which a look ends: the same worker has other chores.
SECONDS = 5.0
#: After so many tries an event is refused that fails by itself, and after so many one that ended every worker.
TRIES, CLAIMS = 8, 20
#: How often a platform is asked that does not answer, before what it told us counts without.
ASKED = 4

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM {table} WHERE due_at <= %s ORDER BY due_at, id LIMIT %s {lock}
)
UPDATE {table} SET due_at = %s, attempts = attempts + 1 WHERE id IN (SELECT id FROM due) RETURNING *
"""

#: How many tries `Delivery.log` remembers, and how many records are looked through for what a platform was told last.
LOGGED, RECORDS = 5, 200
#: Outcomes after which the platform has been told.
_DONE = {Outcome.DONE, Outcome.ACCEPTED_UNKNOWN, Outcome.NEEDS_CONFIRMATION}

#: What is known of a sender that is no backend: an e-mail service, by way of anymail.
_UNKNOWN = Capabilities()


def work_off_arrivals(limit: int = 1000, stopping: Callable[[], bool] = never) -> int:
    """Look at what came in, the oldest first; returns how many events were settled.

    One statement where there is nothing to do. Several workers may: each claims its own.
    """
    if not Arrival.objects.filter(due_at__lte=timezone.now()).exists():
        return 0
    ends, settled, seen = time.monotonic() + SECONDS, 0, 0
    while seen < limit and not stopping():
        rows = _claim(min(BATCH, limit - seen))
        for position, row in enumerate(rows):
            if stopping() or time.monotonic() > ends:
                _give_back(rows[position:])
                return settled
            settled += _work(row)
        seen += len(rows)
        if len(rows) < BATCH:
            break
    return settled


def _claim(limit: int) -> list[Arrival]:
    """Take events that are due for a while, by moving them on."""
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    now = timezone.now()
    table = connection.ops.quote_name(Arrival._meta.db_table)
    found = Arrival.objects.raw(
        _CLAIM.format(table=table, lock=lock), [_moment(now), limit, _moment(now + LEASE)]
    )
    return sorted(found, key=lambda row: (row.received_at, row.pk))


def _moment(moment: datetime) -> Any:
    return Arrival._meta.get_field("due_at").get_db_prep_value(moment, connection)


def _give_back(rows: Iterable[Arrival]) -> None:
    for row in rows:
        _mine(row).update(due_at=timezone.now(), attempts=F("attempts") - 1)


def _mine(row: Arrival) -> Any:
    """The row, as long as nobody has claimed it since."""
    return Arrival.objects.filter(pk=row.pk, attempts=row.attempts, state=Arrival.WAITING)


def _work(row: Arrival) -> bool:
    """One event; whether it is settled. Whatever goes wrong with it stays with it."""
    if row.attempts > CLAIMS:
        return _refuse(row, "gave-up")
    try:
        return _Event(row).settle()
    except _Lost:
        return False
    except (OperationalError, InterfaceError) as error:
        return _put_off(row, type(error).__name__)  # which raises again where the database is away
    except Unreadable:
        return _refuse(row, "unreadable")
    except Exception as error:  # noqa: BLE001 - one that fails must not stop the others
        # The type and not the text, which may hold an address.
        code = f"failed-{type(error).__name__}"[:64]
        return _refuse(row, code) if row.attempts >= TRIES else _put_off(row, code)


def _put_off(row: Arrival, code: str) -> bool:
    _mine(row).update(due_at=timezone.now() + delay(row.attempts), code=code)
    logger.warning("an event of %s failed (%s) and will be tried again", row.backend, code)
    return False


def _refuse(row: Arrival, code: str) -> bool:
    """Give an event up. What it said is kept as long as the row, so that it can be tried again when this is mended."""
    logger.error("an event of %s was refused after %s tries (%s)", row.backend, row.attempts, code)
    return bool(_mine(row).update(state=Arrival.REFUSED, code=code, due_at=None))


class _Lost(Exception):
    """Another worker has the event by now: what this one did is rolled back."""


class _Later(Exception):
    """The platform must be asked, and does not answer."""

    def __init__(self, code: str, wait: timedelta) -> None:
        super().__init__(code)
        self.code = code
        self.wait = wait


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the platform said of a contact, and of which version of hers."""

    version: int
    readable: bool
    remote: RemoteState | None = None


@dataclass(slots=True)
class _Did:
    """What came of an event."""

    records: list[UUID] = field(default_factory=list)
    contact: UUID | None = None
    dead: bool = False
    why: list[str] = field(default_factory=list)
    ask: dict[UUID, int] = field(default_factory=dict)  # whom, in which version
    until: datetime | None = None

    @property
    def state(self) -> str:
        if self.records or self.dead:
            return Arrival.DONE
        return Arrival.NOTHING if self.contact else Arrival.UNKNOWN

    @property
    def code(self) -> str:
        if self.records:
            return ""
        return "dead" if self.dead else next(iter(self.why), "")


class _Event:
    """One event while it is looked at."""

    def __init__(self, row: Arrival) -> None:
        self.row = row
        self.alias = row.backend
        self.event: InboundEvent = arrivals.read(row)
        self.actor = Actor(ActorType.BACKEND, self.alias)
        self.backend = None
        with suppress(UnknownBackend):  # it was taken out of the settings, or is none: an e-mail service
            self.backend = backends[self.alias]
        self.capabilities = self.backend.capabilities if self.backend else _UNKNOWN
        self.answers: dict[UUID, _Answer] = {}

    def settle(self) -> bool:
        """Look, ask where that is needed, and write down what came of it; whether it is over."""
        found = _find(self.alias, self.event.identifiers)
        for _ in range(3):
            with transaction.atomic():
                did = self._act(found)
                if not did.ask:
                    self._finish(did)
                    return did.until is None
                transaction.set_rollback(True)
            try:
                for contact, version in did.ask.items():
                    self.answers[contact] = self._asked(contact, version)
            except _Later as later:
                until = timezone.now() + later.wait
                _mine(self.row).update(due_at=until, code=later.code)
                logger.info(
                    "an event of %s waits: the platform was asked and said %s", self.alias, later.code
                )
                return False
        # She goes on changing her choices while we ask.
        _mine(self.row).update(due_at=timezone.now() + timedelta(seconds=5))
        return False

    def _finish(self, did: _Did) -> None:
        if did.until is not None:
            written = _mine(self.row).update(due_at=did.until, code=Why.WAIT, attempts=F("attempts") - 1)
        else:
            written = _mine(self.row).update(
                state=did.state,
                code=did.code[:64],
                due_at=None,
                payload="",
                contact=did.contact,
                record=did.records[0] if did.records else None,
            )
        if not written:
            raise _Lost

    # --- under the lock ----------------------------------------------------------------------------------------------

    def _act(self, found: Collection[UUID]) -> _Did:
        did = _Did()
        # In one order, as merges go.
        people = Contact.objects.filter(pk__in=found).order_by("pk").select_for_update(of=("self",))
        for contact in list(people):
            did.contact = did.contact or contact.pk
            if contact.erased_at is not None:
                did.why.append("erased")
            elif contact.merged_into_id:
                did.why.append("merged")
            else:
                self._act_on(contact, did)
        return did

    def _act_on(self, contact: Contact, did: _Did) -> None:
        row = Delivery.objects.filter(backend=self.alias, contact=contact.pk).first()
        if self._is_about_another_address(contact, row):
            did.why.append("former-address")
            return
        now = timezone.now()
        if self._must_ask_whether_dead() and contact.pk not in self.answers:
            did.ask[contact.pk] = contacts.load_state(contact.pk).version
            return
        self._bury(contact.pk, did)
        changes = self._known(contact)
        if len(changes) < len(self.event.changes):
            did.why.append("unknown-topic")
        if not changes:
            return
        if self._may_erase() and any(isinstance(change, Erase) for change in changes):
            saved = submissions.erase(contact.pk, actor=self.actor, source=Source(method="inbound"))
            did.records += [UUID(saved.receipt)] if saved.receipt else []
            return
        state = rules.effective(contacts.load_state(contact.pk), now)
        given = self._circumstances(state, row, changes, now)
        sifted = sift(state, changes, given)
        if sifted.ask:
            did.ask[contact.pk] = state.version
            return
        did.why += sifted.why
        did.until = max(filter(None, (did.until, sifted.until)), default=None)
        if sifted.noes:
            self._record(contact.pk, sifted.noes, Source(method="inbound"), did)
        self._more(contact.pk, state, sifted, given, did)

    def _bury(self, contact: UUID, did: _Did) -> None:
        """Note that mail cannot arrive, where she has not come by a mail of ours since. A complaint, which says that mail
        is not wanted, is overruled by whatever she did later.
        """
        if not self.event.dead:
            return
        if not self._is_said_dead(self.answers.get(contact)):
            did.why.append(Why.NOT_SO)
            return
        moment = min(self.event.at or self.row.received_at, self.row.received_at)
        hers = {ActorType.SUBJECT_LINK, *({ActorType.SUBJECT_SESSION} if self.event.changes else ())}
        if Record.objects.filter(contact_ref=contact, actor__in=hers, at__gt=moment).exists():
            did.why.append(Why.OLDER)
            return
        contacts.mark_dead(contact, moment)
        did.dead = True

    def _is_said_dead(self, answer: _Answer | None) -> bool:
        """Whether the platform says so where it was asked: of one who is not there it knows nothing; None: it has no word."""
        if answer is None or not answer.readable or not self._must_ask_whether_dead():
            return True
        return answer.remote is not None and answer.remote.dead is not False

    def _must_ask_whether_dead(self) -> bool:
        """Without a signature anybody may have sent it who has seen the address of the webhook."""
        readable = self.backend is not None and self.capabilities.read_back is not ReadBack.NONE
        return self.event.dead and readable and self.capabilities.inbound is Inbound.TOKEN

    def _record(self, contact: UUID, changes: Sequence[Change], source: Source, did: _Did) -> None:
        saved = submissions.record(contact, changes, actor=self.actor, source=source)
        if saved.receipt:
            did.contact = contact if not did.records else did.contact
            did.records.append(UUID(saved.receipt))

    def _more(
        self, contact: UUID, state: ContactState, sifted: Sifted, given: Circumstances, did: _Did
    ) -> None:
        """What is not stricter: only of a backend that is authoritative, and with evidence of an act of hers that is
        younger than her last word, which the platform must have heard for a while - else it may be our own older words.
        """
        evidence = self.event.evidence
        if not sifted.more or evidence is None or not self._is_authoritative():
            return
        paths = touched(state, sifted.more) | {rules.OPTED_OUT}
        last = max(state.versions.get(path, 0) for path in paths)
        newest = max((version for _at, version in given.sent), default=0)
        lately = any(version < last and at >= evidence.at - LATELY for at, version in given.sent)
        if self.capabilities.echoes and given.heard is not None and (newest < last or lately):
            did.why.insert(0, Why.ECHO)
            return
        try:
            with transaction.atomic():
                self._record(contact, sifted.more, Source(method="inbound", evidence=evidence), did)
        except (NotAllowed, ValueError):
            did.why.insert(0, "not-allowed")

    def _is_authoritative(self) -> bool:
        return backends.is_authoritative(self.alias)

    _may_erase = _is_authoritative

    def _is_about_another_address(self, contact: Contact, row: Delivery | None) -> bool:
        """Whether the platform means an address that is no longer hers.

        Where its events are echoes of what we write, that is how our opting out of the old address comes back. A platform
        that tells only of what people do over there may just not have heard of the new one: what she does there counts.
        """
        who = self.event.identifiers
        if who.email and contact.email and not _is_one(who.email, contact.email):
            return self.capabilities.echoes or self.event.dead or row is None
        if who.email or row is None or not row.retired or not self.capabilities.echoes:
            return False
        try:
            retired = json.loads(decrypt(row.retired, place=f"delivery:{self.alias}:{contact.pk.hex}"))
        except (Unreadable, ValueError):
            return False
        remote = who.remote.get(self.alias, "")
        return any(
            remote and entry.get("remote") == remote and self._is_since(entry.get("at")) for entry in retired
        )

    def _is_since(self, moment: object) -> bool:
        if self.event.at is None or not isinstance(moment, str):
            return True
        try:
            return self.event.at >= datetime.fromisoformat(moment)
        except (ValueError, TypeError):
            return True

    def _known(self, contact: Contact) -> list[Change]:
        """The changes about topics that there are and that can be left; of one that was merged, also about what it
        goes on as."""
        wanted = {change.key[0] for change in self.event.changes} - {""}
        if wanted:
            topics = Topic.objects.filter(
                audience_id=contact.audience_id, key__in=wanted, transactional=False
            )
            wanted = set(topics.values_list("key", flat=True))
        found: list[Change] = []
        for change in self.event.changes:
            topic, channel = change.key
            if (topic and topic not in wanted) or (channel and channel not in CHANNELS):
                continue
            found.append(change)
            if topic and isinstance(change, SetChoice) and change.value == UNSUBSCRIBED:
                found += [replace(change, topic=other) for other in goes_on_as(contact.audience_id, topic)]
        return found

    def _circumstances(
        self, state: ContactState, row: Delivery | None, changes: Sequence[Change], now: datetime
    ) -> Circumstances:
        received, answer = self.row.received_at, self.answers.get(state.id)
        at = min(self.event.at, received) if self.event.at else None
        heard = _heard(row, received if at is None else min(end_of(at), received))
        readable = self.backend is not None and self.capabilities.read_back is not ReadBack.NONE
        asked = answer is not None and answer.version == state.version
        if asked and answer is not None:
            readable = answer.readable
        sent = _sent(row, now)
        return Circumstances(
            at=at,
            received_at=received,
            now=now,
            capabilities=self.capabilities,
            said=_acts(state, touched(state, changes), heard),
            heard=heard,
            told=_told(state, changes, {version for _moment, version in sent} | {heard or 0}),
            sent=sent,
            readable=readable,
            asked=asked,
            remote=answer.remote if asked and answer is not None else None,
        )

    # --- asking, with no lock in hand --------------------------------------------------------------------------------

    def _asked(self, contact: UUID, version: int) -> _Answer:
        """What the platform says of her. Raises _Later where it does not answer; after a few times, that is an answer."""
        if self.backend is None:
            return _Answer(version, readable=False)
        target = contacts.load_targets([contact]).get(contact)
        row = Delivery.objects.filter(backend=self.alias, contact=contact).first()
        if target is None:
            return _Answer(version, readable=False)
        if row is not None and row.remote_id:
            remote = {**target.identifiers.remote, self.alias: row.remote_id}
            target = replace(target, identifiers=replace(target.identifiers, remote=remote))
        try:
            return _Answer(version, readable=True, remote=self.backend.read(target))
        except Unsupported:
            return _Answer(version, readable=False)
        except PlatformError as error:
            code, wait = error.code, error.retry_after
        except Exception as error:  # noqa: BLE001 - a backend is anybody's code
            code, wait = f"read-{type(error).__name__}", None
        if self.row.attempts >= ASKED:
            return _Answer(version, readable=False)
        raise _Later(code[:64], delay(self.row.attempts, wait))


# --- whom ------------------------------------------------------------------------------------------------------------


def _find(alias: str, who: Identifiers) -> list[UUID]:
    """Whom a platform means; nobody: nobody is known by that."""
    remote = who.remote.get(alias, "")
    rows = Delivery.objects.filter(backend=alias)
    if remote:
        found = set(rows.filter(remote_id=remote).values_list("contact", flat=True))
        with suppress(ValueError):  # some platforms know her by our own id
            found |= set(rows.filter(contact=UUID(remote)).values_list("contact", flat=True))
        if found:
            return sorted(found)
    if not (who.external_id or who.email):
        return []
    audiences = dict(Audience.objects.values_list("pk", "key"))
    if who.external_id:
        by_id = Contact.objects.filter(audience_id__in=audiences, external_id=who.external_id)
        if same := sorted(by_id.values_list("pk", flat=True)):
            return same
    try:
        wanted = [key for audience in audiences.values() for key in address_keys(audience, who.email)]
    except (ValidationError, UnicodeError):
        return []
    by_address = Contact.objects.filter(audience_id__in=audiences, address_key__in=wanted)
    return sorted(by_address.values_list("pk", flat=True))


def _is_one(one: str, other: str) -> bool:
    """Whether two spellings are one mailbox."""
    try:
        return canonical_email(one) == canonical_email(other)
    except (ValidationError, UnicodeError):
        return False


# --- what she said, and what we did ----------------------------------------------------------------------------------


def _acts(state: ContactState, paths: Iterable[str], heard: int | None) -> dict[str, Said]:
    """Her newest act on each path, where the newest record there is an act of hers, or shows one by evidence; with what
    stood there in the version that the platform had heard of.
    """
    versions = {path: state.versions[path] for path in paths if state.versions.get(path)}
    found: dict[str, Said] = {}
    if not versions:
        return found
    for record in Record.objects.filter(contact_ref=state.id, seq__in=set(versions.values())):
        body = ledger.read_body(record)
        actor = Actor(ActorType(body["actor"]["type"]), body["actor"]["id"])
        if actor.is_subject:
            at = record.at
        elif body.get("evidence_at"):
            at = min(datetime.fromisoformat(body["evidence_at"]), record.at)
        else:
            continue
        for effect in ledger.effects_of(body):
            if versions.get(effect.path) == record.seq and effect.action != "merged":
                found[effect.path] = Said(record.seq, at, effect.before, effect.before)
    if heard is not None and any(said.version > heard for said in found.values()):
        last = max(said.version for said in found.values())
        later = Record.objects.filter(contact_ref=state.id, seq__gt=heard, seq__lte=last).order_by("-seq")
        for record in later[:RECORDS]:
            for effect in ledger.effects_of(ledger.read_body(record)):
                if effect.path in found:  # the oldest of them has the last word
                    found[effect.path] = replace(found[effect.path], there=effect.before)
    return found


def _told(
    state: ContactState, changes: Sequence[Change], versions: Collection[int]
) -> dict[int, frozenset[Key]]:
    """The choices that were a yes in each of these versions, as far as that is remembered; asked only where all is left
    at once.
    """
    if all(change.key[0] for change in changes):
        return {}
    then: dict[Key, object] = dict(state.choices)
    found: dict[int, frozenset[Key]] = {}
    later = Record.objects.filter(contact_ref=state.id, seq__gt=min(versions)).order_by("-seq")
    records = list(later[:RECORDS]) if min(versions) < state.version else []
    for version in sorted(versions, reverse=True):
        while records and records[0].seq > version:
            for effect in ledger.effects_of(ledger.read_body(records.pop(0))):
                kind, _, key = effect.path.partition(":")
                if kind == "choice":
                    topic, _, channel = key.partition(":")
                    then[topic, channel] = effect.before
        found[version] = frozenset(key for key, value in then.items() if value == SUBSCRIBED)
    return found


def _heard(row: Delivery | None, at: datetime) -> int | None:
    """Which version of hers the platform had been told at a moment, as far as that is remembered; None: of none ever."""
    if row is None or not (row.delivered or row.log or row.lease):
        return None
    told = _tries(row, _DONE)
    before = [version for moment, version in told if moment <= at]
    late = [(moment, version) for moment, version in _tries(row, (), {LEASE_LOST}) if moment <= at]
    if late and not any(moment > late[0][0] for moment, _version in told if moment <= at):
        return late[0][1]  # a call of ours came after another, and may have had the last word
    if before:
        return max(before)
    # Everything that is remembered came later; was there anything before it?
    return 0 if told and len(row.log) < LOGGED else row.delivered


def _tries(
    row: Delivery, outcomes: Collection[str] = (), codes: Collection[str] = ()
) -> list[tuple[datetime, int]]:
    """When, and of which version; the newest first. Empty collections mean any."""
    found: list[tuple[datetime, int]] = []
    for entry in row.log:
        with suppress(KeyError, TypeError, ValueError):
            if (not outcomes or entry.get("outcome") in outcomes) and (
                not codes or entry.get("code") in codes
            ):
                found.append((datetime.fromisoformat(entry["at"]), int(entry["version"])))
    return found


def _sent(row: Delivery | None, now: datetime) -> list[tuple[datetime, int]]:
    """When we told the platform which version of hers, or tried to, as far as that is remembered."""
    if row is None:
        return []
    found = _tries(row)
    if row.delivered_at is not None and not found:
        found.append((row.delivered_at, row.delivered))
    if row.leased_until is not None and row.leased_until > now:
        found.append((now, row.delivered))  # a call may be under way
    return found
