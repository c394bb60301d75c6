"""Forgetting somebody, and seeing that every platform follows (GDPR Articles 17 and 19).

`submissions.erase` forgets her here, at once and for good. What platforms were given of her they are told to forget by the
delivery engine; this keeps the account of it: who asked, why, and which platform has confirmed, until none is left.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from ..conf import conf
from ..contacts.models import Contact
from ..delivery import rows
from ..delivery.models import Delivery
from ..errors import UnknownContact
from ..submissions import services as submissions
from ..values import Actor, Outcome, Source, iso
from .models import Erasure

#: Erasures that one round looks at, and those of one statement.
BATCH = 200
#: So long before it must be done, somebody is told.
EARLY = timedelta(days=3)


class Step(enum.StrEnum):
    """How far one platform is. Of the first two the engine takes care; the next two are for people; the last are over."""

    WAITING = "waiting"  # told, or about to be
    FAILING = "failing"  # it refused, or its settings are wrong; tried again every day
    GIVEN_UP = "given_up"  # it has not confirmed for 30 days, and nothing is left to find her by
    GONE = "gone"  # it left the settings before it was told
    DONE = "done"
    BY_HAND = "by_hand"  # somebody says that she did it there


#: Steps after which nothing is left to do.
OVER = frozenset({Step.DONE, Step.BY_HAND})
#: Steps that somebody has to do something about.
STUCK = frozenset({Step.FAILING, Step.GIVEN_UP, Step.GONE})


def erase_person(contact_id: UUID, *, actor: Actor, source: Source, reason: str = "") -> Erasure:
    """Forget a person, and begin to follow it up. Again for the same person gives the first account again.

    `reason` is the staff's, in words that name nobody. Raises UnknownContact for nobody, and for one who was erased by
    another way than this.
    """
    with transaction.atomic():
        known = Erasure.objects.filter(contact=contact_id).first()
        if known is not None:
            return known
        saved = submissions.erase(contact_id, actor=actor, source=source)
        person = saved.state.id  # whom she was merged into, where she was asked for by an older id
        now = timezone.now()
        by = f"{actor.type.value}:{actor.id}" if actor.id else actor.type.value
        found: Erasure = Erasure.objects.create(
            contact=person,
            audience_id=Contact.objects.values_list("audience_id", flat=True).get(pk=person),
            at=now,
            by=by[:80],
            reason=reason,
            due_at=now + conf.erasure_life,
        )
        _follow([found], now)
    return found


def account_of(contact_id: UUID) -> Erasure:
    """The account of somebody's erasure; raises UnknownContact where there is none."""
    found = Erasure.objects.filter(contact=contact_id).first()
    if found is None:
        raise UnknownContact
    return found


def follow_erasures() -> int:
    """See which platforms have followed; returns how many accounts changed. A chore: one statement where none is open."""
    return _follow(list(_open().order_by("due_at")[:BATCH]), timezone.now())


def overdue(now: datetime | None = None, early: timedelta = EARLY) -> QuerySet[Erasure]:
    """The erasures that are not done and must be soon, or should have been."""
    found: QuerySet[Erasure] = _open().filter(due_at__lt=(now or timezone.now()) + early)
    return found


def settle_by_hand(erasure: Erasure, alias: str, by: str) -> bool:
    """Note that somebody had a platform forget her by other means; says whether it was not over before."""
    with transaction.atomic():
        held = Erasure.objects.select_for_update().get(pk=erasure.pk)
        entry = held.backends.get(alias)
        if entry is None or entry["state"] in OVER:
            return False
        now = timezone.now()
        held.backends[alias] = {"state": Step.BY_HAND.value, "at": iso(now), "by": by[:80]}
        _close(held, now)
        held.save(update_fields=["backends", "done_at"])
    return True


def stuck(erasure: Erasure) -> list[str]:
    """The platforms that wait for somebody."""
    return sorted(alias for alias, entry in erasure.backends.items() if entry["state"] in STUCK)


def _open() -> QuerySet[Erasure]:
    found: QuerySet[Erasure] = Erasure.objects.filter(done_at=None)
    return found


def _follow(erasures: Sequence[Erasure], now: datetime) -> int:
    if not erasures:
        return 0
    whose = {erasure.contact: erasure.contact for erasure in erasures}
    former = Contact.objects.filter(merged_into__in=list(whose)).values_list("pk", "merged_into_id")
    whose.update(former)
    heard = Delivery.objects.filter(contact__in=list(whose)).exclude(rows.UNHEARD)
    steps: defaultdict[UUID, defaultdict[str, list[Step]]] = defaultdict(lambda: defaultdict(list))
    for row in heard.only(
        "contact", "backend", "retired", "delivered", "wanted", "last_outcome", "parked", "due_at"
    ):
        steps[whose[row.contact]][row.backend].append(_step(row))
    changed = [
        erasure
        for erasure in erasures
        if _note(erasure, {alias: _worst(found) for alias, found in steps[erasure.contact].items()}, now)
    ]
    Erasure.objects.bulk_update(changed, ["backends", "done_at"])
    return len(changed)


def _step(row: Delivery) -> Step:
    if row.backend not in conf.backends:
        return Step.GONE if row.retired else Step.DONE
    if row.retired:
        failing = row.parked or row.last_outcome in {Outcome.REFUSED.value, Outcome.MISCONFIGURED.value}
        return Step.FAILING if failing else Step.WAITING
    # Emptied by a confirmation, or because 30 days were over.
    return Step.DONE if row.delivered >= row.wanted else Step.GIVEN_UP


def _worst(found: Iterable[Step]) -> Step:
    """Of a platform that knew her under several ids."""
    return min(found, key=_ORDER.index)


_ORDER = (Step.FAILING, Step.GIVEN_UP, Step.GONE, Step.WAITING, Step.BY_HAND, Step.DONE)


def _note(erasure: Erasure, found: dict[str, Step], now: datetime) -> bool:
    """Write down what is new; what somebody did by hand stays so."""
    before = dict(erasure.backends), erasure.done_at
    for alias, step in found.items():
        known = erasure.backends.get(alias)
        if known is None or (known["state"] != step and known["state"] != Step.BY_HAND):
            erasure.backends[alias] = {"state": step.value, "at": iso(now)}
    _close(erasure, now)
    return (dict(erasure.backends), erasure.done_at) != before


def _close(erasure: Erasure, now: datetime) -> None:
    if erasure.done_at is None and all(entry["state"] in OVER for entry in erasure.backends.values()):
        erasure.done_at = now
