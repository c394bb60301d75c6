"""Rows of mails that wait: put away, taken under a lease, and settled. One statement each, where nothing else is said.

A row waits while its `outcome` is "". Whoever takes it puts `due_at` to the end of a lease and writes its name into
`lease`; what is written under a lease names it, so a worker that was only slow cannot write over its successor. Right
before a mail is handed over `handed_at` is written: who finds it there, after the lease, cannot know whether the mail
arrived, and settles it as uncertain.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from ..conf import conf
from ..contacts.models import Contact
from ..decisions import services as decisions
from ..decisions.models import Send
from ..decisions.services import Decision, Verdict
from ..errors import PrefsError
from ..ids import random_id, uuid7
from . import packing
from .models import Waiting
from .signals import mail_settled, mail_waiting
from .values import Letter

logger = logging.getLogger("wagtail_prefs.sending")

Outcome = Waiting.Outcome

#: Longer than a server that answers each command at the last moment could take for one mail.
LEASE = timedelta(minutes=5)
#: Mails of one contact that are taken at once.
TAKEN = 200
#: Rows in one statement where there may be any number.
BATCH = 1_000
#: In `code`, for whoever takes a row whose lease has ended: its mail may have its place, and did not go out.
INTERRUPTED = "interrupted"

#: Of these a mail that comes once more was never sent, and starts anew.
_NEVER_SENT = {Outcome.REFUSED, Outcome.EXPIRED, Outcome.FAILED, Outcome.WITHDRAWN}
#: What staff may send again: it has its body still, until it is pointless.
AGAIN = {Outcome.FAILED, Outcome.UNCERTAIN}


class Gone(PrefsError):
    """She was erased since it was decided about her: nothing of her mail is kept."""


# --- putting away ------------------------------------------------------------------------------------------------------


def put(letter: Letter, decision: Decision) -> Waiting:
    """Put a mail off that `decide` answered with `defer` or `digest`; it goes out by itself when it may.

    A mail that waits already, or went out after it did, stays as it is, and its row is returned. Three statements.
    Raises packing.CannotWait for a message that cannot be kept, Gone for one who is not there any more, and ValueError for
    a decision that asks for no wait.
    """
    if decision.until is None or decision.verdict not in {Verdict.DEFER, Verdict.DIGEST}:
        raise ValueError("only what is to be sent later can wait")
    now = timezone.now()
    row = uuid7()
    expires = letter.expires_at or now + conf.waiting_life
    values = {
        "audience_id": letter.contact.audience_id,
        "topic": letter.topic,
        "channel": letter.channel,
        "kind": decision.verdict.value,
        "reason": _code(decision.reason),
        "sender": letter.sender,
        "center": letter.center,
        "created_at": letter.waited_since or now,
        "expires_at": expires,
        "due_at": min(decision.until, expires),
        "lease": "",
        "handed_at": None,
        "attempts": 0,
        "outcome": "",
        "settled_at": None,
        "code": "",
    }
    packed = packing.pack(letter.message, row=row, mailto=letter.mailto)
    with transaction.atomic():
        # Whoever erases her in just this moment waits for us, and finds the row; or we see that she is gone.
        there = Contact.objects.filter(pk=letter.contact.pk, erased_at=None).select_for_update(no_key=True)
        if not there.values_list("pk").first():
            raise Gone
        waiting, new = Waiting.objects.get_or_create(
            message_id=letter.message_id,
            contact=letter.contact.pk,
            defaults={"id": row, "packed": packed, **values},
        )
        if not new and waiting.outcome in _NEVER_SENT:
            again = {**values, "packed": packing.pack(letter.message, row=waiting.pk, mailto=letter.mailto)}
            new = Waiting.objects.filter(pk=waiting.pk, outcome=waiting.outcome).update(**again) == 1
            waiting.refresh_from_db()
    if new:
        tell(mail_waiting, waiting)
    return waiting


# --- taking -----------------------------------------------------------------------------------------------------------


def is_due(now: datetime) -> bool:
    """Whether there is something to take."""
    return _waiting().filter(due_at__lte=now).exists()


def overdue(now: datetime) -> int:
    """How many mails are due, and nobody is sending them."""
    return _waiting().filter(due_at__lte=now).count()


# First somebody whose mail is due for longest, then all of hers that is: one worker at a time looks at one contact, so
# that her digest is one, and her oldest mail goes first. Subqueries of a CTE and not of IN: PostgreSQL may run the latter
# more than once, and then claims too much.
_CLAIM_POSTGRESQL = """
WITH lead AS MATERIALIZED (
    SELECT waiting.contact FROM {table} AS waiting JOIN {contacts} AS contact ON contact.id = waiting.contact
    WHERE waiting.outcome = '' AND waiting.due_at <= %(upto)s
    ORDER BY waiting.due_at LIMIT 1 FOR NO KEY UPDATE OF contact SKIP LOCKED
), due AS MATERIALIZED (
    SELECT id FROM {table} WHERE contact = (SELECT contact FROM lead) AND outcome = '' AND due_at <= %(upto)s
    ORDER BY id LIMIT %(taken)s FOR UPDATE SKIP LOCKED
)
"""
_CLAIM_SQLITE = """
WITH lead AS (
    SELECT contact FROM {table} WHERE outcome = '' AND due_at <= %(upto)s ORDER BY due_at LIMIT 1
), due AS (
    SELECT id FROM {table} WHERE contact = (SELECT contact FROM lead) AND outcome = '' AND due_at <= %(upto)s
    ORDER BY id LIMIT %(taken)s
)
"""
# Who was interrupted after handing over may yet say what became of it, under its own lease.
_TAKE = """
UPDATE {table} SET due_at = %(until)s,
    lease = CASE WHEN handed_at IS NULL THEN %(lease)s ELSE lease END,
    code = CASE WHEN lease = '' THEN code ELSE '{interrupted}' END
