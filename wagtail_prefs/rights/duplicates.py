"""Two contacts who may be one person: found by what they share, and settled by staff.

A scan goes through the people of an audience in small steps, each a transaction, and can be stopped anywhere. It notes
keyed digests of what would be the same of one person (`KINDS`), puts those together who share one, looks through the
pairs that were open before, and drops all digests again: nothing of it is kept but ids. It costs a few statements for a
hundred people, however many there are; what so many share that it says nothing of any two is counted and left.

Nobody is merged by a scan. Staff see both side by side and what a merge would come to: the stricter value wins.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .. import keys
from ..contacts import services as contacts, store
from ..contacts.models import Contact
from ..delivery.models import Delivery
from ..errors import PrefsError, UnknownContact
from ..submissions import services as submissions, signals
from ..submissions.rehearsal import Merging, rehearse_merge
from ..topics.models import Audience
from ..values import DISPUTED, Actor, Source
from .matching import mailbox, phone
from .models import Duplicate, DuplicateScan, MatchKey

Phase = DuplicateScan.Phase
Row = TypeVar("Row", bound=Model)

#: What two rows of one person may share, in the order in which it says most.
KINDS: Mapping[str, str | Promise] = {
    "mailbox": _("the same mailbox, spelled otherwise"),
    "external_id": _("the same external id, spelled otherwise"),
    "remote_id": _("the same id at a platform"),
    "phone": _("the same phone number"),
}
#: People, digests and pairs of one step, and digests that are dropped in one.
PEOPLE, KEYS, PAIRS, DROPPED = 200, 1000, 500, 20_000
#: More people than this who share something are a family, a shop or a number that everybody types: no two of them.
MOST = 20
#: Steps and seconds of one look of the worker.
STEPS, SECONDS = 50, 2.0


class Running(PrefsError):
    """A scan of this audience is under way."""


class Settled(PrefsError):
    """Somebody has said already what these two are, or one of them is gone."""


class Moved(PrefsError):
    """One of the two has changed since the page was drawn: what it showed is no longer so."""


# --- a scan ----------------------------------------------------------------------------------------------------------


def _shared(person: store.Loaded, remote: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """What could be the same of somebody else, by kind."""
    state = person.state
    found = {
        ("mailbox", mailbox(person.email) if person.email else ""),
        ("phone", phone(state.attributes.get("phone"), state.country)),
        ("external_id", "".join(person.external_id.split()).casefold()),
        *(("remote_id", f"{alias}\n{remote_id}") for alias, remote_id in remote),
    }
    return {(kind, value) for kind, value in found if value}


def start(audience: Audience, by: str) -> DuplicateScan:
    """Begin to look for duplicates; the worker carries it out. Raises Running."""
    try:
        with transaction.atomic():
            made: DuplicateScan = DuplicateScan.objects.create(
                audience=audience,
                started_at=timezone.now(),
                started_by=by[:80],
                total=people_of(audience),
            )
    except IntegrityError as error:
        raise Running from error
    return made


def people_of(audience: Audience) -> int:
    """How many a scan would look at."""
    return _live().filter(audience=audience).count()


def stop(audience: Audience) -> bool:
    """End a scan before its end: what it found stays, its digests go. Returns whether there was one."""
    running = DuplicateScan.objects.filter(audience=audience, done_at=None).exclude(phase=Phase.CLEAN)
    return bool(running.update(phase=Phase.CLEAN))


def go_on() -> int:
    """A chore of the worker: some steps of every scan under way; one SELECT where there is none. Returns the steps."""
    done = 0
    for scan in DuplicateScan.objects.filter(done_at=None).order_by("pk").values_list("pk", flat=True):
        ends = time.monotonic() + SECONDS
        for _number in range(STEPS):
            if not step(scan):
                break
            done += 1
            if time.monotonic() >= ends:
                break
    return done


def step(scan_id: int) -> bool:
    """One step of a scan; False where it has ended, or somebody else is at it just now."""
    with transaction.atomic():
        scan = _free(DuplicateScan.objects.filter(pk=scan_id, done_at=None)).first()
        if scan is None:
            return False
        _PHASES[scan.phase](scan)
        scan.save()
    return True


def _walk(scan: DuplicateScan) -> None:
    """Note the digests of the next people."""
    people = _live().filter(audience=scan.audience_id).order_by("pk")
    if scan.after is not None:
        people = people.filter(pk__gt=scan.after)
    ids = list(people.values_list("pk", flat=True)[:PEOPLE])
    if not ids:
        scan.phase = Phase.PAIR
        _learn()
        return
    remote: dict[UUID, list[tuple[str, str]]] = defaultdict(list)
    rows = Delivery.objects.filter(contact__in=ids).exclude(remote_id="")
    for contact, alias, remote_id in rows.values_list("contact", "backend", "remote_id"):
        remote[contact].append((alias, remote_id))
    MatchKey.objects.bulk_create(
        [
            MatchKey(
                audience_id=scan.audience_id,
                kind=kind,
                key=_digest(scan, kind, value),
                contact=person.state.id,
            )
            for person in store.load_many(ids)
            for kind, value in sorted(_shared(person, remote[person.state.id]))
        ],
        ignore_conflicts=True,
    )
    scan.after = ids[-1]
    scan.looked_at += len(ids)


def _learn() -> None:
    """Have PostgreSQL look at the table again, which was empty just now: it would rather sort it all for every step."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {connection.ops.quote_name(MatchKey._meta.db_table)}")


