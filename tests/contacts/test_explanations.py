"""The pages on merging and on leaving say what the code does."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from tests import factories
from tests.docs import explained
from wagtail_prefs.contacts.rules import Act
from wagtail_prefs.values import Actor, ActorType, ContactState


def test_the_page_on_merging() -> None:
    names = {
        "state": ContactState(id=uuid.UUID(int=1), audience="brand"),
        "her_act": Act(Actor(ActorType.SUBJECT_SESSION), at=timezone.now()),
    }
    assert explained.run(explained.DOCS / "explanation" / "merge.md", names) == 16


@pytest.mark.django_db
def test_the_page_on_leaving() -> None:
    factories.make_topics()
    names = {"contact": factories.make_contact(), "last_week": timezone.now() - timedelta(weeks=1)}
    assert explained.run(explained.DOCS / "explanation" / "opt-out.md", names) == 23
