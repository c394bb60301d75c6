"""The reference backend: rows that a developer can query."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wagtail_prefs.backends.database import DatabaseBackend
from wagtail_prefs.backends.database.models import Subscriber, Subscription
from wagtail_prefs.ids import uuid7
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Identifiers, Outcome, Pause, Support, Target

from .states import ANNA, LEFT, batch, target

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "docs/reference/database-backend.md"


def write(*targets: Target) -> None:
    backend = DatabaseBackend("database")
    results = backend.execute([operation for item in targets for operation in backend.plan(item, [])])
    assert [result.outcome for result in results] == [Outcome.DONE] * len(targets)


def subscribed(topic: str, channel: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT email FROM wagtail_prefs_subscription WHERE topic = %s AND channel = %s AND subscribed ORDER BY email",
            [topic, channel],
        )
        return [row[0] for row in cursor.fetchall()]


def test_who_gets_what_is_one_plain_query() -> None:
    other = target(uuid7(), "ben@mail.example.org", choices={("news", "email"): SUBSCRIBED})
    write(target(), other)
    assert subscribed("news", "email") == ["anna@mail.example.org", "ben@mail.example.org"]
    assert subscribed("news", "sms") == []
    anna = Subscriber.objects.get(contact=ANNA)
    assert (anna.version, anna.email, anna.external_id, anna.language) == (
        3,
        "anna@mail.example.org",
        "c-1",
        "de",
    )


def test_the_query_of_the_documentation_leaves_out_who_pauses() -> None:
    query = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    now = timezone.now()
    for name, until in (("anna", None), ("ben", now + timedelta(days=2)), ("carla", now - timedelta(days=2))):
        pauses = {("", ""): Pause(until)} if until else {}
        write(target(uuid7(), f"{name}@mail.example.org", pauses=pauses))
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert sorted(cursor.fetchall()) == [("anna@mail.example.org",), ("carla@mail.example.org",)]


def test_who_may_be_mailed_without_a_yes_is_asked_of_the_channel_too() -> None:
    query = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    no = {("", "email"): UNSUBSCRIBED}
    people = {
        "never asked": {"choices": {}},
        "wants": {"choices": {("account", "email"): SUBSCRIBED, ("", "email"): SUBSCRIBED}},
        "not by sms": {"choices": {("", "sms"): UNSUBSCRIBED, ("account", "sms"): UNSUBSCRIBED}},
        "no mail": {"choices": no},
        "not this": {"choices": {("account", "email"): UNSUBSCRIBED}},
        "left": {"choices": {}, "opted_out": True},
    }
    write(*(target(uuid7(), name, **state) for name, state in people.items()))
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert {row[0] for row in cursor.fetchall()} == {"never asked", "wants", "not by sms"}
    # An older row of the queue knows no channels; what she took back goes.
    backend = DatabaseBackend("database")
    (operation,) = backend.plan(target(version=4, choices=no), [])
    backend.execute([operation])
    assert backend.read(target()).choices == no  # type: ignore[union-attr]
    older = {name: value for name, value in operation.payload.items() if name != "channels"}
    backend.execute([replace(operation, payload=older, version=5)])
    assert backend.read(target()).choices == {}  # type: ignore[union-attr]


def test_a_row_holds_the_rarer_cap_and_the_later_end() -> None:
    early, late = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
    write(
        target(
            frequencies={("", ""): "weekly", ("news", ""): "daily", ("", "sms"): "quarterly"},
            pauses={("news", ""): Pause(early), ("", "sms"): Pause(late)},
        )
    )
    rows = {row.channel: (row.frequency, row.paused_until) for row in Subscription.objects.all()}
    assert rows == {"email": ("weekly", early), "sms": ("quarterly", late)}


def test_an_opt_out_leaves_no_subscription() -> None:
    write(target(opted_out=True))
    assert subscribed("news", "email") == []
    assert Subscriber.objects.get().opted_out


def test_writing_twice_changes_nothing() -> None:
    write(target())
    before = list(Subscription.objects.order_by("pk").values())
    write(target())
    assert list(Subscription.objects.order_by("pk").values()) == before


def test_an_older_version_is_ignored() -> None:
    write(target(version=5, choices={("news", "email"): UNSUBSCRIBED}))
    write(target(version=4, choices={("news", "email"): SUBSCRIBED}))
    assert subscribed("news", "email") == []
    assert Subscriber.objects.get().version == 5


def test_a_newer_version_replaces_all_of_the_older() -> None:
    write(target(version=3, attributes={"size": "m"}))
    write(target(version=4, choices={("news", "email"): UNSUBSCRIBED}, frequencies={}, pauses={}))
    assert [
        (row.topic, row.channel, row.subscribed, row.frequency) for row in Subscription.objects.all()
    ] == [("news", "email", False, "")]
    assert Subscriber.objects.get().attributes == {}


def test_what_was_written_can_be_read_back() -> None:
    backend = DatabaseBackend("database")
    assert backend.read(target()) is None
    write(target())
    remote = backend.read(target())
    assert remote is not None
    assert remote.version == 3
    assert remote.opted_out is False
    assert remote.choices == target().state.choices
    assert remote.frequencies == target().state.frequencies
    assert remote.pauses == {key: pause.until for key, pause in target().state.pauses.items()}
    assert remote.attributes == target().state.attributes == {}
    write(target(version=4, pauses={}, attributes={"size": "M"}))
    again = backend.read(target())
    assert again is not None
    assert (again.version, again.pauses, again.attributes) == (4, {}, {"size": "M"})


def test_a_new_address_stands_in_every_row_and_the_old_one_in_none() -> None:
    write(target())
    moved = replace(
        target(version=4, email="new@mail.example.org"),
        retired=(Identifiers(email="anna@mail.example.org", remote={"database": str(ANNA)}),),
    )
    (operation,) = DatabaseBackend("database").plan(moved, [])
    assert operation.restricts  # until then whoever reads the row mails to the old one
    write(moved)
    assert {row.email for row in Subscriber.objects.all()} == {"new@mail.example.org"}
    assert {row.email for row in Subscription.objects.all()} == {"new@mail.example.org"}
    assert subscribed("news", "email") == ["new@mail.example.org"]


def test_the_phone_number_is_kept() -> None:
    person = target()
    write(replace(person, identifiers=replace(person.identifiers, phone="+491701234567")))
    assert Subscriber.objects.get().phone == "+491701234567"


def test_an_address_that_was_erased_once_is_not_to_be_mailed() -> None:
    write(target(suppressed=True))
    assert subscribed("news", "email") == []
    assert Subscriber.objects.get().opted_out


@pytest.mark.parametrize(
    "known",
    [
        Identifiers(remote={"database": str(ANNA)}),
        Identifiers(external_id="c-1"),
        Identifiers(email="anna@mail.example.org"),
    ],
)
def test_an_erased_person_leaves_no_row(known: Identifiers) -> None:
    write(target(), target(uuid7(), "ben@mail.example.org"))
    Subscriber.objects.exclude(contact=ANNA).update(external_id="")
    assert DatabaseBackend("database").erase(known).outcome is Outcome.DONE
    assert [row.email for row in Subscriber.objects.all()] == ["ben@mail.example.org"]
    assert {row.email for row in Subscription.objects.all()} == {"ben@mail.example.org"}


def test_whoever_signed_up_anew_with_the_address_stays() -> None:
    write(target(), target(uuid7()))
    person = Identifiers(email="anna@mail.example.org", remote={"database": str(ANNA)})
    assert DatabaseBackend("database").erase(person).outcome is Outcome.DONE
    assert [row.email for row in Subscriber.objects.all()] == ["anna@mail.example.org"]
    assert not Subscriber.objects.filter(contact=ANNA).exists()


@pytest.mark.postgres
def test_an_erasure_takes_the_rows_in_the_order_of_the_writers() -> None:
    """Else one that meets a write of hers could deadlock with it."""
    write(target())
    with CaptureQueriesContext(connection) as queries:
        DatabaseBackend("database").erase(Identifiers(remote={"database": str(ANNA)}))
    locks = [
        sql["sql"]
        for sql in queries
        if sql["sql"].startswith(("SELECT", "DELETE")) and "wagtail_prefs_sub" in sql["sql"]
    ]
    assert "FOR UPDATE" in locks[0]
    assert '"wagtail_prefs_subscriber"' in locks[0]


def test_erasing_nobody_erases_nobody() -> None:
    write(target())
    DatabaseBackend("database").erase(Identifiers())
    DatabaseBackend("database").erase(Identifiers(remote={"database": str(uuid.uuid4())}))
    DatabaseBackend("database").erase(Identifiers(remote={"database": "no id of ours"}))
    DatabaseBackend("database").erase(Identifiers(remote={"other": str(ANNA)}))
    assert Subscriber.objects.count() == 1


def test_cost_does_not_grow_with_the_batch() -> None:
    counts = []
    for size in (1, 40):
        people = [target(uuid7(), f"c{number}@mail.example.org") for number in range(size)]
        for _ in ("new", "known"):
            with CaptureQueriesContext(connection) as queries:
                write(*people)
            counts.append(len(queries))
    # savepoint, lock, (insert, lock,) write, look for rows to drop, write, release
    assert counts == [8, 6, 8, 6]


def test_a_no_goes_first() -> None:
    backend = DatabaseBackend("database")
    assert backend.plan(target(), [batch(3, LEFT)])[0].restricts
    assert not backend.plan(target(), [])[0].restricts


def test_a_site_can_say_that_the_readers_obey() -> None:
    assert DatabaseBackend("database", {"ENFORCES": ["frequency"]}).capabilities.frequency is Support.ENFORCES
