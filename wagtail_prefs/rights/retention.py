"""What is forgotten when its time is over (security.md PR-03): every rule in one place, with a dry run and a report.

A rule finds what is over and forgets it. What packages forget by themselves all the time is listed beside what only this
does: sends, people with nothing left, dead addresses, and the chains of those who are erased. Suppressions are never
forgotten. A round does so much and no more; the next one goes on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..access import retention as access
from ..access.models import OneTimeLink
from ..conf import conf
from ..contacts.models import Contact, State
from ..decisions.models import Send, SendCountMark
from ..errors import UnknownContact
from ..law.months import months_after
from ..ledger import counts, tombstones
from ..ledger.models import Record
from ..ledger.tombstones import NotRemoved
from ..mail import retention as mail
from ..sending import retention as sending
from ..sending.models import Waiting
from ..sync import arrivals, uploads
from ..sync.models import Arrival, ImportUpload
from ..topics.models import Topic
from ..values import SUBSCRIBED, Actor, ActorType, Source
from .erasure import erase_person
from .models import Erasure, RetentionRun

logger = logging.getLogger("wagtail_prefs.retention")

#: Between two rounds of the worker.
EVERY = timedelta(days=1)
#: After one that left something to do; and seconds in which a process does not ask whether one is due.
SOON = timedelta(minutes=10)
PAUSE = 600
#: After which a dry run that has not ended is not waited for any more.
GIVEN_UP = timedelta(hours=1)
#: People and chains of one round, and rows that are deleted at once.
MOST, BATCH = 1_000, 1_000
#: Batches of one round.
BATCHES = 100
_rounds: list[float] = []  # when this process last asked

#: As whom people are forgotten whose time is over.
ACTOR, SOURCE = Actor(ActorType.SYSTEM, "retention"), Source(method="retention")


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` says how much is over, `forget` forgets some of it and returns how much. With `kept` something else
    forgets it as well, all the time, after so long; the others go by the settings.
    """

    key: str
    label: str | Promise
    find: Callable[[datetime], int]
    forget: Callable[[datetime], int]
    kept: timedelta | None = None


def run(
    by: str, *, apply: bool, on_rule: Callable[[str, dict[str, object]], None] | None = None
) -> RetentionRun:
    """One round. Without `apply` it only says what is over. The report says of each rule how much was `found` and
    `forgotten`, and, where it could not do its work, why (`problem`). One rule that fails keeps none of the others from
    theirs.
    """
    made: RetentionRun = RetentionRun.objects.create(started_at=timezone.now(), dry=not apply, by=by[:80])
    return _go_through(made, on_rule)


def _go_through(
    made: RetentionRun, on_rule: Callable[[str, dict[str, object]], None] | None = None
) -> RetentionRun:
    now = timezone.now()
    for rule in RULES:
        said = _carry_out(rule, now, apply=not made.dry)
        made.report[rule.key] = said
        made.save(update_fields=["report"])  # who waits for it sees how far it is
        if on_rule:
            on_rule(rule.key, said)
    made.done_at = timezone.now()
    made.save(update_fields=["done_at"])
    return made


def ask(by: str) -> RetentionRun:
    """Have the worker say what is over: a dry run, and the one that is asked for already where there is one."""
    found = _asked().order_by("-started_at").first()
    made: RetentionRun = found or RetentionRun.objects.create(started_at=timezone.now(), dry=True, by=by[:80])
    return made


def _asked() -> QuerySet[RetentionRun]:
    """Dry runs that have not ended; one that its worker left is none any more after an hour."""
    found: QuerySet[RetentionRun] = RetentionRun.objects.filter(
        dry=True, done_at=None, started_at__gt=timezone.now() - GIVEN_UP
    )
    return found


def answer_asked() -> int:
    """Carry out a dry run that staff have asked for; a chore of the worker, mostly one SELECT and nothing."""
    made = _asked().filter(report={}, by__startswith="admin:").order_by("started_at").first()
    if made is None:
        return 0
    _go_through(made)
    return 1


def _carry_out(rule: Rule, now: datetime, *, apply: bool) -> dict[str, object]:
    said: dict[str, object] = {"found": 0, "forgotten": 0}
    try:
        said["found"] = rule.find(now)
        if apply and said["found"]:
            said["forgotten"] = rule.forget(now)
    except NotRemoved as problem:
        said |= {"problem": str(problem), "forgotten": problem.done}
        logger.error("retention of %s: %s", rule.key, problem)  # noqa: TRY400 - it says all
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a sink, a platform's settings: the other rules go on
        said["problem"] = type(error).__name__
        logger.error("retention of %s: %s", rule.key, type(error).__name__)  # noqa: TRY400 - no text of it
    return said