def _digest(scan: DuplicateScan, kind: str, value: str) -> str:
    return keys.digest("match", f"{scan.audience_id}\n{kind}\n{value}".encode())


def _pair(scan: DuplicateScan) -> None:
    """Put those together who share one of the next digests."""
    rows = _next_keys(scan)
    of_key: dict[tuple[str, str], list[UUID]] = defaultdict(list)
    for kind, key, contact in rows:
        of_key[kind, key].append(contact)
    is_last = len(rows) < KEYS + MOST
    if not is_last and len(of_key) > 1:
        of_key.popitem()  # may go on behind these; one that fills them all is a crowd, wherever it ends
    pairs: dict[tuple[UUID, UUID], set[str]] = defaultdict(set)
    for (kind, key), people in of_key.items():
        scan.place = f"{kind} {key}"
        if len(people) > MOST:
            scan.crowds += 1
            continue
        for pair in combinations(sorted(people), 2):
            pairs[pair].add(kind)
    scan.found += _note(scan, pairs)
    if is_last:
        scan.phase, scan.place = Phase.CHECK, ""


def _next_keys(scan: DuplicateScan) -> list[tuple[str, str, UUID]]:
    """The digests behind the place: a walk along the index, as long in the last step as in the first."""
    kind, _blank, key = scan.place.partition(" ")
    table, column = map(connection.ops.quote_name, (MatchKey._meta.db_table, "key"))
    with connection.cursor() as cursor:
        # Compared as one row: behind an OR the index would be read from its beginning in every step.
        cursor.execute(
            f"SELECT kind, {column}, contact FROM {table} WHERE audience_id = %s AND (kind, {column}) > (%s, %s)"  # noqa: S608
            f" ORDER BY kind, {column} LIMIT %s",
            [scan.audience_id, kind, key, KEYS + MOST],
        )
        return [(kind, key, store.as_uuid(contact)) for kind, key, contact in cursor.fetchall()]


def _note(scan: DuplicateScan, pairs: Mapping[tuple[UUID, UUID], set[str]]) -> int:
    """Note the pairs that nobody has settled yet; returns how many are new. What the known share `_check` writes down."""
    rows = Duplicate.objects.filter(first__in={first for first, _second in pairs})
    known = set(rows.values_list("first", "second"))
    new = [
        Duplicate(
            audience_id=scan.audience_id,
            first=first,
            second=second,
            kinds=_in_order(pairs[first, second]),
            found_at=timezone.now(),
        )
        for first, second in sorted(pairs.keys() - known)
    ]
    Duplicate.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _in_order(kinds: Iterable[str]) -> list[str]:
    found = set(kinds)
    return [kind for kind in KINDS if kind in found]


def _check(scan: DuplicateScan) -> None:
    """Look through the open pairs: who shares nothing any more is no pair, and who is gone is none either."""
    open_ = Duplicate.objects.filter(audience=scan.audience_id, outcome="", pk__gt=int(scan.place or 0))
    next_ = list(open_.order_by("pk").values_list("pk", flat=True)[:PAIRS])
    # Under lock, past those that somebody is just settling: to wait for her could be to wait for each other.
    rows = list(_free(Duplicate.objects.filter(pk__in=next_, outcome="")))
    ids = {contact for row in rows for contact in (row.first, row.second)}
    live = set(_live().filter(pk__in=ids).values_list("pk", flat=True))
    has: dict[UUID, set[tuple[str, str]]] = defaultdict(set)
    for contact, kind, key in MatchKey.objects.filter(contact__in=ids).values_list("contact", "kind", "key"):
        has[contact].add((kind, key))
    for row in rows:
        kinds = _in_order(kind for kind, _key in has[row.first] & has[row.second])
        if not {row.first, row.second} <= live:
            row.outcome, row.settled_at = Duplicate.Outcome.GONE, timezone.now()
            row.save(update_fields=["outcome", "settled_at"])
        elif not kinds:
            row.delete()
        elif kinds != row.kinds:
            row.kinds = kinds
            row.save(update_fields=["kinds"])
    if len(next_) < PAIRS:
        scan.phase, scan.place = Phase.CLEAN, ""
    else:
        scan.place = str(next_[-1])


