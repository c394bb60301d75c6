"""Addresses of every kind, and what a request about one can be told apart by."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from tests import factories
from tests.statements import said
from wagtail_prefs.access.models import AccessRequest, Hits
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

BY = Actor(ActorType.SYSTEM, "tests"), Source(method="admin")
KINDS = (
    "known",
    "unknown",
    "suppressed",
    "erased",
    "merged",
    "dead",
    "no_domain",
    "no_at",
    "too_long",
    "odd",
)


def address_of(kind: str) -> str:
    """An address of that kind; makes whoever it takes."""
    email = f"{kind}@mail.example.org"
    match kind:
        case "known":
            factories.make_contact(email)
        case "suppressed":
            contact = factories.make_contact(email)
            contacts.suppress(contact.audience_id, email)
            Contact.objects.filter(pk=contact.pk).update(suppressed=True)
        case "erased":
            submissions.erase(factories.make_contact(email).pk, actor=BY[0], source=BY[1])
        case "merged":
            loser, winner = factories.make_contact(email), factories.make_contact("other@mail.example.org")
            submissions.merge_contacts(loser.pk, winner.pk, actor=BY[0], source=BY[1])
        case "dead":
            contact = factories.make_contact(email)
            contacts.mark_dead(contact.pk, contact.created_at)
        case "no_domain":
            email = "somebody@-.-"
        case "no_at":
            email = "mail.example.org"
        case "too_long":
            email = f"{'a' * 260}@mail.example.org"
        case "odd":
            email = "\u202e<script>@\nBcc: x@mail.example.org, ﷺ'; DROP TABLE"
    return email


@dataclass(frozen=True)
class Trace:
    """All by which somebody outside, or a clock, could tell one request from another."""

    answer: tuple[int, tuple[tuple[str, str], ...], bytes]
    statements: tuple[str, ...]
    rows: tuple[int, int]


def trace(send: Callable[[], Any]) -> Trace:
    """What a request leaves, and what it says; counts of earlier ones are forgotten first."""
    cache.clear()
    Hits.objects.all().delete()
    AccessRequest.objects.all().delete()
    before = Contact.objects.count()
    # The center is asked for anew every second, whoever comes then: no request of these pays for that.
    kept = override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 3600})
    with kept, CaptureQueriesContext(connection) as asked:
        response = send()
    assert Contact.objects.count() == before
    return Trace(
        plain(response),
        tuple(_without_values(sql) for sql in said(asked)),
        (AccessRequest.objects.count(), Hits.objects.count()),
    )


def plain(response: Any) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """All that a caller gets; without the nonce of a page's style sheet, which is drawn by lot."""
    nonce = response.headers.get("Content-Security-Policy", "").partition("'nonce-")[2].partition("'")[0]
    headers = [
        (name, value.replace(nonce, "") if nonce else value) for name, value in response.headers.items()
    ]
    body: bytes = response.content
    return response.status_code, tuple(sorted(headers)), body.replace(nonce.encode(), b"") if nonce else body


def _without_values(sql: str) -> str:
    return re.sub(r"'(?:[^']|'')*'(?:::\w+)?|\b\d[\d.]*\b|\bNULL\b", "?", sql)
