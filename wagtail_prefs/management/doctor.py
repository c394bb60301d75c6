"""What `prefs_check` finds: everything that must be so for a preference to arrive, asked one by one.

Nothing here raises, and nothing of what it says holds a secret or an address: what cannot be asked is a finding, named by
the type of its error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.checks import ERROR, WARNING, CheckMessage
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from ..backends.base import PlatformError
from ..backends.hiding import secrets_of, without, without_addresses
from ..backends.registry import backends
from ..conf import conf
from ..decisions import promises
from ..delivery import health, tasks
from ..delivery.checks import ABSENT
from ..mail import server
from ..rights.erasure import overdue
from ..values import iso

OK, NOTE, WARN, BAD = "ok", "note", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `hint` says what to do; `id` is that of a system check; `backend` is "" for all."""

    area: str
    level: str
    text: str
    hint: str = ""
    backend: str = ""
    id: str = ""

    def to_json(self) -> dict[str, str]:
        return {
            "area": self.area,
            "level": self.level,
            "text": self.text,
            "hint": self.hint,
            "backend": self.backend,
            "id": self.id,
        }


def examine(aliases: Iterable[str] | None = None) -> Iterator[Finding]:
    """Look at everything, or at what concerns these backends; the slow things last, for they ask other machines."""
    if aliases is None:
        yield from _guarded("settings", _system_checks)
        yield from _guarded("keys", _keys)
        yield from _guarded("tasks", _tasks)
        yield from _guarded("alarms", _admins)
        yield from _guarded("promises", _promises)
        yield from _guarded("erasures", _erasures)
        names = _configured()
    else:
        names = sorted(aliases)
    yield from _guarded("worker", lambda: _workers(names))
    for alias in names:
        yield from _guarded("backend", lambda alias=alias: _backend(alias), alias)  # type: ignore[misc]
    if aliases is None:
        yield from _guarded("mail", _mail)


def _guarded(area: str, look: Callable[[], Iterable[Finding]], alias: str = "") -> list[Finding]:
    """What it found, and that it failed where it did."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:  # noqa: BLE001 - backends are anybody's code, settings anybody's typing
        text = f"It could not be looked at ({type(error).__name__})."
        found.append(Finding(area, BAD, text, "Run `manage.py check --database default`.", alias))
    return found


def _configured() -> list[str]:
    try:
        return sorted(conf.backends)
    except (ImproperlyConfigured, TypeError):  # E001 and E003 say so
        return []


# --- settings ---------------------------------------------------------------------------------------------------------


def _system_checks() -> Iterator[Finding]:
    """Our own of Django's system checks, those for deployment unless DEBUG is on."""
    asked = 0
    for check in registry.get_checks(include_deployment_checks=not settings.DEBUG):
        module = str(getattr(check, "__module__", ""))
        if not module.startswith("wagtail_prefs."):
            continue
        asked += 1
        area = {"conf": "settings"}.get(module.split(".")[1], module.split(".")[1])
        try:
            messages: list[CheckMessage] = list(check(app_configs=None, databases=[DEFAULT_DB_ALIAS]))
        except Exception as error:  # noqa: BLE001 - as above
            yield Finding(area, BAD, f"{getattr(check, '__name__', module)} failed ({type(error).__name__}).")
            continue
        for message in messages:
            if not message.is_silenced():
                hint = without_addresses(str(message.hint or ""))
                level = BAD if message.level >= ERROR else WARN if message.level >= WARNING else NOTE
                yield Finding(
                    area, level, without_addresses(str(message.msg)), hint, _alias(message), message.id or ""
                )
    yield Finding("settings", OK, f"{asked} system checks of wagtail_prefs were asked.")


def _alias(message: CheckMessage) -> str:
    return message.obj if isinstance(message.obj, str) and message.obj in _configured() else ""


def _keys() -> Iterator[Finding]:
    """E002 says what is wrong with the keys themselves."""
    try:
        keys = conf.signing_keys
    except (ImproperlyConfigured, KeyError, TypeError):
        return
    entries = conf.raw.get("SIGNING_KEYS", [])
    if not entries:
        yield Finding("keys", NOTE, "The signing key is derived from SECRET_KEY, because DEBUG is on.")
        return
    for entry in entries:
        end = _day(entry.get("retire_after"))
        if end is not None and end < timezone.now().date():
            hint = "See docs/how-to/rotate-keys.md: links that it signed stop working without it."
            yield Finding("keys", WARN, f'Key "{entry["kid"]}" was to retire after {end}.', hint)
    yield Finding("keys", OK, f'{len(keys)} signing keys; "{keys[0].kid}" signs.')


def _day(given: object) -> date | None:
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(str(given)[:10])
    except ValueError:
        return None


def _tasks() -> Iterator[Finding]:
    if tasks.wanted():
        yield Finding("tasks", OK, "A task asks for a delivery after every save.")
    else:
        text = "Tasks run inside the request (TASKS is the Immediate backend), so none asks for deliveries."
        yield Finding("tasks", NOTE, text, "`manage.py prefs_deliver --loop` needs none.")


def _admins() -> Iterator[Finding]:
    if not settings.ADMINS:
        text = "ADMINS is empty: nobody gets a mail when opt-outs do not arrive for a day."
        yield Finding("alarms", WARN, text, "Set ADMINS. See docs/reference/alarms.md.")


# --- sends ------------------------------------------------------------------------------------------------------------


