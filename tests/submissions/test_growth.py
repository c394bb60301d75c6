"""What a visitor waits for does not grow with the number of contacts (design.md s12, 8)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from wagtail_prefs.contacts import store
from wagtail_prefs.contacts.models import Contact, State

from .conftest import Scene

pytestmark = pytest.mark.django_db
CROWD = 3000
CROWDED = {"wagtail_prefs_contact", "wagtail_prefs_state"}  # the others are small here, and may be read whole


def crowd(scene: Scene) -> None:
    people = Contact.objects.bulk_create(
        Contact(audience_id=scene.contact.audience_id, address_key=f"{number:064x}")
        for number in range(CROWD)
    )
    State.objects.bulk_create(
        State(contact=person, topic=topic, channel="email", choice="subscribed", choice_version=1)
        for person in people
        for topic in ("news", "offers")
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def test_a_save_among_many_contacts_is_the_same_statements(scene: Scene) -> None:
    def statements(base: int, value: bool) -> int:
        with CaptureQueriesContext(connection) as captured:
            scene.save(scene.choose(news=value), base=base)
        return len(captured)

    alone = statements(0, True)
    crowd(scene)
    assert statements(1, False) == alone


def test_no_statement_of_a_save_reads_a_whole_table(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    crowd(scene)
    with CaptureQueriesContext(connection) as captured:
        scene.save(scene.choose(news=False, offers=True), key="k")
        assert store.load(scene.contact.pk)
        assert store.load_by_link(scene.contact.link_id, scene.contact.audience_id)
    looked_at = 0
    for query in captured:
        sql = query["sql"].strip()
        if not sql.startswith(("SELECT", "UPDATE")):
            continue
        looked_at += 1
        assert whole_tables(sql) == [], sql
    assert looked_at == 5  # the contact's version, the lock, the state; and the two ways to load a contact
    assert whole_tables("SELECT * FROM wagtail_prefs_state WHERE frequency = 'x'")  # the look works


def whole_tables(sql: str) -> list[str]:
    """The parts of a statement's plan that go through all rows of one of our tables."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return [
                row[3]
                for row in cursor.fetchall()
                if row[3].startswith("SCAN wagtail_prefs_") and "audience" not in row[3]
            ]
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        plan: Any = cursor.fetchone()[0]
        return _seq_scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _seq_scans(plan: dict[str, Any]) -> list[str]:
    found = (
        [plan["Relation Name"]]
        if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in CROWDED
        else []
    )
    for inner in plan.get("Plans", []):
        found += _seq_scans(inner)
    return found