WHERE id IN (SELECT id FROM due) RETURNING {columns}
"""


def claim(upto: datetime) -> list[Waiting]:
    """Take what was due then of one contact, oldest first, without the mails: `packed` is fetched when it is read.

    Empty: nothing is due, or somebody else is taking it in just this moment.
    """
    quote = connection.ops.quote_name
    begin = _CLAIM_POSTGRESQL if _can_skip() else _CLAIM_SQLITE
    fields = [quote(field.attname) for field in Waiting._meta.concrete_fields if field.name != "packed"]
    sql = (begin + _TAKE).format(
        table=quote(Waiting._meta.db_table),
        contacts=quote(Contact._meta.db_table),
        columns=", ".join(fields),
        interrupted=INTERRUPTED,
    )
    adapt = connection.ops.adapt_datetimefield_value
    until = timezone.now() + LEASE
    values = {"upto": adapt(upto), "until": adapt(until), "lease": random_id(), "taken": TAKEN}
    return sorted(Waiting.objects.raw(sql, values), key=lambda row: (row.created_at, row.pk))


def sent_already(rows: Collection[Waiting]) -> set[str]:
    """Which of a contact's mails were sent since they were put off, by whoever sent them once more."""
    ids = [row.message_id for row in rows if row.code != INTERRUPTED]
    if not ids:
        return set()
    contacts = {row.contact for row in rows}
    return set(
        Send.objects.filter(contact__in=contacts, message_id__in=ids).values_list("message_id", flat=True)
    )


def hand(row: Waiting) -> bool:
    """Note that a mail is handed over now. False: do not; the lease was lost, or the mail was taken back meanwhile."""
    now = timezone.now()
    held = _held(row).filter(outcome="", handed_at=None)
    if not held.update(handed_at=now, due_at=now + LEASE):
        return False
    row.handed_at, row.due_at = now, now + LEASE
    return True


def hand_all(rows: Sequence[Waiting]) -> bool:
    """The same of all the mails of a digest, or of none. Waits for nobody: a merge may be under way."""
    now = timezone.now()
    with transaction.atomic():
        free = Waiting.objects.select_for_update(skip_locked=_can_skip()).filter(
            pk__in=[row.pk for row in rows], lease=rows[0].lease, outcome="", handed_at=None
        )
        if len(free.values_list("pk")) < len(rows):
            return False
        Waiting.objects.filter(pk__in=[row.pk for row in rows]).update(handed_at=now, due_at=now + LEASE)
    for row in rows:
        row.handed_at, row.due_at = now, now + LEASE
    return True


# --- what became of it ------------------------------------------------------------------------------------------------


def settle(row: Waiting, outcome: str, code: str = "") -> bool:
    """A mail waits no more, and its body goes - but for what staff may send again; False where the lease was lost."""
    values: dict[str, object] = {
        "outcome": outcome,
        "settled_at": timezone.now(),
        "code": _code(code),
        "handed_at": row.handed_at,
        **({} if outcome in AGAIN else {"packed": ""}),
        **({} if outcome == Outcome.UNCERTAIN else {"lease": ""}),
    }
    if not _write(row, values):
        return False
    tell(mail_settled, row, outcome=Outcome(outcome))
    return True


def put_off(row: Waiting, decision: Decision) -> bool:
    """Let a mail wait on, as `decide` says now; False where the lease was lost."""
    until = decision.until or row.expires_at
    kind = Waiting.Kind.DIGEST if decision.verdict is Verdict.DIGEST else Waiting.Kind.DEFER
    values = {
        "due_at": min(until, row.expires_at),
        "kind": kind,
        "reason": _code(decision.reason),
        "lease": "",
        "handed_at": None,
        "outcome": "",
        "settled_at": None,
        "code": "",
    }
    return _write(row, values)


def try_again(row: Waiting, at: datetime, code: str) -> bool:
    """Have a mail that failed tried again then; False where the lease was lost."""
    values = {
        "due_at": min(at, row.expires_at),
        "attempts": min(row.attempts + 1, 32_767),
        "lease": "",
        "handed_at": None,
        "outcome": "",
        "settled_at": None,
        "code": _code(code),
    }
    return _write(row, values)


