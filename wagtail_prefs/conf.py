"""Typed access to the one settings dict, `WAGTAIL_PREFS`. Read on every use, so that overrides hold in tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .values import CHANNELS

MIN_KEY_BYTES = 32
#: A key's name stands inside every token it signs.
KID = re.compile(r"[A-Za-z0-9_-]{1,16}")

DEFAULTS: Mapping[str, Any] = {
    # alias -> {"BACKEND": dotted path, "OPTIONS": {...}}: where saved preferences are delivered
    "BACKENDS": {"database": {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"}},
    # [{"kid", "key" (32 bytes or more), "created", "retire_after"}], the newest first. Empty: derived from
    # SECRET_KEY under DEBUG, refused by a check otherwise.
    "SIGNING_KEYS": [],
    # the same of the keys that hash what is looked up and must not be readable: addresses, above all of those who were
    # erased. Never take one out. Empty: SIGNING_KEYS
    "PEPPERS": [],
    # the same of the keys that encrypt addresses, answers and old values in the database. Empty: they stand there as
    # they are
    "ENCRYPTION_KEYS": [],
    # {channel: {"default": "decide" | alias, topic key: ...}}: who sends what. No default on purpose.
    "SENDERS": {},
    # channels an editor may offer
    "CHANNELS": list(CHANNELS),
    # name in the body -> dotted path of a PreferenceBlock: blocks beside ours (or, under our name, instead of ours)
    "BLOCKS": {},
    # seconds for which a process may serve a center document without asking the database for a newer one
    "CENTER_CACHE_SECONDS": 1,
    # how long a manage link opens the page before it only unsubscribes (days; floor 30)
    "MANAGE_LINK_DAYS": 60,
    # lengths of the one-time code and of the session behind the element, in minutes; a session can be renewed until
    # it is as old as the third says
    "CODE_MINUTES": 10,
    "SESSION_MINUTES": 30,
    "SESSION_MAX_MINUTES": 120,
    # how long links work that work once: to personal fields (minutes), to confirm a sign-up (days; an address that
    # nobody confirms is forgotten then), to confirm a new address (hours)
    "FRESH_LINK_MINUTES": 15,
    "CONFIRM_DAYS": 7,
    "CHANGE_ADDRESS_HOURS": 24,
    # dotted path of `(request) -> Contact | None`: whose page it is for members who are signed in to the site
    "CONTACT_FOR_REQUEST": "",
    # dotted path of `(request) -> str`: asked before a sign-up, for a CAPTCHA; a text is the reason to refuse it
    "SIGN_UP_CHECK": "",
    # From: of our own mails; "" is Django's DEFAULT_FROM_EMAIL
    "MAIL_FROM": "",
    # name -> [(times, seconds), ...]: other limits than ours
    "LIMITS": {},
    # the cache that counts for them. One that processes do not share (locmem, dummy) counts reads alone, and the
    # database counts what makes rows or mails
    "LIMITS_CACHE": "default",
    # how many proxies of yours stand between the browser and Django and add themselves to X-Forwarded-For
    "TRUSTED_PROXIES": 0,
    # takes links, codes and addresses out of all that is logged
    "REDACT_LOGS": True,
    # largest accepted JSON body, in bytes
    "MAX_BODY_BYTES": 16 * 1024,
    # the worker: seconds of a lease, and how many deliveries one round takes
    "DELIVERY_LEASE_SECONDS": 60,
    "DELIVERY_BATCH": 500,
    # the database itself refuses to change or delete ledger records; False for test settings only
    "LEDGER_GUARD": True,
    # {"SINK": dotted path, "OPTIONS": {...}}: where copies of the ledger's seals go, outside the database
    "SEALS": {},
    # a seal is made after so many new records, or so many minutes after the first of them
    "SEAL_RECORDS": 1000,
    "SEAL_MINUTES": 10,
    # how long a person can take a submission back (days)
    "UNDO_DAYS": 30,
    # within how many days every platform must have forgotten who was erased; the account of it says when it is late
    "ERASURE_DAYS": 30,
    # how long is kept what has no end of its own (RETENTION_DEFAULTS); only what is named here differs
    "RETENTION": {},
    # path of a file that replaces the shipped jurisdictions.yaml; "" for the shipped one
    "JURISDICTIONS": "",
    # for how many months a purchase lets a customer be written to where the law has an exception for customers; a
    # country only shortens it
    "SOFT_OPT_IN_MONTHS": 24,
    # who said no is not asked again for so many days; a country only lengthens it
    "REASK_DAYS": 365,
    # {channel: ["21:00", "08:00"]}: no marketing between these times of the contact's day
    "QUIET_HOURS": {},
    # dotted paths of rules that are asked after ours before a message may be sent
    "DECISION_RULES": [],
    # dotted path of the e-mail backend that wagtail_prefs.sending.backend.EmailBackend hands mails to
    "SENDING_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    # key of an always-sent topic: what mails that name no topic are about. "": such a mail is refused
    "UNNAMED_MAIL": "",
    # a mail that waits for the end of a pause or a period, and has no end of its own, is dropped after so many days
    "WAITING_DAYS": 30,
    # who paused for so many days or longer is told when it ends, and what waited goes out so many hours later: until
    # then she can prolong it. None: nobody is told
    "PAUSE_NOTICE_DAYS": 7,
    "PAUSE_NOTICE_HOURS": 24,
    # outgoing HTTP may reach loopback and plain http; for development and tests only
    "ALLOW_PRIVATE_HOSTS": False,
}

#: What `RETENTION` may name. None is for ever.
RETENTION_DEFAULTS: Mapping[str, int | None] = {
    # rows of messages that were sent; the longest frequency counts three months of them
    "sends_days": 400,
    # the ledger's chain of somebody who is erased, after its last record; a topic may say otherwise for itself
    "evidence_months": None,
    # people who want nothing, and of whom nobody has said anything for so long
    "silent_months": None,
    # people whose address is dead for so long
    "dead_months": None,
    # the reports of retention themselves
    "reports_days": 400,
}
#: The least and the most of each, and whether it may be for ever.
RETENTION_BOUNDS: Mapping[str, tuple[int, int, bool]] = {
    "sends_days": (100, 36_500, True),
    "evidence_months": (1, 1_200, True),
    "silent_months": (6, 1_200, True),
    "dead_months": (3, 1_200, True),
    "reports_days": (7, 36_500, False),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of the ring: `key` is the raw secret, `kid` its public name."""

    kid: str
    key: bytes


