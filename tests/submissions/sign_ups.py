"""Somebody types an address: what the asking side leaves for the worker, in one line a test."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import effects_of, read_body
from wagtail_prefs.mail.models import Mail

ORIGIN = "https://shop.example"
_keys = itertools.count()


def shown(page: PreferenceCenterPage) -> Snapshot:
    """What the page shows now."""
    return centers.get_snapshot(centers.current(page.translation_key, page.locale.language_code).digest)


def yes(page: PreferenceCenterPage, *topics: str) -> dict[str, Any]:
    """Answers that ask for these topics by e-mail."""
    return {factories.block_id(page, "topics"): {"choices": {topic: {"email": True} for topic in topics}}}


def ask_link(page: PreferenceCenterPage, address: str, **more: Any) -> None:
    center = centers.current(page.translation_key, page.locale.language_code)
    access.ask(
        AccessRequest.Kind.LINK,
        **{
            "audience_id": center.audience_id,
            "center": center.center,
            "address": address,
            "locale": center.locale,
            **more,
        },
    )


def sign_up(
    page: PreferenceCenterPage,
    address: str,
    *topics: str,
    answers: Mapping[str, Any] | None = None,
    key: str = "",
    **more: Any,
) -> None:
    """Somebody signs an address up on the page: for `topics`, or with `answers`."""
    center = centers.current(page.translation_key, page.locale.language_code)
    access.ask(
        AccessRequest.Kind.SIGN_UP,
        **{
            "audience_id": center.audience_id,
            "center": center.center,
            "address": address,
            "locale": center.locale,
            "idempotency_key": key or f"key-{next(_keys)}",
            "details": {
                "revision": center.digest,
                "answers": yes(page, *topics) if answers is None else answers,
                "source_url": ORIGIN,
            },
            **more,
        },
    )


def mails(kind: str | None = None) -> list[Mail]:
    found = Mail.objects.order_by("created_at", "pk")
    return list(found if kind is None else found.filter(kind=kind))


def who(address: str) -> Contact:
    found = contacts.find(factories.make_audience().pk, address)
    assert found is not None
    return found


def told(contact: UUID) -> Sequence[tuple[str, list[tuple[str, str]]]]:
    """Her records: [(who acted, [(path, what became of it)])]."""
    return [
        (record.actor, [(effect.path, effect.action) for effect in effects_of(read_body(record))])
        for record in Record.objects.filter(contact_ref=contact).order_by("seq")
    ]
