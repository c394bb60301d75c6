"""How many messages are planned: what the topics of an earlier release said stays true, and old servers still find it."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from hypothesis import given, strategies as st

from tests import factories
from tests.properties import examples
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.topics.services import topics_for
from wagtail_prefs.values import Planned

migration = import_module("wagtail_prefs.migrations.0017_planned")


@pytest.mark.parametrize(
    ("a_month", "expected"),
    [
        (None, None),
        ("0", None),
        ("4.0", (4, "month")),
        ("0.5", (6, "year")),
        ("2.5", (30, "year")),
        ("0.1", (2, "year")),  # once in ten months
        ("9999.9", (119999, "year")),
    ],
)
def test_what_was_planned_a_month(a_month: str | None, expected: tuple[int, str] | None) -> None:
    assert migration.planned(a_month and Decimal(a_month)) == expected


@pytest.mark.property
@examples(100)
@given(st.integers(1, 99999))
def test_nobody_is_promised_less_than_before(tenths: int) -> None:
    number, per = migration.planned(Decimal(tenths) / 10)
    a_year = number * {"month": 12, "year": 1}[per]
    assert 0 <= a_year - Decimal(tenths) * 12 / 10 < 1


@pytest.mark.django_db
def test_topics_keep_what_they_said_and_old_servers_still_find_it() -> None:
    """As in the middle of the migration: topics have both. A later one may drop the column, and this test with it."""
    topics = factories.make_topics()
    state = MigrationExecutor(connection).loader.project_state(("wagtail_prefs", "0016_again"))
    for operation in migration.Migration.operations[:3]:
        operation.state_forwards("wagtail_prefs", state)
    old = state.apps.get_model("wagtail_prefs", "Topic")
    for key, a_month in {"news": "4", "offers": "2.5", "events": "0"}.items():
        old.objects.filter(key=key).update(messages_a_month=Decimal(a_month))
    # On SQLite an editor of the schema wants no transaction; this step looks at its connection only.
    migration.carry_over(state.apps, SimpleNamespace(connection=connection))
    found = topics_for(topics["news"].audience_id, "en")
    assert {info.key: info.planned for info in found.values()} == {
        "news": Planned(4, "month"),
        "offers": Planned(30, "year"),
        "events": None,
        "orders": None,
    }
    assert old.objects.get(key="news").messages_a_month == 4
    Topic.objects.create(
        audience=topics["news"].audience, key="new", channels=["email"]
    )  # without the old column
    assert old.objects.get(key="new").messages_a_month is None