def is_left(made: RetentionRun) -> bool:
    """Whether a round has left what is over: it did as much as one may, and the next goes on."""
    return any(
        entry["forgotten"] and entry["forgotten"] < entry["found"] and "problem" not in entry
        for entry in made.report.values()
    )


def forget_daily() -> int:
    """A round where one is due: once a day, and soon again after one that left something. A chore of the worker; mostly
    nothing. Returns how much was forgotten.
    """
    now = time.monotonic()
    if _rounds and now - _rounds[-1] < PAUSE:
        return 0
    _rounds[:] = [now]
    last = RetentionRun.objects.filter(dry=False).order_by("-started_at").first()
    if last is not None and timezone.now() - last.started_at < (
        SOON if last.done_at and is_left(last) else EVERY
    ):
        return 0
    made = run("worker", apply=True)
    return sum(entry["forgotten"] for entry in made.report.values())


# Sends


def _old_sends(now: datetime) -> QuerySet[Send]:
    """Those that are older than the longest period of a frequency, and that reports have counted."""
    days = conf.retention["sends_days"]
    if days is None:
        return Send.objects.none()
    counted = SendCountMark.objects.values_list("send", flat=True).first() or 0
    found: QuerySet[Send] = Send.objects.filter(at__lt=now - timedelta(days=days), pk__lte=counted)
    return found


def _forget_sends(now: datetime) -> int:
    return _in_batches(_old_sends(now).order_by("at"))


def _in_batches(rows: QuerySet[Any]) -> int:
    """Delete so many rows at once that nobody waits for it."""
    gone = 0
    for _turn in range(BATCHES):
        ids = list(rows.values_list("pk", flat=True)[:BATCH])
        if not ids:
            break
        gone += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return gone


# People


def _people(now: datetime, months: int) -> QuerySet[Contact]:
    """Who is there for so long, whom nobody has said anything of since, and whom no other program knows."""
    cut = _before(now, months)
    spoken = Record.objects.filter(contact_ref=OuterRef("pk"), at__gte=cut)
    sent = Send.objects.filter(contact=OuterRef("pk"), at__gte=cut)
    waits = Waiting.objects.filter(contact=OuterRef("pk"), outcome="")
    found: QuerySet[Contact] = Contact.objects.filter(
        Q(touched_at=None) | Q(touched_at__lt=cut),
        ~Exists(spoken),
        ~Exists(sent),
        ~Exists(waits),
        erased_at=None,
        merged_into=None,
        external_id="",
        created_at__lt=cut,
    )
    return found


def _silent(now: datetime) -> QuerySet[Contact]:
    """Of those, whom nothing is left of that she wants: no yes, none that waits, no pause that goes on."""
    months = conf.retention["silent_months"]
    if months is None:
        return Contact.objects.none()
    wants = Q(choice=SUBSCRIBED) | Q(pending=True) | Q(paused_until__gt=now)
    return _people(now, months).filter(~Exists(State.objects.filter(wants, contact=OuterRef("pk"))))


def _dead(now: datetime) -> QuerySet[Contact]:
    """Of those, whose address is dead for as long, and who wants nothing on another channel."""
    months = conf.retention["dead_months"]
    if months is None:
        return Contact.objects.none()
    wants = State.objects.filter(contact=OuterRef("pk"), choice=SUBSCRIBED).exclude(channel__in=["email", ""])
    # When the address was found dead is what `touched_at` says, too.
    return _people(now, months).filter(~Exists(wants), email_dead_at__lt=_before(now, months))


def _forget_people(found: Callable[[datetime], QuerySet[Contact]]) -> Callable[[datetime], int]:
    def forget(now: datetime) -> int:
        gone = 0
        for contact in list(found(now).order_by("pk").values_list("pk", flat=True)[:MOST]):
            try:
                with transaction.atomic():
                    Contact.objects.select_for_update().filter(pk=contact).first()
                    if not found(now).filter(pk=contact).exists():
                        continue  # she has come back since we looked
                    erase_person(contact, actor=ACTOR, source=SOURCE, reason="retention")
            except UnknownContact:
                continue  # erased since
            gone += 1
        return gone

    return forget


def _before(now: datetime, months: int) -> datetime:
    """So many months ago: the latest moment whose months are over."""
    moment = now - timedelta(days=31 * months)
    while months_after(moment + timedelta(days=1), months) <= now:
        moment += timedelta(days=1)
    return moment


# Chains


