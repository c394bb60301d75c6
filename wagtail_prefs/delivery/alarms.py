"""Alarms about deliveries: opt-outs that do not arrive, backends that were given up, addresses nobody took back.

Each is raised once per outage, whatever the number of workers, and taken back when it is over (`Lane.alarms`). It is a line
in the log at ERROR; for opt-outs a signal as well (`signals.opt_outs_late`); and what cannot wait for the next look at a
log is a mail to the ADMINS. Nothing of it names a person.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.mail import mail_admins
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from ..conf import conf
from ..contacts.models import Contact
from ..law import services as law
from ..ledger.services import batches_since_many
from ..values import iso
from . import counts
from .models import Delivery, Lane
from .rows import WAITING
from .signals import opt_outs_late

logger = logging.getLogger("wagtail_prefs.delivery")

#: An opt-out that a platform does not know after so long is an alarm, by the level's name.
LEVELS = {"15m": timedelta(minutes=15), "24h": timedelta(hours=24)}
#: The level between them: what the law of a person's country, or the site's policy, lets wait for hours, but not for a
#: day. Where it says "at once", that is the first level: a delivery under way is given its minutes.
LAW = "law"
#: How often all workers together look.
EVERY = timedelta(minutes=1)
#: The rows that are looked at one by one, the oldest first: whether it is the opt-out that waits for so long, or something
#: else of hers did before.
SAMPLE = 200

GIVEN_UP = "given_up"
UNCONFIRMED = "retired_unconfirmed"
#: How long that one is shown.
SHOWN = timedelta(days=1)
MAILED = ("opt_outs_law", "opt_outs_24h", GIVEN_UP, UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class Late:
    """Opt-outs that have not arrived in time: of how many people, and since when the oldest."""

    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Alarm:
    """One that holds now. `text` is for people."""

    name: str
    text: str
    level: str = ""
    late: Late | None = None


def watch() -> int:
    """Raise what must be, take back what is over; returns how many were raised. A chore of the worker.

    One statement, and once a minute a few of a row per backend.
    """
    now = timezone.now()
    lanes = _our_turn(now)
    if not lanes:
        return 0
    counts.forget_old(now)
    waiting = _with_opt_outs([lane.backend for lane in lanes])
    return sum(_look(lane, now, opt_outs=lane.backend in waiting) for lane in lanes)


def unconfirmed(alias: str, count: int) -> None:
    """Old addresses of so many people were given up: a platform did not confirm for 30 days that they are off there."""
    with transaction.atomic():
        lane, _made = Lane.objects.select_for_update().get_or_create(backend=alias)
        count += lane.alarms.get(UNCONFIRMED, {}).get("count", 0)
        lane.alarms = {**lane.alarms, UNCONFIRMED: {"at": iso(timezone.now()), "count": count}}
        lane.save(update_fields=["alarms"])


def late_opt_outs(alias: str, now: datetime, after: timedelta) -> Late | None:
    """Whether people opted out longer ago than `after`, and the backend has not heard; None where it has."""
    limit = now - after
    rows = _oldest(alias)
    moments = [said for said in _said(rows).values() if said <= limit]
    if not moments:
        return None
    count = len(moments)
    if len(rows) == SAMPLE:  # of the others it is enough to know that something of theirs is so old
        waiting = Delivery.objects.filter(_OPT_OUTS, backend=alias)
        old = waiting.annotate(since=Coalesce("failing_since", "due_at")).filter(since__lte=limit)
        count += old.count() - sum((row[2] or row[3] or now) <= limit for row in rows)
    return Late(count, min(moments))


def late_by_law(alias: str, now: datetime) -> Late | None:
    """Those that waited longer than the law of the person's country lets them, in calendar hours (security.md LW-16).

    Only where that is a number of hours below a day: for a day, and for "at once", there are the other levels.
    """
    said = _said(_oldest(alias))
    countries = dict(Contact.objects.filter(pk__in=list(said)).values_list("pk", "country"))
    current, moments = law.current(), []
    for contact, moment in said.items():
        hours = current.rules_for(countries.get(contact, "")).honour_hours
        if hours and LEVELS["15m"] <= timedelta(hours=hours) < LEVELS["24h"]:
            moments += [moment] if moment + timedelta(hours=hours) <= now else []
    return Late(len(moments), min(moments)) if moments else None


def late_backends(now: datetime, after: timedelta) -> dict[str, Late]:
    """All configured backends of which that is so; one statement where there are none."""
    found = {alias: late_opt_outs(alias, now, after) for alias in sorted(_with_opt_outs(list(conf.backends)))}
    return {alias: late for alias, late in found.items() if late is not None}


def backends_late_by_law(now: datetime, aliases: Iterable[str]) -> set[str]:
    """Those of these backends of which that is so."""
    return {alias for alias in aliases if late_by_law(alias, now) is not None}


# --- looking ----------------------------------------------------------------------------------------------------------


def _our_turn(now: datetime) -> list[Lane]:
    """The lanes nobody has looked at for a minute, claimed by one UPDATE each."""
    names = sorted(conf.backends)
    if not names:
        return []
    rested = Q(watched_at=None) | Q(watched_at__lte=now - EVERY) | Q(watched_at__gt=now)
    known = dict(Lane.objects.filter(backend__in=names).values_list("backend", "watched_at"))
    stale = [name for name in names if not ((at := known.get(name)) and now - EVERY < at <= now)]
    if missing := [name for name in stale if name not in known]:
        Lane.objects.bulk_create([Lane(backend=name) for name in missing], ignore_conflicts=True)
    ours = [name for name in stale if Lane.objects.filter(rested, backend=name).update(watched_at=now)]
    return list(Lane.objects.filter(backend__in=ours)) if ours else []


def _look(lane: Lane, now: datetime, *, opt_outs: bool) -> int:
    holding = {alarm.name: alarm for alarm in _holding(lane, now, opt_outs=opt_outs)}
    known = set(lane.alarms)
    if not holding and not known:
        return 0
    notes, raised = _note(lane.backend, holding, now)
    for name in sorted(known - holding.keys()):
        logger.warning("alarm %s of %s is over", name, lane.backend)
    for name in raised:
        _ring(lane.backend, holding[name])
    for name in MAILED:
        # Tried again at every look until the mail server takes it: nobody must miss this one.
        if name in holding and not notes[name].get("mailed") and _mail(lane.backend, holding[name]):
            _note(lane.backend, {name: holding[name]}, now, mailed=True)
    return len(raised)


def _holding(lane: Lane, now: datetime, *, opt_outs: bool) -> Iterator[Alarm]:
    alias = lane.backend
    for level, late in _late(alias, now) if opt_outs else ():
        said = {"count": late.count, "backend": alias, "since": iso(late.since)}
        text = _("%(count)d opt-outs have not reached %(backend)s; the oldest is of %(since)s.")
        yield Alarm(f"opt_outs_{level}", text % said, level, late)
    if lane.disabled_at is not None:
        said = {"backend": alias, "code": lane.last_code}
        text = _("%(backend)s was given up after five days (%(code)s): nothing but opt-outs is tried.")
        yield Alarm(GIVEN_UP, text % said)
    noted = lane.alarms.get(UNCONFIRMED)
    if noted and noted["at"] > iso(now - SHOWN):
        said = {"backend": alias, "count": noted["count"]}
        text = _("%(backend)s did not take back the old addresses of %(count)d people in 30 days.")
        yield Alarm(UNCONFIRMED, text % said)


def _late(alias: str, now: datetime) -> Iterator[tuple[str, Late]]:
    first = late_opt_outs(alias, now, LEVELS["15m"])
    if first is None:
        return  # not late by a quarter of an hour, not late by more
    yield "15m", first
    for level, late in ((LAW, late_by_law(alias, now)), ("24h", late_opt_outs(alias, now, LEVELS["24h"]))):
        if late is not None:
            yield level, late


def _note(
    alias: str, holding: Mapping[str, Alarm], now: datetime, *, mailed: bool = False
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Write down what holds, and take back what does not; or that these were `mailed`. Returns what is written, and
    which are new."""
    with transaction.atomic():
        lane = Lane.objects.select_for_update().get(backend=alias)
        before: dict[str, dict[str, Any]] = lane.alarms
        if mailed:
            after = {
                name: {**note, "mailed": True} if name in holding else note for name, note in before.items()
            }
        else:
            after = {name: {"at": iso(now), **before.get(name, {}), "rung": True} for name in holding}
        if after != before:
            lane.alarms = after
            lane.save(update_fields=["alarms"])
    return after, [name for name in after if not before.get(name, {}).get("rung")]


