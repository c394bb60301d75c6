"""The page on the ledger says what is so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests import factories
from tests.docs import explained
from wagtail_prefs.values import Actor, ActorType, iso

PAGE = explained.DOCS / "explanation" / "ledger.md"


@pytest.mark.django_db
def test_the_page_on_the_ledger() -> None:
    factories.make_topics()
    names = {
        "mira": factories.make_contact("mira@mail.example.org").pk,
        "herself": Actor(ActorType.SUBJECT_LINK),
        "christmas": datetime(2026, 12, 24, 10, tzinfo=UTC),
        "iso": iso,
    }
    assert explained.run(PAGE, names) == 26
