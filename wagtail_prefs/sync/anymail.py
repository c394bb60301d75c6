"""What e-mail services tell of by way of django-anymail: bounces, complaints, people who left there.

anymail verifies a webhook of Mailgun, Postmark, Amazon SES and others, and sends a signal for each event. Here it is
kept like the event of a backend, and looked at by the worker (docs/how-to/bounces-from-anymail.md has the table). anymail
is no dependency: without it nothing is connected.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..changes import Change, OptOut
from ..values import Identifiers, InboundEvent
from . import arrivals, tasks

PREFIX = "anymail:"

#: Why a mail was not delivered, in anymail's words, where the address itself is the reason. Some services name none.
_BAD_ADDRESS = {"invalid", "bounced"}
#: Where services say that a bounce may be over tomorrow. anymail calls it the same as one that is for good.
_KINDS = {"event", "type", "bouncetype", "severity"}
_SOFT = {
    "softbounce", "softbounced", "activitysoftbounced", "softfail", "transient", "undetermined", "temporary", "blocked",
}  # fmt: skip
_SOFT_CLASSES = {"20", "21", "22", "23", "24", "25", "50", "51", "52", "53", "54", "70"}  # of SparkPost
#: A mail server's answer: for now (4xx, 4.x.x), a full mailbox, a large mail, a policy.
_NOT_THE_ADDRESS = re.compile(
    r"^\W*(?:smtp;\s*)?4\d\d\b|(?<![\d.])(?:4\.\d{1,3}\.\d{1,3}|5\.(?:2\.[23]|3\.4|7\.\d{1,3}))(?![\d.]*\d)"
)
_DEPTH = 4


def connect() -> None:
    """Listen to anymail, where it is installed; called when Django has started."""
    if importlib.util.find_spec("anymail") is None:
        return
    signals = importlib.import_module("anymail.signals")
    signals.tracking.connect(receive, dispatch_uid="wagtail_prefs.anymail")


def receive(sender: Any, event: Any, esp_name: str, **_: Any) -> None:
    """Keep what an event says about a person; most say nothing. A database that is away is an error of the webhook, so
    that the service tries again.
    """
    kept = read(event)
    if kept is None:
        return
    name = re.sub(r"[^a-z0-9]+", "-", esp_name.lower()).strip("-")
    if arrivals.keep(f"{PREFIX}{name}"[:64], [kept]):
        tasks.nudge()


def read(event: Any) -> InboundEvent | None:
    """An event of anymail in our words; None for what says nothing about a person.

    - a bounce for good, or a mail that the service did not even try because the address is none: the address is dead;
    - a complaint: dead, and an opt-out;
    - whoever left at the service: an opt-out, because it sends her nothing more from whomever.
    """
    kind, address = event.event_type, event.recipient
    if not isinstance(address, str) or not address:
        return None
    changes: tuple[Change, ...] = ()
    dead = False
    if kind == "bounced":
        dead = event.reject_reason in {*_BAD_ADDRESS, None} and not is_soft(event)
    elif kind == "rejected":
        dead = event.reject_reason in _BAD_ADDRESS and not is_soft(event)
    elif kind == "complained":
        dead, changes = True, (OptOut(),)
    elif kind == "unsubscribed":
        changes = (OptOut(),)
    if not (dead or changes):
        return None
    moment = event.timestamp
    at = moment if moment is not None and moment.tzinfo is not None else None
    # One message of a service may be about several people.
    own = event.event_id or f"{event.message_id} {at.isoformat() if at else ''}"
    return InboundEvent(f"{kind} {own} {address}", Identifiers(email=address), changes, at, dead=dead)


def is_soft(event: Any) -> bool:
    """Whether a bounce says that mail may arrive another time, or that the mail and not the address was refused."""
    answer = event.mta_response
    if isinstance(answer, str) and _NOT_THE_ADDRESS.search(answer):
        return True
    return any(_says_soft(name, value) for name, value in _said(event.esp_event, _DEPTH))


def _says_soft(name: str, value: object) -> bool:
    name = re.sub(r"[^a-z]", "", name.lower())
    if name == "hardbounce":
        return value in (False, "false", 0, "0")
    if name == "bounceclass":
        return str(value) in _SOFT_CLASSES
    return name in _KINDS and isinstance(value, str) and re.sub(r"[^a-z]", "", value.lower()) in _SOFT


def _said(said: object, depth: int) -> Iterator[tuple[str, object]]:
    """Every name and value of what a service sent, its parts included."""
    if not isinstance(said, Mapping) or not depth:
        return
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from _said(value, depth - 1)
        else:
            yield str(name), value