def _due_chains(now: datetime) -> Iterator[UUID]:
    """The erased people whose evidence nobody has to keep any more, those first whom a stopped round has left."""
    unfinished = tombstones.waiting()
    yield from unfinished
    default = conf.retention["evidence_months"]
    kept = {
        (audience, key): months
        for audience, key, months in Topic.objects.values_list("audience__key", "key", "kept_months")
    }
    least = min((months for months in (default, *kept.values()) if months is not None), default=None)
    if least is None:
        return
    counted = counts.progress().at
    if counted is None:
        return
    open_ones = Erasure.objects.filter(
        Q(contact=OuterRef("pk")) | Q(contact=OuterRef("merged_into")), done_at=None
    )
    chain = Record.objects.filter(contact_ref=OuterRef("pk"))
    people = Contact.objects.filter(
        ~Exists(open_ones), Exists(chain), erased_at__lt=now - timedelta(days=28 * least)
    )
    for contact in (
        people.exclude(pk__in=unfinished).order_by("pk").values_list("pk", flat=True).iterator(500)
    ):
        last = Record.objects.filter(contact_ref=contact).aggregate(last=Max("at"))["last"]
        months = _evidence_months(contact, kept, default)
        # What is not counted yet would be missing in reports for good.
        if months is not None and months_after(last, months) <= now and last < counted:
            yield contact


def _evidence_months(
    contact: UUID, kept: dict[tuple[str, str], int | None], default: int | None
) -> int | None:
    """The longest time of the topics that her records are about; None is for ever."""
    found: set[int | None] = set()
    for audience, body in Record.objects.filter(contact_ref=contact).values_list("audience", "body"):
        for effect in json.loads(body)["effects"]:
            months = kept.get((audience, effect["purpose_id"])) if effect["purpose_id"] else None
            found.add(default if months is None else months)
    if not found:
        return default
    return None if None in found else max(months for months in found if months is not None)


def _count_chains(now: datetime) -> int:
    return sum(1 for _contact in _due_chains(now))


def _remove_chains(now: datetime) -> int:
    """Their stones are put up and leave the database; then the chains go."""
    if not tombstones.takes_stones():
        raise NotRemoved("the sink of SEALS has no send_stone")
    due = []
    for contact in _due_chains(now):
        due.append(contact)
        if len(due) == MOST:
            break
    fresh = set(due) - tombstones.buried(due)
    if fresh:
        tombstones.renew(now)
        for chain in tombstones.removable(fresh):
            with transaction.atomic():
                held = Contact.objects.select_for_update().filter(pk=chain.contact).first()
                if held is not None and held.erased_at is not None:
                    tombstones.put_up(chain, now, "retention")
    tombstones.export(now)
    gone = 0
    for contact in due:
        if tombstones.has_left(contact):
            gone += bool(tombstones.remove(contact))
    if gone < len(due):
        raise NotRemoved(
            f"{len(due) - gone} chains stay: not whole, in no seal, or their stones have not left the database",
            gone,
        )
    return gone


# Reports


def _old_reports(now: datetime) -> QuerySet[RetentionRun]:
    found: QuerySet[RetentionRun] = RetentionRun.objects.filter(
        started_at__lt=now - timedelta(days=conf.retention["reports_days"])
    )
    return found


RULES = (
    Rule(
        "links",
        _("Links that work once, after their end"),
        lambda now: OneTimeLink.objects.filter(expires_at__lt=now - access.KEPT).count(),
        lambda _now: access.forget_old_access(),
        kept=access.KEPT,
    ),
    Rule(
        "mails",
        _("Mails of the plugin"),
        lambda now: mail.old(now).count(),
        lambda _now: mail.forget_old_mails(),
        kept=mail.KEPT,
    ),
    Rule(
        "waits",
        _("Mails that waited, after they were settled"),
        lambda now: Waiting.objects.filter(settled_at__lt=now - sending.KEPT).exclude(outcome="").count(),
        lambda _now: sending.forget_settled(),
        kept=sending.KEPT,
    ),
    Rule(
        "arrivals",
        _("Events of platforms"),
        lambda now: Arrival.objects.filter(received_at__lt=now - arrivals.KEPT, due_at=None).count(),
        lambda _now: arrivals.forget_old_arrivals(),
        kept=arrivals.KEPT,
    ),
    Rule(
        "uploads",
        _("Files to import that nobody finished"),
        lambda now: ImportUpload.objects.filter(created_at__lt=now - uploads.KEPT).count(),
        lambda _now: uploads.forget_old(),
        kept=uploads.KEPT,
    ),
    Rule("sends", _("Messages that were sent"), lambda now: _old_sends(now).count(), _forget_sends),
    Rule(
        "silent",
        _("People with nothing left: no yes, and no word for long"),
        lambda now: _silent(now).count(),
        _forget_people(_silent),
    ),
    Rule(
        "dead",
        _("People whose address is dead"),
        lambda now: _dead(now).count(),
        _forget_people(_dead),
    ),
    Rule("chains", _("The evidence of people who are erased"), _count_chains, _remove_chains),
    Rule(
        "reports",
        _("Reports of retention"),
        lambda now: _old_reports(now).count(),
        lambda now: _in_batches(_old_reports(now).order_by("started_at")),
    ),
)
