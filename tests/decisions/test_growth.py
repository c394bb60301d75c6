"""An answer does not cost more where there are more contacts (design.md s12, 8)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.ledger.models import Record

from .conftest import NOW, Readers

CROWD = 3000
#: The others are small here, and may be read whole: a site has few topics.
CROWDED = {f"wagtail_prefs_{name}" for name in ("contact", "state", "send", "record")}


@pytest.fixture
def crowd(readers: Readers) -> list[Contact]:
    """Three thousand who said yes, every tenth with a weekly cap and a message this week."""
    people = Contact.objects.bulk_create(
        Contact(audience=readers.audience, version=2, address_key=f"{number:064x}") for number in range(CROWD)
    )
    State.objects.bulk_create(
        State(contact=person, topic=topic, channel="email", choice="subscribed", choice_version=1)
        for person in people
        for topic in ("news", "offers", "events")
    )
    State.objects.bulk_create(
        State(contact=person, frequency="weekly", frequency_version=2) for person in people[::10]
    )
    Send.objects.bulk_create(
        Send(message_id="old", contact=person.pk, topic="news", channel="email", at=NOW) for person in people
    )
    Record.objects.bulk_create(
        Record(contact_ref=person.pk, audience="", seq=seq, at=NOW, actor="system")
        for person in people
        for seq in (1, 2)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return people


def test_no_statement_reads_a_whole_table(crowd: list[Contact]) -> None:
    for asked in (1, 20, 1000):
        some = [person.pk for person in crowd[:asked]]
        with CaptureQueriesContext(connection) as captured:
            decided = decide(some, "news", "email")
            decide(some, "news", "email", record=f"one of {asked}")
        assert {decision.verdict for decision in decided} == ({"digest", "send"} if asked > 1 else {"digest"})
        assert all(decision.record for decision in decided)
        looks = [query["sql"] for query in captured if query["sql"].startswith(("SELECT", "WITH"))]
        assert len(looks) == (3 if connection.vendor == "postgresql" else 2)  # the facts, twice; the lock
        for sql in looks:
            # The lock may read all where it takes a third of all.
            if asked < CROWD / 10 or "FOR NO KEY" not in sql:
                assert whole_tables(sql) == [], sql
    # The look works.
    assert whole_tables("SELECT * FROM wagtail_prefs_state WHERE frequency = 'x'")
    assert whole_tables("SELECT * FROM wagtail_prefs_state WHERE topic = 'news' AND channel = 'email'")
    assert whole_tables("SELECT * FROM wagtail_prefs_send WHERE topic = 'x'")


def test_the_id_of_a_record_stands_in_the_index(readers: Readers) -> None:
    contact = readers.make()
    one = {"contact_ref": contact, "audience": "", "seq": 1, "at": NOW, "actor": "system"}
    Record.objects.create(**one)
    with pytest.raises(IntegrityError), transaction.atomic():
        Record.objects.create(**one)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'prefs_record_seq'"
            )
            assert cursor.fetchone() == ("UNIQUE (contact_ref, seq) INCLUDE (id)",)


def whole_tables(sql: str) -> list[str]:
    """The parts of a plan that go through more rows of a table than one contact's: all, or all of a topic."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plans = [row[3] for row in cursor.fetchall()]
            return [
                plan
                for plan in plans
                if (plan.startswith("SCAN") and "VIRTUAL TABLE" not in plan)
                or "prefs_state_topic (topic=? AND channel=?)" in plan
            ]
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        plan: Any = cursor.fetchone()[0]
        return list(_not_by_contact((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))


def _not_by_contact(plan: dict[str, Any]) -> list[str]:
    """Looks at a crowded table that do not go by the contact that is asked about."""
    found = []
    small = plan.get("Relation Name", "") not in {"", *CROWDED}
    condition = plan.get("Index Cond", "")
    by_index = "Index Name" in plan and any(by in condition for by in ("given.id", "id = ANY"))
    if not small and (plan["Node Type"] == "Seq Scan" or ("Index Name" in plan and not by_index)):
        found.append(f"{plan['Node Type']} {plan.get('Relation Name')} {condition}")
    for inner in plan.get("Plans", []):
        found += _not_by_contact(inner)
    return found
