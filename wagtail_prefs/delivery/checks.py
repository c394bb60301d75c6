"""System checks: somebody must be delivering and sending mail, and no opt-out may be stuck in silence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.db import DatabaseError
from django.utils import timezone

from ..conf import conf
from ..mail.models import Mail
from ..mail.rows import SERVER
from .alarms import LEVELS, backends_late_by_law, late_backends
from .models import Delivery, Lane

#: A worker that was not seen for so long, while something is due, is not there.
ABSENT = timedelta(minutes=10)
#: A mail server that is away for so long, too.
SERVER_AWAY = timedelta(minutes=30)


def check_deliveries(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Look at the table; runs where Django lets checks ask the database (`check --database`).

    `migrate` is not asked: an error would stop the deployment that may bring the remedy.
    """
    if not databases or sys.argv[1:2] == ["migrate"]:
        return []
    try:
        return [*_absent_workers(), *_late_opt_outs(), *_given_up(), *_mails_that_wait()]
    except DatabaseError:  # before the first migration there is nothing to look at
        return []


def _absent_workers() -> list[CheckMessage]:
    limit = timezone.now() - ABSENT
    seen = dict(Lane.objects.values_list("backend", "seen_at"))
    due = Delivery.objects.filter(backend__in=list(conf.backends), due_at__lt=limit)
    waiting = set(due.order_by().values_list("backend", flat=True).distinct())
    absent = [alias for alias in sorted(waiting) if (seen_at := seen.get(alias)) is None or seen_at < limit]
    if not absent:
        return []
    return [
        CheckWarning(
            f"Preferences wait to be delivered to {', '.join(absent)}, and no worker was there for ten minutes.",
            hint="Run `manage.py prefs_deliver --loop` as a service, or `prefs_deliver --once` from cron.",
            id="wagtail_prefs.W040",
        )
    ]


def _late_opt_outs() -> list[CheckMessage]:
    now = timezone.now()
    late = late_backends(now, LEVELS["15m"])
    stuck = sorted(late_backends(now, LEVELS["24h"])) if late else []
    unlawful = sorted(backends_late_by_law(now, set(late) - set(stuck)))
    merely_late = sorted(set(late) - set(stuck) - set(unlawful))
    found: list[CheckMessage] = []
    if stuck:
        found.append(
            Error(
                f"Opt-outs cannot be delivered to {', '.join(stuck)} for more than a day.",
                hint="Run `manage.py prefs_check`, or look at Preferences > Backends, for the reason; until it is mended, "
                "do not send from there.",
                id="wagtail_prefs.E041",
            )
        )
    if unlawful:
        found.append(
            Error(
                f"Opt-outs have been waiting for {', '.join(unlawful)} for longer than the law of the people's countries, "
                "or your policy, lets them.",
                hint="Run `manage.py prefs_check` for the reason; until it is mended, do not send from there.",
                id="wagtail_prefs.E042",
            )
        )
    if merely_late:
        found.append(
            CheckWarning(
                f"Opt-outs have been waiting for {', '.join(merely_late)} for more than a quarter of an hour.",
                hint="Run `manage.py prefs_check` for the reason.",
                id="wagtail_prefs.W044",
            )
        )
    return found


def _given_up() -> list[CheckMessage]:
    aliases = sorted(
        Lane.objects.filter(backend__in=list(conf.backends), disabled_at__isnull=False).values_list(
            "backend", flat=True
        )
    )
    if not aliases:
        return []
    return [
        CheckWarning(
            f"{', '.join(aliases)} did not answer for five days and was given up: nothing but opt-outs is tried.",
            hint="Mend it, then run `manage.py prefs_deliver --now --backend ALIAS`.",
            id="wagtail_prefs.W047",
        )
    ]


def _mails_that_wait() -> list[CheckMessage]:
    """A worker moves `due_at` of whatever it cannot send, so what is long due was seen by none."""
    now = timezone.now()
    if Mail.objects.filter(due_at__lt=now - ABSENT).exists():
        return [
            CheckWarning(
                "Mails have been waiting for more than ten minutes, and nobody sends them.",
                hint="Run `manage.py prefs_deliver --loop` as a service, or `prefs_deliver --once` from cron.",
                id="wagtail_prefs.W042",
            )
        ]
    away = (
        Mail.objects.filter(due_at__isnull=False, created_at__lt=now - SERVER_AWAY, code__startswith=SERVER)
        .order_by("created_at")
        .first()
    )
    if away is None:
        return []
    return [
        CheckWarning(
            f"The mail server takes no mail: {away.code.removeprefix(SERVER)}.",
            hint="Look at the settings of Django's mail and at the server. Nothing is lost for five days.",
            id="wagtail_prefs.W043",
        )
    ]
