"""Forgetting somebody, and seeing that every platform follows (GDPR Articles 17 and 19).

`submissions.erase` forgets her here, at once and for good. What platforms were given of her they are told to forget by the
delivery engine; this keeps the account of it: who asked, why, and which platform has confirmed, until none is left. Every
erasure has one, whoever did it: also a platform that speaks for her, and the end of a sign-up that nobody confirmed.
"""

from __future__ import annotations

import enum
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from ..backends.registry import backends
from ..conf import conf
from ..contacts.models import Contact
from ..delivery import retiring, rows
from ..delivery.models import Delivery
from ..errors import UnknownContact
from ..submissions import services as submissions, signals
from ..values import Actor, Outcome, Source, iso
from .models import Erasure

logger = logging.getLogger("wagtail_prefs.alarm")

#: Erasures of one transaction.
BATCH = 200
#: Seconds between two rounds of a process: all that are open are looked through, also those that wait for people.
PAUSE = 60
#: So far the clocks of two machines may be apart.
SKEW = timedelta(minutes=1)
#: So long before it must be done, somebody is told.
EARLY = timedelta(days=3)
_rounds: list[float] = []  # when the last one was
_told: list[date] = []  # the last day on which this worker rang


class Step(enum.StrEnum):
    """How far one platform is. Of the first two the engine takes care; the next three are for people; the last are over."""

    WAITING = "waiting"  # told, or about to be
    FAILING = "failing"  # it refused, or its settings are wrong; tried again every day
    GIVEN_UP = "given_up"  # it has not confirmed for 30 days, and nothing is left to find her by: not to be believed later
    GONE = "gone"  # it left the settings before it was told
    KEEPS = "keeps"  # she gets nothing from it any more, but it cannot delete (`Capabilities.erases`)
    DONE = "done"
    BY_HAND = "by_hand"  # somebody says that she did it there


#: Steps after which nothing is left to do.
OVER = frozenset({Step.DONE, Step.BY_HAND})
#: Steps that somebody has to do something about.
STUCK = frozenset({Step.FAILING, Step.GIVEN_UP, Step.GONE, Step.KEEPS})


def erase_person(contact_id: UUID, *, actor: Actor, source: Source, reason: str = "") -> Erasure:
    """Forget a person, and begin to follow it up. Again for the same person gives the first account again.

    `reason` is the staff's, in words that name nobody. Raises UnknownContact for nobody.
    """
    with transaction.atomic():
        known = _account(contact_id)
        if known is not None:
            return known
        try:
            saved = submissions.erase(contact_id, actor=actor, source=source)
        except UnknownContact:
            known = _account(contact_id)  # the button was pressed twice: the other one was first
            if known is None:
                raise
            return known
        # Of whom she was merged into, where she was asked for by an older id.
        found: Erasure = Erasure.objects.get(contact=saved.state.id)
        if reason:
            found.reason = reason
            found.save(update_fields=["reason"])
    return found


def connect() -> None:
    """Have every erasure followed, whoever did it. Doing it twice changes nothing."""
    signals.erased.connect(_open_account, dispatch_uid="wagtail_prefs.erasure")


def _open_account(contact: UUID, actor: Actor, **_kwargs: object) -> None:
    now = timezone.now()
    by = f"{actor.type.value}:{actor.id}" if actor.id else actor.type.value
    account = Erasure(
        contact=contact,
        audience_id=Contact.objects.values_list("audience_id", flat=True).get(pk=contact),
        at=now,
        by=by[:80],
        due_at=now + conf.erasure_life,
    )
    _look([account], now)
    account.save(force_insert=True)


def account_of(contact_id: UUID) -> Erasure:
    """The account of somebody's erasure, also by the id of whom she was merged from; raises UnknownContact for none."""
    found = _account(contact_id)
    if found is None:
        raise UnknownContact
    return found


def follow_now_and_then() -> int:
    """The same as `follow_erasures` for whoever asks all the time: mostly nothing. A chore of the worker, which also rings
    once a day where one must soon be done.
    """
    now = time.monotonic()
    if _rounds and now - _rounds[-1] < PAUSE:
        return 0
    _rounds[:] = [now]
    changed = follow_erasures()
    _ring()
    return changed