def _clean(scan: DuplicateScan) -> None:
    """Drop the digests, and end where none is left."""
    rows = MatchKey.objects.filter(audience=scan.audience_id).order_by("pk")
    ids = list(rows.values_list("pk", flat=True)[:DROPPED])
    if ids:
        rows.filter(pk__lte=ids[-1]).delete()
    if len(ids) < DROPPED:
        scan.done_at = timezone.now()


_PHASES: Mapping[str, Callable[[DuplicateScan], None]] = {
    Phase.WALK: _walk,
    Phase.PAIR: _pair,
    Phase.CHECK: _check,
    Phase.CLEAN: _clean,
}


def _free(rows: QuerySet[Row]) -> QuerySet[Row]:
    """The rows that nobody holds, held from now on."""
    return rows.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)


def _live() -> QuerySet[Contact]:
    found: QuerySet[Contact] = Contact.objects.filter(merged_into=None, erased_at=None)
    return found


def connect() -> None:
    """Forget with every erasure, whoever did it. Doing it twice changes nothing."""
    signals.erased.connect(_erased, dispatch_uid="wagtail_prefs.duplicates")


def _erased(contact: UUID, **_kwargs: object) -> None:
    forget(contact)


def forget(contact: UUID) -> None:
    """Drop what a scan has noted of one who is gone, and end her pairs; in the transaction in which she goes."""
    MatchKey.objects.filter(contact=contact).delete()
    _end_pairs(contact)


def _end_pairs(contact: UUID) -> None:
    pairs = Duplicate.objects.filter(Q(first=contact) | Q(second=contact), outcome="")
    pairs.update(outcome=Duplicate.Outcome.GONE, settled_at=timezone.now())


# --- settling --------------------------------------------------------------------------------------------------------


def open_pairs(audiences: Iterable[Audience]) -> QuerySet[Duplicate]:
    """The pairs that wait for somebody to say what they are; both are still there."""
    found: QuerySet[Duplicate] = Duplicate.objects.filter(
        Exists(_live().filter(pk=OuterRef("first"))),
        Exists(_live().filter(pk=OuterRef("second"))),
        audience__in=list(audiences),
        outcome="",
    )
    return found


def rehearse(pair: Duplicate, keep: UUID, actor: Actor) -> Merging:
    """What merging the other one into `keep` would come to now. Raises UnknownContact."""
    loser = other(pair, keep)
    people = {one.state.id: one for one in store.load_many([pair.first, pair.second])}
    if len(people) < 2 or any(one.state.erased or one.state.merged_into for one in people.values()):
        raise UnknownContact
    there, kept = people[loser].state, people[keep]
    came = rehearse_merge(there, kept.state, kept.email, actor, timezone.now())
    hers = any(effect.path == "attribute:country" for effect in came.effects)  # her own word is not disputed
    if not hers and contacts.would_dispute(keep, there.country):
        came = replace(came, after=replace(came.after, country=DISPUTED))
    return came


def other(pair: Duplicate, keep: UUID) -> UUID:
    """The one of the two who is not kept. Raises ValueError for who is neither."""
    if keep not in (pair.first, pair.second):
        raise ValueError("neither of the two")
    found: UUID = pair.second if keep == pair.first else pair.first
    return found


def merge(
    pair: Duplicate, keep: UUID, versions: Mapping[UUID, int], *, actor: Actor, source: Source, reason: str
) -> submissions.Saved:
    """Make the two one: `keep` goes on, and the links of the other lead to her. It cannot be taken back.

    `versions` are those of both that the decision was made on. Raises Settled, Moved, and UnknownContact for one who was
    erased or merged meanwhile.
    """
    with transaction.atomic():
        # First the people, in their order, then the pair, as an erasure goes.
        rows = Contact.objects.select_for_update().filter(pk__in=[pair.first, pair.second]).order_by("pk")
        now: Sequence[tuple[UUID, int]] = list(rows.values_list("pk", "version"))
        held = _hold(pair)
        if dict(now) != dict(versions):
            raise Moved
        saved = submissions.merge_contacts(other(held, keep), keep, actor=actor, source=source)
        _settle(held, Duplicate.Outcome.MERGED, actor, reason)
        forget(other(held, keep))
    return saved


def tell_apart(pair: Duplicate, *, actor: Actor, reason: str) -> None:
    """Note that they are two people: nobody is asked about them again. Raises Settled."""
    with transaction.atomic():
        _settle(_hold(pair), Duplicate.Outcome.DISTINCT, actor, reason)


def _hold(pair: Duplicate) -> Duplicate:
    held: Duplicate | None = Duplicate.objects.select_for_update().filter(pk=pair.pk, outcome="").first()
    if held is None:
        raise Settled
    return held


def _settle(pair: Duplicate, outcome: str, actor: Actor, reason: str) -> None:
    by: Any = f"{actor.type.value}:{actor.id}"
    pair.outcome, pair.settled_at, pair.by, pair.reason = outcome, timezone.now(), by[:80], reason[:500]
    pair.save(update_fields=["outcome", "settled_at", "by", "reason"])