def _promises() -> Iterator[Finding]:
    """What went out against a no, in the days of UTC since a week ago."""
    numbers: Counter[str] = Counter()
    for (_day, sender), reasons in promises.broken_lately(timezone.now().date() - timedelta(days=7)).items():
        numbers[without_addresses(sender) or "(none)"] += reasons.total()
    at = promises.counted_until()
    for sender, number in sorted(numbers.items()):
        text = f"Sender {sender} sent {number} messages against a no since a week ago."
        yield Finding(
            "promises", WARN, text, "Look at Preferences > Promises kept. See docs/how-to/read-promises.md."
        )
    if at is None:
        yield Finding(
            "promises", NOTE, "What was sent is not counted yet.", "`manage.py prefs_deliver` counts."
        )
    elif not numbers:
        yield Finding("promises", OK, "Nothing is known to have gone out against a no since a week ago.")


# --- backends ---------------------------------------------------------------------------------------------------------


def _erasures() -> Iterator[Finding]:
    late = list(overdue().values_list("contact", flat=True)[:3])
    if late:
        text = f"{overdue().count()} erasures are not done and soon must be, or should have been: {', '.join(map(str, late))}"
        yield Finding("erasures", WARN, text, "`manage.py prefs_erase --open` says what each waits for.")
    else:
        yield Finding("erasures", OK, "No erasure is late.")


def _workers(names: list[str]) -> Iterator[Finding]:
    """Heartbeat, breaker and queue of each. W040, W044, E041 and W047 say what is too late."""
    now = timezone.now()
    for alias, found in health.of(names, now).items():
        lane = found.lane
        run = "Run `manage.py prefs_deliver --loop` as a service, or `prefs_deliver --once` from cron."
        if lane.seen_at is None:
            yield Finding("worker", WARN, f"No worker has ever looked after {alias}.", run, alias)
        elif lane.seen_at < now - ABSENT:
            text = f"No worker has looked after {alias} since {iso(lane.seen_at)}."
            yield Finding("worker", WARN, text, run, alias)
        else:
            yield Finding(
                "worker", OK, f"A worker looked after {alias} {_span(now - lane.seen_at)} ago.", "", alias
            )
        yield from _lane(alias, found, now)
        yield _queue(alias, found, now)


def _lane(alias: str, found: health.Health, now: datetime) -> Iterator[Finding]:
    lane = found.lane
    again = f"When it is mended: `manage.py prefs_deliver --now --backend {alias}`."
    if lane.disabled_at:
        text = f"{alias} was given up on {iso(lane.disabled_at)} ({lane.last_code}): nothing but opt-outs is tried."
        yield Finding("breaker", BAD, text, again, alias)
    elif lane.open_since:
        text = f"{alias} is away since {iso(lane.open_since)} ({lane.code}); next try {_next(lane.paused_until, now)}."
        hint = f"{again} Without, it is found out by itself, in 15 minutes at the latest."
        yield Finding("breaker", WARN, text, hint, alias)
    elif lane.paused_until and lane.paused_until > now:
        text = f"{alias} asked to be left alone until {iso(lane.paused_until)} ({lane.code})."
        yield Finding("breaker", NOTE, text, "", alias)
    else:
        yield Finding("breaker", OK, f"Calls to {alias} may be made.", "", alias)


def _queue(alias: str, found: health.Health, now: datetime) -> Finding:
    if not found.waiting and not found.parked:
        return Finding("queue", OK, f"{alias} knows everything.", "", alias)
    text = f"{found.waiting} contacts wait for {alias}, {found.opt_outs} of them with an opt-out"
    if found.oldest:
        text += f"; the oldest for {_span(found.lag)}"
    if found.parked:
        text += f"; {found.parked} were refused for good"
    if found.reasons:
        text += "; because of " + ", ".join(
            f"{code or outcome} ({count})" for code, outcome, count in found.reasons
        )
    hint = f"A refusal waits for a person: Preferences > Backends > {alias}." if found.parked else ""
    late = found.parked or (found.oldest is not None and found.oldest < now - health.LATE)
    return Finding("queue", WARN if late else NOTE, f"{text}.", hint, alias)


def _backend(alias: str) -> Iterator[Finding]:
    """Ask the platform itself: credentials, and what the mapping names."""
    try:
        backend = backends[alias]
    except ImproperlyConfigured as unusable:
        yield Finding("backend", BAD, without_addresses(str(unusable)), "Correct the settings.", alias)
        return
    hidden = secrets_of(backend.options)
    try:
        problems = list(backend.check())
    except PlatformError as error:
        yield Finding("backend", BAD, f"{alias} gives no usable answer ({error.code}).", _RUNBOOK, alias)
        return
    except Exception as error:  # noqa: BLE001 - as above
        text = f"The check of {alias} failed ({type(error).__name__})."
        yield Finding("backend", BAD, text, "That is a mistake in the backend's own code.", alias)
        return
    for problem in problems:
        level = BAD if problem.level == "error" else WARN
        yield Finding("backend", level, without(hidden, problem.text), "", alias)
    if not problems:
        yield Finding("backend", OK, f"{alias} has nothing to complain of.", "", alias)


_RUNBOOK = "See docs/how-to/outage-runbook.md."


def _mail() -> Iterator[Finding]:
    code = server.trouble()
    if code:
        hint = "Look at the settings of Django's mail and at the server. Nothing is lost for five days."
        yield Finding("mail", BAD, f"The mail server does not talk to us ({code}).", hint)
    else:
        yield Finding("mail", OK, "The mail server talks to us.")


# --- words ------------------------------------------------------------------------------------------------------------


def _span(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _next(at: datetime | None, now: datetime) -> str:
    return f"in {_span(at - now)}" if at and at > now else "now"


def worst(findings: Iterable[Finding]) -> str:
    """The worst level of them."""
    order: list[Any] = [OK, NOTE, WARN, BAD]
    return max((finding.level for finding in findings), key=order.index, default=OK)
