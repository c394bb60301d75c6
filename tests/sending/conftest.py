from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine

from tests import factories
from tests.mail.conftest import mailer, sink
from tests.sending.waiting import START

__all__ = ["clock", "mailer", "sink"]


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[time_machine.Traveller]:
    """A Monday at noon, and the topics of the factories."""
    request.getfixturevalue("transactional_db")
    with time_machine.travel(START, tick=False) as traveller:
        factories.make_topics()
        yield traveller