def _ring(alias: str, alarm: Alarm) -> None:
    logger.error("alarm %s: %s", alarm.name, alarm.text)
    if alarm.late is None:
        return
    answers = opt_outs_late.send_robust(
        sender=alias, level=alarm.level, count=alarm.late.count, since=alarm.late.since
    )
    for _receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error("a receiver of opt_outs_late failed: %s", type(answer).__name__)


def _mail(alias: str, alarm: Alarm) -> bool:
    """Whether the mail server has taken it; also where nobody is to be told."""
    subject = _("Preferences do not reach %(backend)s") % {"backend": alias}
    what_to_do = _(
        "Run manage.py prefs_check: it says why, and what to do. The page of backends in the admin shows the same. "
        "Until it is mended, send nothing from there to people who may have left."
    )
    try:
        mail_admins(subject, f"{alarm.text}\n\n{what_to_do}\n")
    except Exception as error:  # noqa: BLE001 - a mail backend is anybody's code; the text may hold addresses
        logger.error("alarm %s of %s: no mail to the ADMINS (%s)", alarm.name, alias, type(error).__name__)  # noqa: TRY400
        return False
    return True


# --- what may be late -------------------------------------------------------------------------------------------------


# In words that let SQLite use the index of what is due.
_OPT_OUTS = WAITING & Q(restricts__in=(True,))


