"""Rows of mail under a lease. One statement each.

A row that waits has a `due_at`. Whoever takes it puts `due_at` to the end of a lease and writes its name into `lease`:
until then the row is due for nobody else, and if the worker dies it is simply due again. What is written under a lease
names it, so a worker that was only slow cannot write over its successor.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from ..ids import random_id
from .kinds import GIVEN_UP_AFTER, KINDS
from .models import Mail

#: Longer than a server that answers each command at the last moment could take for one mail.
LEASE = timedelta(minutes=5)
#: How the codes begin that speak of the mail server and of no mail.
SERVER = "server-"

# A subquery of a CTE and not of IN: PostgreSQL may run the latter more than once, and then claims too much.
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM {table} WHERE due_at <= %s ORDER BY due_at, id LIMIT 1 {lock}
)
UPDATE {table} SET lease = %s, due_at = %s, attempts = attempts + 1 WHERE id IN (SELECT id FROM due) RETURNING *
"""


def claim(now: datetime) -> Mail | None:
    """Take the mail that is due for longest; no mail is ever taken by two workers at a time. None: nothing is due."""
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    sql = _CLAIM.format(table=connection.ops.quote_name(Mail._meta.db_table), lock=lock)
    adapt = connection.ops.adapt_datetimefield_value
    claimed = Mail.objects.raw(sql, [adapt(now), random_id(), adapt(now + LEASE)])
    return next(iter(claimed), None)


def is_held(mail: Mail, now: datetime) -> bool:
    """Whether the lease of a mail that was just taken still runs. No query."""
    return mail.due_at is not None and now < mail.due_at


def sent(mail: Mail, now: datetime) -> bool:
    """Note that a mail was handed over, and forget whom to; False where the lease was lost meanwhile."""
    return _held(mail).update(sent_at=now, due_at=None, lease="", code="", to="", context={}) == 1


def give_up(mail: Mail, code: str) -> bool:
    """Note that a mail is never sent, and forget whom it was for; False where the lease was lost meanwhile."""
    return _held(mail).update(due_at=None, lease="", code=code, to="", context={}) == 1


def try_again(mail: Mail, at: datetime, code: str) -> bool:
    """Have a mail that failed tried again then; False where the lease was lost meanwhile."""
    return _held(mail).update(due_at=at, lease="", code=code) == 1


def put_back(mail: Mail, at: datetime, code: str) -> bool:
    """As if it had never been taken: the mail was not the reason; False where the lease was lost meanwhile."""
    return _held(mail).update(due_at=at, lease="", code=code, attempts=mail.attempts - 1) == 1


def put_off(now: datetime, until: datetime, code: str) -> int:
    """Leave everything that is due for later: there is no server to take it. Returns how many."""
    with transaction.atomic():
        return _unlocked(Q(due_at__lte=now)).update(due_at=until, code=code)


def server_away(now: datetime) -> tuple[datetime, str] | None:
    """Until when, and why, somebody has put mails off a moment ago because there was no server."""
    put_off = (
        Mail.objects.filter(due_at__gt=now, lease="", code__startswith=SERVER).order_by("-due_at").first()
    )
    return (put_off.due_at, put_off.code) if put_off is not None and put_off.due_at is not None else None


def make_due(now: datetime) -> int:
    """Have all that waits tried now; returns how many were not due yet."""
    return Mail.objects.filter(due_at__gt=now, lease="").update(due_at=now)


def is_over(mail: Mail, now: datetime) -> bool:
    """Whether it is too late for a mail: its link has ended, or it could not be sent for days."""
    kind = KINDS.get(mail.kind)
    return mail.created_at <= now - (kind.given_up_after if kind else GIVEN_UP_AFTER)


def give_up_what_is_over(now: datetime) -> int:
    """Give up what waits and is too late, and forget whom it was for; returns how many. A worker's own are left to it."""
    over = Q(created_at__lte=now - GIVEN_UP_AFTER)
    for kind in KINDS.values():
        if kind.given_up_after < GIVEN_UP_AFTER:
            over |= Q(kind=kind.name, created_at__lte=now - kind.given_up_after)
    found = over & Q(due_at__isnull=False) & (Q(lease="") | Q(due_at__lte=now))
    # Asked first, because this is done at every look, and SQLite locks for an UPDATE that changes nothing.
    if not Mail.objects.filter(found).exists():
        return 0
    with transaction.atomic():
        return _unlocked(found).update(due_at=None, lease="", code="too-old", to="", context={})


def waiting() -> int:
    """How many mails are still to be sent, now or later."""
    return Mail.objects.filter(due_at__isnull=False).count()


def _unlocked(rule: Q) -> QuerySet[Mail]:
    """Rows that nobody else is writing: two who wait for each other's rows would be a deadlock."""
    free = Mail.objects.filter(rule).select_for_update(skip_locked=True)
    return Mail.objects.filter(pk__in=free.values("pk"))


def _held(mail: Mail) -> QuerySet[Mail]:
    return Mail.objects.filter(pk=mail.pk, lease=mail.lease)