def release(rows: Iterable[Waiting], at: datetime, code: str = "") -> int:
    """As if these mails had never been taken, but not before `at`; returns how many were still held."""
    released = 0
    for row in rows:
        kept = row.code if row.code == INTERRUPTED else code
        due = min(at, row.expires_at)
        released += _held(row).filter(outcome="").update(due_at=due, lease="", handed_at=None, code=kept)
    return released


def _write(row: Waiting, values: dict[str, object]) -> bool:
    """Under the row's lease, and in its object."""
    if not _held(row).filter(outcome__in=("", Outcome.UNCERTAIN)).update(**values):
        logger.warning("waiting mail %s: its lease was lost, or it was forgotten", row.pk)
        return False
    for name, value in values.items():
        setattr(row, name, value)
    return True


# --- from outside -----------------------------------------------------------------------------------------------------


def withdraw(message_id: str, contact: UUID | None = None) -> int:
    """Take a mail back that waits, for one contact or all; what is being handed over goes. Returns how many."""
    rows = _waiting().filter(message_id=message_id, handed_at=None)
    if contact is not None:
        rows = rows.filter(contact=contact)
    withdrawn, last = 0, UUID(int=0)
    while True:
        # In the order of the index: a message to a million is not gone through once for each thousand of them.
        further = rows.filter(contact__gt=last).order_by("contact")
        found = list(further.values_list("pk", "contact")[:BATCH])
        if not found:
            return withdrawn
        withdrawn += withdraw_rows([pk for pk, _contact in found])
        last = found[-1][1]


def withdraw_rows(ids: Collection[UUID]) -> int:
    """The same of these rows."""
    now = timezone.now()
    gone = {"outcome": Outcome.WITHDRAWN, "settled_at": now, "packed": "", "lease": "", "code": ""}
    with transaction.atomic():
        found = list(
            _waiting().filter(pk__in=ids, handed_at=None).select_for_update().order_by("pk").defer("packed")
        )
        Waiting.objects.filter(pk__in=[row.pk for row in found]).update(**gone)
    for row in found:
        for name, value in gone.items():
            setattr(row, name, value)
        tell(mail_settled, row, outcome=Outcome.WITHDRAWN)
    return len(found)


def send_again(row: Waiting) -> bool:
    """Let a mail that failed, or may have, wait once more, and be looked at at once; False where it is too late.

    It is decided about anew: the place it had is given back. Whoever asks for it takes upon herself that it comes twice.
    """
    now = timezone.now()
    with transaction.atomic():
        again = Waiting.objects.filter(pk=row.pk, outcome__in=AGAIN, expires_at__gt=now).exclude(packed="")
        changed = again.update(
            outcome="", settled_at=None, due_at=now, lease="", handed_at=None, attempts=0, code=""
        )
        if changed:
            decisions.give_back(row.message_id, row.contact)
    return changed == 1


def forget(contact: UUID) -> int:
    """Delete what waits for a contact, and what did; returns how many there were."""
    return Waiting.objects.filter(contact=contact).delete()[0]


def hand_over(loser: UUID, winner: UUID) -> int:
    """What waits for one contact waits for the one she is merged into, whose own choices decide; returns how much.

    A message that either has, or had, reaches the two of them once. Before `decisions.hand_over`, in its transaction.
    """
    of_loser, of_winner = (Waiting.objects.filter(contact=contact) for contact in (loser, winner))
    had = Send.objects.filter(contact=winner).values("message_id")
    theirs = Send.objects.filter(contact=loser).values("message_id")
    # Sent to the loser: it must not come to the winner again. What is being sent right now has its place as well.
    of_winner.filter(outcome="", handed_at=None).filter(
        Q(message_id__in=theirs) | Q(message_id__in=of_loser.filter(outcome__in=_HAD).values("message_id"))
    ).delete()
    of_loser.filter(outcome="", handed_at=None).filter(message_id__in=had).delete()
    of_loser.filter(message_id__in=of_winner.values("message_id")).delete()
    return of_loser.update(contact=winner)


_HAD = (Outcome.SENT, Outcome.IN_DIGEST, Outcome.UNCERTAIN)


def tell(signal: Signal, waiting: Waiting, **more: object) -> None:
    """Tell whoever listens; one that raises is named in the log, without what it said."""
    for receiver, answer in signal.send_robust(Waiting, waiting=waiting, **more):
        if isinstance(answer, Exception):
            name = getattr(receiver, "__qualname__", type(receiver).__name__)
            logger.error("a receiver failed: %s (%s)", name, type(answer).__name__)


def _code(reason: str) -> str:
    """A reason as every database takes it; those of a site's rules may be anything."""
    return "".join(filter(str.isprintable, reason)).encode(errors="replace").decode()[:64]


def _can_skip() -> bool:
    return bool(connection.features.has_select_for_update_skip_locked)


def _waiting() -> QuerySet[Waiting]:
    return Waiting.objects.filter(outcome="")


def _held(row: Waiting) -> QuerySet[Waiting]:
    return Waiting.objects.filter(pk=row.pk, lease=row.lease)