class PrefsSettings:
    """The settings as typed properties. Unknown keys are an error, found by the first access and by a check."""

    #: The dict that was looked through last. A request asks for many settings, and mostly they are the same.
    _known: Mapping[str, Any] | None = None

    def _get(self, name: str) -> Any:
        given = getattr(django_settings, "WAGTAIL_PREFS", {})
        if given is not self._known:
            unknown = self.raw.keys() - DEFAULTS.keys()
            if unknown:
                raise ImproperlyConfigured(f"Unknown keys in WAGTAIL_PREFS: {', '.join(sorted(unknown))}")
            self._known = given
        return given.get(name, DEFAULTS[name])

    @property
    def raw(self) -> Mapping[str, Any]:
        given = getattr(django_settings, "WAGTAIL_PREFS", {})
        if not isinstance(given, Mapping):
            raise ImproperlyConfigured("WAGTAIL_PREFS must be a dict")
        return given

    @property
    def backends(self) -> Mapping[str, Mapping[str, Any]]:
        backends: Mapping[str, Mapping[str, Any]] = self._get("BACKENDS")
        return backends

    @property
    def signing_keys(self) -> list[SigningKey]:
        """Newest first: the first signs, all verify."""
        keys = self._ring("SIGNING_KEYS")
        if keys:
            return keys
        if django_settings.DEBUG:
            # Development must work from the first minute; production is stopped by check E002.
            return [
                SigningKey("debug", f"wagtail-prefs development key {django_settings.SECRET_KEY}".encode())
            ]
        raise ImproperlyConfigured(
            'WAGTAIL_PREFS["SIGNING_KEYS"] is empty. Add {"kid": "k1", "key": <32 random bytes or more>}; '
            "keep old keys in the list for as long as their links must work."
        )

    @property
    def peppers(self) -> list[SigningKey]:
        """Newest first: the first hashes what is written, all are tried where something is looked up."""
        return self._ring("PEPPERS") or self.signing_keys

    @property
    def encryption_keys(self) -> list[SigningKey]:
        """Newest first: the first encrypts, all read. None: nothing is encrypted."""
        return self._ring("ENCRYPTION_KEYS")

    def _ring(self, name: str) -> list[SigningKey]:
        return [SigningKey(entry["kid"], str(entry["key"]).encode()) for entry in self._get(name)]

    @property
    def senders(self) -> Mapping[str, Mapping[str, str]]:
        senders: Mapping[str, Mapping[str, str]] = self._get("SENDERS")
        return senders

    @property
    def channels(self) -> list[str]:
        return list(self._get("CHANNELS"))

    @property
    def blocks(self) -> Mapping[str, str]:
        blocks: Mapping[str, str] = self._get("BLOCKS")
        return blocks

    @property
    def center_cache_seconds(self) -> float:
        return float(self._get("CENTER_CACHE_SECONDS"))

    @property
    def manage_link_life(self) -> timedelta:
        return timedelta(days=int(self._get("MANAGE_LINK_DAYS")))

    @property
    def code_life(self) -> timedelta:
        return timedelta(minutes=int(self._get("CODE_MINUTES")))

    @property
    def session_life(self) -> timedelta:
        return timedelta(minutes=int(self._get("SESSION_MINUTES")))

    @property
    def session_max_life(self) -> timedelta:
        return timedelta(minutes=int(self._get("SESSION_MAX_MINUTES")))

    @property
    def fresh_link_life(self) -> timedelta:
        return timedelta(minutes=int(self._get("FRESH_LINK_MINUTES")))

    @property
    def confirm_link_life(self) -> timedelta:
        return timedelta(days=int(self._get("CONFIRM_DAYS")))

    @property
    def change_address_life(self) -> timedelta:
        return timedelta(hours=int(self._get("CHANGE_ADDRESS_HOURS")))

    @property
    def contact_for_request(self) -> str:
        return str(self._get("CONTACT_FOR_REQUEST"))

    @property
    def sign_up_check(self) -> str:
        return str(self._get("SIGN_UP_CHECK"))

    @property
    def mail_from(self) -> str:
        return str(self._get("MAIL_FROM"))

    @property
    def limits(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        limits: Mapping[str, Sequence[tuple[int, int]]] = self._get("LIMITS")
        return limits

    @property
    def limits_cache(self) -> str:
        return str(self._get("LIMITS_CACHE"))

    @property
    def trusted_proxies(self) -> int:
        return int(self._get("TRUSTED_PROXIES"))

    @property
    def redact_logs(self) -> bool:
        return bool(self._get("REDACT_LOGS"))

    @property
    def max_body_bytes(self) -> int:
        return int(self._get("MAX_BODY_BYTES"))

    @property
    def delivery_lease(self) -> timedelta:
        return timedelta(seconds=int(self._get("DELIVERY_LEASE_SECONDS")))

    @property
    def delivery_batch(self) -> int:
        return int(self._get("DELIVERY_BATCH"))

    @property
    def ledger_guard(self) -> bool:
        return bool(self._get("LEDGER_GUARD"))

    @property
    def seals(self) -> Mapping[str, Any]:
        seals: Mapping[str, Any] = self._get("SEALS")
        return seals

    @property
    def seal_records(self) -> int:
        return int(self._get("SEAL_RECORDS"))

    @property
    def seal_age(self) -> timedelta:
        return timedelta(minutes=float(self._get("SEAL_MINUTES")))

    @property
    def undo_life(self) -> timedelta:
        return timedelta(days=int(self._get("UNDO_DAYS")))

    @property
    def erasure_life(self) -> timedelta:
        return timedelta(days=int(self._get("ERASURE_DAYS")))

    @property
    def retention(self) -> Mapping[str, Any]:
        return {**RETENTION_DEFAULTS, **self._get("RETENTION")}

    @property
    def jurisdictions(self) -> str:
        return str(self._get("JURISDICTIONS"))

    @property
    def soft_opt_in_months(self) -> int:
        return int(self._get("SOFT_OPT_IN_MONTHS"))

    @property
    def reask_days(self) -> int:
        return max(
            int(self._get("REASK_DAYS")), int(DEFAULTS["REASK_DAYS"])
        )  # upward only (security.md LW-10)

    @property
    def quiet_hours(self) -> Mapping[str, Sequence[str]]:
        hours: Mapping[str, Sequence[str]] = self._get("QUIET_HOURS")
        return hours

    @property
    def decision_rules(self) -> Sequence[str]:
        rules: Sequence[str] = self._get("DECISION_RULES")
        return rules

    @property
    def sending_backend(self) -> str:
        return str(self._get("SENDING_BACKEND"))

    @property
    def unnamed_mail(self) -> str:
        return str(self._get("UNNAMED_MAIL"))

    @property
    def waiting_life(self) -> timedelta:
        return timedelta(days=int(self._get("WAITING_DAYS")))

    @property
    def pause_notice_from(self) -> timedelta | None:
        """The shortest pause whose end is announced; None: none is."""
        days = self._get("PAUSE_NOTICE_DAYS")
        return None if days is None else timedelta(days=int(days))

    @property
    def pause_notice_lead(self) -> timedelta:
        return timedelta(hours=int(self._get("PAUSE_NOTICE_HOURS")))

    @property
    def allow_private_hosts(self) -> bool:
        return bool(self._get("ALLOW_PRIVATE_HOSTS"))


conf = PrefsSettings()


def problem_with_function(path: str) -> str:
    """Why a dotted path leads to no function; "" where it does, and where there is none."""
    try:
        return "" if not path or callable(import_string(path)) else "is not a function"
    except ImportError as missing:
        return f"cannot be imported: {missing}"


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001: what is not a dict, or keys that mean nothing - a typing error would silently be a default."""
    try:
        unknown = sorted(set(conf.raw) - set(DEFAULTS))
    except ImproperlyConfigured as problem:
        return [Error(str(problem), id="wagtail_prefs.E001")]
    return [
        Error(
            f"WAGTAIL_PREFS has no setting {name!r}.",
            hint=f"There are: {', '.join(sorted(DEFAULTS))}.",
            id="wagtail_prefs.E001",
        )
        for name in unknown
    ]


def check_retention(**_kwargs: Any) -> list[CheckMessage]:
    """E035: a rule of retention that there is not, or a time that would forget too early."""
    try:
        given: object = conf.raw.get("RETENTION", {})
    except ImproperlyConfigured:
        return []  # E001 says so
    if not isinstance(given, Mapping):
        problems = ['WAGTAIL_PREFS["RETENTION"] must be a dict.']
    else:
        problems = [
            f'WAGTAIL_PREFS["RETENTION"] has no {name!r}.' for name in given if name not in RETENTION_BOUNDS
        ]
        for name, (least, most, forever) in RETENTION_BOUNDS.items():
            value = given.get(name, RETENTION_DEFAULTS[name])
            whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            if not whole and not (value is None and forever):
                ever = ", or None" if forever else ""
                problems.append(
                    f'WAGTAIL_PREFS["RETENTION"][{name!r}] is {value!r}; it is a whole number from {least} to {most}{ever}.'
                )
    return [
        Error(problem, hint="docs/reference/settings.md", id="wagtail_prefs.E035") for problem in problems
    ]


#: Each ring, with what stands still without it.
_RINGS = {
    "SIGNING_KEYS": "no link can be signed",
    "PEPPERS": "",
    "ENCRYPTION_KEYS": "",
}


def check_keys(**_kwargs: Any) -> list[CheckMessage]:
    """E002: keys that are missing, short, named twice, or Django's own (security.md TK-04)."""
    if django_settings.DEBUG or not isinstance(getattr(django_settings, "WAGTAIL_PREFS", {}), Mapping):
        return []
    hint = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
    return [
        Error(problem, hint=hint, id="wagtail_prefs.E002")
        for name, without in _RINGS.items()
        for problem in _problems_with_ring(name, without)
    ]


def _problems_with_ring(name: str, without: str) -> list[str]:
    ring = f'WAGTAIL_PREFS["{name}"]'
    try:
        keys = [SigningKey(entry["kid"], str(entry["key"]).encode()) for entry in conf.raw.get(name, [])]
    except (KeyError, TypeError):
        return [f'Each of {ring} needs "kid" and "key".']
    problems = []
    if not keys and without:
        problems.append(f"{ring} is empty: {without}.")
    if len({key.kid for key in keys}) < len(keys):
        problems.append(f'Two of {ring} have the same "kid".')
    for key in keys:
        if not KID.fullmatch(str(key.kid)):
            problems.append(
                f'The "kid" of a key in {ring} is 1 to 16 letters, digits, hyphens or underscores.'
            )
        if len(key.key) < MIN_KEY_BYTES:
            problems.append(f"The key {key.kid!r} in {ring} has fewer than {MIN_KEY_BYTES} bytes.")
        if key.key == django_settings.SECRET_KEY.encode():
            problems.append(
                f"The key {key.kid!r} in {ring} is SECRET_KEY: replacing that would break what it made."
            )
    return problems


def check_senders(**_kwargs: Any) -> list[CheckMessage]:
    """E004: a channel that does not exist, or a sender that is neither `decide` nor a backend."""
    try:
        senders, known = dict[str, Any](conf.senders), {"decide", *conf.backends}
    except ImproperlyConfigured:
        return []  # E001 says so
    hint = '{channel: {"default": "decide" or a backend alias, topic key: ...}}'
    problems = [
        f'WAGTAIL_PREFS["SENDERS"] names a channel {channel!r}; there are {", ".join(CHANNELS)}.'
        for channel in senders
        if channel not in CHANNELS
    ]
    for channel, of in senders.items():
        if not isinstance(of, Mapping):
            problems.append(f'WAGTAIL_PREFS["SENDERS"][{channel!r}] must be a dict.')
            continue
        problems += [
            f'WAGTAIL_PREFS["SENDERS"][{channel!r}][{topic!r}] is {sender!r}, which is no backend.'
            for topic, sender in of.items()
            if sender not in known
        ]
    return [Error(problem, hint=hint, id="wagtail_prefs.E004") for problem in problems]
