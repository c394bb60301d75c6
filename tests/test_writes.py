"""INSERTs that belong together: all or none of them, in one journey where the database can."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from wagtail_prefs.delivery.models import Lane
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.writes import Write, carry_out

pytestmark = pytest.mark.django_db


def lane(*names: str) -> Write:
    table = connection.ops.quote_name(Lane._meta.db_table)
    rows = ", ".join(["(%s, '', 0, '', '{}')"] * len(names))
    return Write(f"INSERT INTO {table} (backend, code, failures, last_code, alarms) VALUES {rows}", names)


def audience(key: str) -> Write:
    quote = connection.ops.quote_name
    sql = f"INSERT INTO {quote(Audience._meta.db_table)} ({quote('key')}, name) VALUES (%s, %s)"
    return Write(sql, [key, "50 % off"])


def there() -> tuple[set[Any], set[Any]]:
    return (
        set(Lane.objects.values_list("backend", flat=True)),
        set(Audience.objects.values_list("key", flat=True)),
    )


def test_all_are_made_each_with_its_own_values(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    lanes, audiences = there()
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 3):
        carry_out([lane("a", "b"), audience("shoes"), lane("c")])
    assert there() == (lanes | {"a", "b", "c"}, audiences | {"shoes"})
    assert Audience.objects.get(key="shoes").name == "50 % off"


def test_one_alone_and_none(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        carry_out([lane("a")])
    with django_assert_num_queries(0):
        carry_out([])
    assert "a" in there()[0]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_where_one_cannot_be_made_none_is(place: int) -> None:
    carry_out([lane("taken")])
    before = there()
    writes = [audience("shoes"), lane("a")]
    writes.insert(place, lane("taken"))
    with pytest.raises(IntegrityError), transaction.atomic():
        carry_out(writes)
    assert there() == before