def _with_opt_outs(aliases: list[str]) -> set[str]:
    """Of these backends, those that have not heard of an opt-out yet, however new."""
    return {alias for alias in aliases if Delivery.objects.filter(_OPT_OUTS, backend=alias).exists()}


#: Of a delivery with an opt-out: the contact, what the backend has heard of her, and since when it waits.
_Row = tuple[UUID, int, datetime | None, datetime | None, datetime | None]


def _oldest(alias: str) -> list[_Row]:
    """The first rows of a backend that has not heard of an opt-out, those first that have waited longest."""
    waiting = Delivery.objects.filter(_OPT_OUTS, backend=alias)
    columns = ("contact", "delivered", "failing_since", "due_at", "retired_at")
    return list(waiting.order_by(Coalesce("failing_since", "due_at"), "pk").values_list(*columns)[:SAMPLE])


def _said(rows: Iterable[_Row]) -> dict[UUID, datetime]:
    """When each of these people said what the backend has not heard."""
    rows = list(rows)
    noes = _first_noes({contact: delivered for contact, delivered, *_ in rows})
    found: dict[UUID, datetime] = {}
    for contact, _delivered, failing_since, due_at, retired_at in rows:
        # Without a no of hers it is an address that is not hers any more, or one that must be told again.
        known = [moment for moment in (noes.get(contact), retired_at) if moment]
        said = min(known) if known else failing_since or due_at
        if said is not None:
            found[contact] = said
    return found


def _first_noes(delivered: Mapping[UUID, int]) -> dict[UUID, datetime]:
    """When each contact said the first no that her backend has not heard of."""
    return {
        contact: min(noes)
        for contact, batches in batches_since_many(delivered).items()
        if (noes := [batch.at for batch in batches if any(effect.is_no for effect in batch.effects)])
    }
