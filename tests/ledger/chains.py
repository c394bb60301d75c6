"""Ledgers to seal, verify and tamper with: records as saves make them, without contacts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from wagtail_prefs.canonical import sha256_hex
from wagtail_prefs.changes import Change, OptOut, SetAttribute, SetChoice
from wagtail_prefs.ledger import format1, services
from wagtail_prefs.ledger.models import Record, Seal
from wagtail_prefs.ledger.seals import lines
from wagtail_prefs.values import Actor, ActorType, Effect, Evidence, Source
from wagtail_prefs.writes import carry_out

#: The time of the first record of a ledger that does not say otherwise.
START = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)


def append(
    contact: UUID,
    at: datetime = START,
    *,
    changes: Sequence[tuple[Change, Effect]] = (),
    actor: ActorType = ActorType.SUBJECT_LINK,
    source: Source | None = None,
    audience: str = "brand",
    key: str | None = None,
) -> Record:
    """The next record of a contact's chain: one choice, unless other changes are given."""
    last = Record.objects.filter(contact_ref=contact).order_by("-seq").first()
    seq = last.seq + 1 if last else 1
    given = changes or [chosen("news", "email", "subscribed" if seq % 2 else "unsubscribed")]
    record = services.next_record(
        contact=contact,
        audience=audience,
        seq=seq,
        prev=last.hash if last else format1.GENESIS,
        at=at,
        actor=Actor(actor, "" if actor is ActorType.SUBJECT_LINK else "someone"),
        source=source or Source(method="page", language="en"),
        base_version=seq - 1,
        changes=[change for change, _ in given],
        effects=[effect for _, effect in given],
        merged=(),
        proof=format1.Proof(jurisdiction="DE", bases={"news": "consent"}),
        idempotency_key=key,
        request=sha256_hex([seq]),
    )
    carry_out(record.writes)
    return Record.objects.get(pk=record.id)


def chosen(topic: str, channel: str, value: str) -> tuple[Change, Effect]:
    action = "given" if value == "subscribed" else "withdrawn"
    return SetChoice(topic, channel, value), Effect(
        f"choice:{topic}:{channel}", None, value, action, topic, channel
    )


def told(name: str, value: str) -> tuple[Change, Effect]:
    """A profile field: what stands in a body is a commitment."""
    return SetAttribute(name, value), Effect(f"attribute:{name}", None, value, "set")


def ledger(lengths: Iterable[int], rng: random.Random, at: datetime = START) -> list[UUID]:
    """A contact for each length, with records of many kinds, one a second, the contacts taking turns."""
    contacts = {UUID(int=rng.getrandbits(128), version=4): length for length in lengths}
    for turn in range(max(contacts.values(), default=0)):
        for contact, length in contacts.items():
            if turn < length:
                append(contact, at, **_some(rng))  # type: ignore[arg-type]
                at += timedelta(seconds=1)
    return list(contacts)


def _some(rng: random.Random) -> dict[str, object]:
    given: dict[str, object] = {
        "actor": rng.choice(list(ActorType)),
        "audience": rng.choice(["brand", "other-brand"]),
        "key": rng.choice([None, f"{rng.getrandbits(256):064x}"]),
        "source": Source(
            method=rng.choice(["page", "element", 'py"thon', "ключ"]),
            source_url=rng.choice([None, "https://brand.example/"]),
            ip=rng.choice([None, "203.0.113.7"]),
            address_as_entered=rng.choice([None, "anna@mail.example.org"]),
            evidence=rng.choice([None, Evidence("order 7", START)]),
        ),
    }
    match rng.randrange(4):
        case 0:
            given["changes"] = [
                chosen("offers", "sms", "unsubscribed"),
                chosen("news", "email", "subscribed"),
            ]
        case 1:
            given["changes"] = [told("first_name", "Анна"), told("city", "Berlin")]
        case 2:
            given["changes"] = [(OptOut(), Effect("opted_out", None, True, "withdrawn"))]
    return given


def exported() -> list[bytes]:
    """The seals as a file holds them."""
    return [line + b"\n" for line in lines()]


def write(path: Path) -> Path:
    path.write_bytes(b"".join(exported()))
    return path


def sealed() -> int:
    """How many records the seals say that they hold."""
    return sum(Seal.objects.values_list("records", flat=True))
