"""Whether the settings of decisions can be acted upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from ..conf import conf
from ..values import CHANNELS
from . import custom, periods

#: psycopg's IsolationLevel, which need not be installed.
_REPEATABLE_READ = 3


def check_decisions(**_kwargs: Any) -> list[CheckMessage]:
    """E031: quiet hours of no channel, or at no time. E032: rules that cannot be had. E033: reads before the lock."""
    try:
        hours, rules = conf.quiet_hours, conf.decision_rules
    except ImproperlyConfigured:
        return []  # E001 says so
    return [*_quiet_hours(hours), *_rules(rules), *_isolation()]


def _quiet_hours(hours: Any) -> list[CheckMessage]:
    if not isinstance(hours, Mapping):
        return [_not_quiet("must be a dict")]
    problems = [
        _not_quiet(f"names a channel {channel!r}; there are {', '.join(CHANNELS)}")
        for channel in hours
        if channel not in CHANNELS
    ]
    for channel, times in hours.items():
        if not isinstance(times, list | tuple) or len(times) != 2:
            problems.append(_not_quiet(f"[{channel!r}] must be two times"))
            continue
        problems += [
            _not_quiet(f"[{channel!r}] has {time!r}, which is no time")
            for time in times
            if not _is_time(time)
        ]
        if times[0] == times[1]:
            problems.append(_not_quiet(f"[{channel!r}] begins when it ends: that is never quiet"))
    return problems


def _is_time(value: Any) -> bool:
    try:
        periods.clock(value)
    except (ValueError, TypeError):
        return False
    return True


def _not_quiet(problem: str) -> CheckMessage:
    joint = "" if problem.startswith("[") else " "
    return Error(
        f'WAGTAIL_PREFS["QUIET_HOURS"]{joint}{problem}.',
        hint='{channel: ["21:00", "08:00"]}, by the clock of the contact.',
        id="wagtail_prefs.E031",
    )


def _rules(paths: Any) -> list[CheckMessage]:
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        return [Error('WAGTAIL_PREFS["DECISION_RULES"] must be a list.', id="wagtail_prefs.E032")]
    problems: list[CheckMessage] = []
    for path in paths:
        try:
            custom.found(path)
        except Exception as problem:  # noqa: BLE001 - a site's module may raise anything when it is imported
            problems.append(
                Error(
                    f'WAGTAIL_PREFS["DECISION_RULES"]: {path!r} is no rule ({type(problem).__name__}: {problem}).',
                    hint="A dotted path to a subclass of wagtail_prefs.decisions.services.Rule, or to a function.",
                    id="wagtail_prefs.E032",
                )
            )
    return problems


def _isolation() -> list[CheckMessage]:
    """Who reads what was there when the transaction began does not see who took the place while it waited."""
    options = connection.settings_dict.get("OPTIONS") or {}
    if connection.vendor != "postgresql" or options.get("isolation_level") != _REPEATABLE_READ:
        return []
    return [
        Error(
            "PostgreSQL's isolation level is REPEATABLE READ: two senders at one moment could both be told to send.",
            hint='Leave "isolation_level" out of the database\'s OPTIONS: the default is READ COMMITTED.',
            id="wagtail_prefs.E033",
        )
    ]
