"""The ledger, and a bare hash chain beside it: the same bodies, one hash and one INSERT, in a transaction of its own."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
from django.db import connection, transaction
from django.utils import timezone

from tests.bench.site.kinds import SELF, SIGN_UP, five
from wagtail_prefs.canonical import canonical, sha256_hex
from wagtail_prefs.changes import Change
from wagtail_prefs.ids import uuid7
from wagtail_prefs.ledger import format1, seals, services as ledger, verify as verifier
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Effect
from wagtail_prefs.writes import carry_out

from .calls import Calls

LENGTH = 10
#: Records that the bare cursor asks for at once.
PAGE = 4000
TOPICS = ("events", "news", "offers", "stories", "surveys")


@cache
def bare() -> psycopg.Connection[Any]:
    """A connection as psycopg makes it, which prepares what it is asked again and again."""
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def backends() -> list[int]:
    """The processes of PostgreSQL that serve this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (own,) = cursor.fetchone()
    return [own, bare().info.backend_pid]


def wait_for_no_disk() -> None:
    """Who waits finds the processor's caches cold, which costs both sides alike and hides what is compared."""
    for execute in (connection.cursor().execute, bare().execute):
        execute("SET synchronous_commit TO off")


# Appending


def append(_random: random.Random) -> Calls:
    """Records with all there may be: five choices, the address and the network. Chains of ten, of people of their own."""
    while True:
        contact, prev = uuid7(), format1.GENESIS
        for seq in range(1, LENGTH + 1):
            given = _submission(seq)
            record: list[str] = []

            def call(given: dict[str, Any] = given, record: list[str] = record) -> int:
                with transaction.atomic():
                    made = ledger.next_record(**given)
                    carry_out(made.writes)
                    record.append(made.hash)
                return 1

            given |= {"contact": contact, "seq": seq, "prev": prev}
            yield call
            (prev,) = record


def bare_append(_random: random.Random) -> Calls:
    bare().execute("CREATE TABLE bare_chain (prev text, body text, hash text)")
    bodies = [_body(seq) for seq in range(1, LENGTH + 1)]
    prev = format1.GENESIS
    while True:
        for body in bodies:
            made: list[str] = []

            def call(prev: str = prev, body: bytes = body, made: list[str] = made) -> int:
                digest = hashlib.sha256(prev.encode() + body).hexdigest()
                with bare().transaction():
                    bare().execute(
                        "INSERT INTO bare_chain (prev, body, hash) VALUES (%s, %s, %s)",
                        (prev, body.decode(), digest),
                    )
                made.append(digest)
                return 1

            yield call
            (prev,) = made


def _submission(seq: int) -> dict[str, Any]:
    wanted, before = (UNSUBSCRIBED, SUBSCRIBED) if seq % 2 else (SUBSCRIBED, UNSUBSCRIBED)
    changes: Sequence[Change] = five(TOPICS, wanted)
    return {
        "audience": "default",
        "at": timezone.now(),
        "actor": SELF,
        "source": SIGN_UP,
        "base_version": seq - 1,
        "changes": changes,
        "effects": [
            Effect(change.path, before, wanted, "given" if seq % 2 == 0 else "withdrawn", *change.key)
            for change in changes
        ],
        "merged": (),
        "proof": format1.Proof(
            notice=format1.Notice("privacy", "f" * 64, "e" * 64),
            jurisdiction="eu",
            bases=dict.fromkeys(TOPICS, "consent"),
        ),
        "idempotency_key": sha256_hex(["key", seq]),
        "request": sha256_hex(["request", seq]),
    }


def _body(seq: int) -> bytes:
    given = {**_submission(seq), "contact": uuid7(), "seq": seq, "record_id": uuid7()}
    del given["idempotency_key"]
    personal = [
        format1.commit("address_as_entered", SIGN_UP.address_as_entered),
        format1.commit("ip_truncated", "203.0.113.0/24"),
    ]
    return canonical(format1.body(**given, commitments=personal))


# Verifying


def verify(_random: random.Random) -> Calls:
    """Every record there is, against its chain, its columns, its personal values and the seals."""
    seals.seal()

    def call() -> int:
        report = verifier.verify()
        assert report.ok and report.seals, report.to_json()
        return report.records

    while True:
        yield call


def bare_verify(_random: random.Random) -> Calls:
    """The hashes alone, of the same records in the same order."""

    def call() -> int:
        records, before = 0, ""
        with bare().transaction(), bare().cursor(name="bare_verify") as cursor:
            cursor.itersize = PAGE
            cursor.execute("SELECT prev, body, hash FROM wagtail_prefs_record ORDER BY contact_ref, seq")
            for prev, body, given in cursor:
                digest = hashlib.sha256(format1.DOMAIN + bytes.fromhex(prev) + body.encode()).hexdigest()
                assert digest == given and prev in (before, format1.GENESIS)
                records, before = records + 1, digest
        return records

    while True:
        yield call


MAKERS: Mapping[str, Callable[[random.Random], Calls]] = {
    "append": append,
    "bare_append": bare_append,
    "verify": verify,
    "bare_verify": bare_verify,
}