def _ring() -> None:
    now = timezone.now()
    if [now.date()] == _told:
        return
    count = overdue(now).count()
    if count:
        _told[:] = [now.date()]
        logger.error(
            "alarm erasures: %s not done, of which %s must have been; prefs_erase --open says what each waits for",
            count,
            overdue(now, timedelta()).count(),
        )


def follow_erasures() -> int:
    """See which platforms have followed; returns how many accounts changed. One statement where none is open."""
    changed, after = 0, UUID(int=0)
    # To the end, since those that wait for people stay open, and would keep the others from their turn.
    while ids := list(_open().filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():  # under lock: somebody may be settling one by hand
            held = _open().filter(pk__in=ids).select_for_update().order_by("pk")
            changed += _follow(list(held), timezone.now())
        after = ids[-1]
    return changed


def overdue(now: datetime | None = None, early: timedelta = EARLY) -> QuerySet[Erasure]:
    """The erasures that are not done and must be soon, or should have been."""
    found: QuerySet[Erasure] = _open().filter(due_at__lt=(now or timezone.now()) + early)
    return found


def late(now: datetime | None = None) -> QuerySet[Erasure]:
    """The erasures that should have been done by now."""
    return overdue(now, timedelta())


def for_people() -> QuerySet[Erasure]:
    """The erasures with a platform that waits for somebody."""
    text = Cast("backends", TextField())  # the aliases are anybody's: no path leads to all states
    found: QuerySet[Erasure] = _open().annotate(steps=text)
    said = Q()
    for step in STUCK:
        said |= Q(steps__contains=f'"state": "{step.value}"')
    return found.filter(said)


@dataclass(frozen=True, slots=True)
class There:
    """By what one platform knows her, as far as it is known here: for whoever deletes her there."""

    alias: str
    ids: tuple[str, ...]
    external_ids: tuple[str, ...]
    addresses: tuple[str, ...]


def known_there(erasure: Erasure) -> list[There]:
    """By what the platforms know her that wait for somebody. An address only while they may still confirm: 30 days."""
    aliases = stuck(erasure)
    former = Contact.objects.filter(merged_into=erasure.contact).values("pk")
    heard = Delivery.objects.filter(backend__in=aliases).exclude(rows.UNHEARD)
    hers = heard.filter(Q(contact=erasure.contact) | Q(contact__in=former)).order_by("backend", "contact")
    found: dict[str, list[set[str]]] = {alias: [set(), set(), set()] for alias in aliases}
    for row in hers.defer("log"):
        entries, _unreadable = retiring.read(row.backend, row.contact, row.retired)
        ids, external_ids, addresses = found[row.backend]
        ids |= {row.remote_id, *(entry.remote for entry in entries)} - {""}
        external_ids |= {entry.external_id for entry in entries} - {""}
        addresses |= {entry.email for entry in entries} - {""}
    return [There(alias, *(tuple(sorted(each)) for each in kinds)) for alias, kinds in found.items()]


def settle_by_hand(erasure: Erasure, alias: str, by: str) -> bool:
    """Note that somebody had a platform forget her by other means; says whether it was not over before.

    By what the platform knew her is forgotten here with it.
    """
    with transaction.atomic():
        held = Erasure.objects.select_for_update().get(pk=erasure.pk)
        entry = held.backends.get(alias)
        if entry is None or entry["state"] in OVER:
            return False
        now = timezone.now()
        held.backends[alias] = {"state": Step.BY_HAND.value, "at": iso(now), "by": by[:80]}
        _close(held, now)
        held.save(update_fields=["backends", "done_at"])
        if entry["state"] == Step.KEEPS:  # of the others the engine still has to take care, or has nothing
            former = Contact.objects.filter(merged_into=held.contact).values("pk")
            hers = Delivery.objects.filter(Q(contact=held.contact) | Q(contact__in=former), backend=alias)
            hers.update(remote_id="")
    return True


def stuck(erasure: Erasure) -> list[str]:
    """The platforms that wait for somebody."""
    return sorted(alias for alias, entry in erasure.backends.items() if entry["state"] in STUCK)


def _account(contact_id: UUID) -> Erasure | None:
    into = Contact.objects.filter(pk=contact_id).values("merged_into")
    found: Erasure | None = Erasure.objects.filter(Q(contact=contact_id) | Q(contact__in=into)).first()
    return found


def _open() -> QuerySet[Erasure]:
    found: QuerySet[Erasure] = Erasure.objects.filter(done_at=None)
    return found


def _follow(erasures: Sequence[Erasure], now: datetime) -> int:
    changed = _look(erasures, now)
    Erasure.objects.bulk_update(changed, ["backends", "done_at"])
    return len(changed)


def _look(erasures: Sequence[Erasure], now: datetime) -> list[Erasure]:
    """Note in each how far the platforms are; returns those in which something is new. Writes nothing."""
    if not erasures:
        return []
    whose = {erasure.contact: erasure.contact for erasure in erasures}
    since = {erasure.contact: erasure.at for erasure in erasures}
    former = Contact.objects.filter(merged_into__in=list(whose)).values_list("pk", "merged_into_id")
    whose.update(former)
    heard = Delivery.objects.filter(contact__in=list(whose)).exclude(rows.UNHEARD)
    steps: defaultdict[UUID, defaultdict[str, list[Step]]] = defaultdict(lambda: defaultdict(list))
    for row in heard.defer("log"):
        person = whose[row.contact]
        steps[person][row.backend].append(_step(row, since[person]))
    return [
        erasure
        for erasure in erasures
        if _note(erasure, {alias: _worst(found) for alias, found in steps[erasure.contact].items()}, now)
    ]


def _step(row: Delivery, erased_at: datetime) -> Step:
    configured = row.backend in conf.backends
    if row.retired:
        failing = row.parked or row.last_outcome in {Outcome.REFUSED.value, Outcome.MISCONFIGURED.value}
        return Step.GONE if not configured else Step.FAILING if failing else Step.WAITING
    if row.delivered < row.wanted:
        # To be told once more; or emptied because 30 days were over.
        return Step.WAITING if configured and row.due_at is not None else Step.GIVEN_UP
    # Where it had left the settings before she was erased, nobody wanted it told: it is as it was before.
    told = row.delivered_at is not None and row.delivered_at >= erased_at - SKEW
    if not told:
        return Step.GIVEN_UP
    return _confirmed(row.backend) if configured else Step.DONE


def _confirmed(alias: str) -> Step:
    """What it is worth that a platform has done as it was told."""
    try:
        return Step.DONE if backends[alias].capabilities.erases else Step.KEEPS
    except Exception:  # noqa: BLE001 - a backend is anybody's code, its settings anybody's typing; delivery tells of it
        return Step.WAITING  # nobody knows what it can: another look will tell


def _worst(found: Iterable[Step]) -> Step:
    """Of a platform that knew her under several ids."""
    return min(found, key=_ORDER.index)


_KEPT = frozenset({Step.GIVEN_UP, Step.KEEPS, Step.BY_HAND})
_ORDER = (Step.FAILING, Step.GIVEN_UP, Step.GONE, Step.WAITING, Step.KEEPS, Step.BY_HAND, Step.DONE)


def _note(erasure: Erasure, found: dict[str, Step], now: datetime) -> bool:
    """Write down what is new. What was given up is left to people: without what she went by, a platform that says later
    that it is up to date has not forgotten her, and neither has one that learned to delete since. And what they did stays
    done.
    """
    before = dict(erasure.backends), erasure.done_at
    for alias, step in found.items():
        known = erasure.backends.get(alias)
        if known is None or (known["state"] != step and known["state"] not in _KEPT):
            erasure.backends[alias] = {"state": step.value, "at": iso(now)}
    _close(erasure, now)
    return (dict(erasure.backends), erasure.done_at) != before


def _close(erasure: Erasure, now: datetime) -> None:
    if erasure.done_at is None and all(entry["state"] in OVER for entry in erasure.backends.values()):
        erasure.done_at = now
