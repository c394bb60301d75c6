"""`kill -9` around the moment of handing over, on PostgreSQL and against a mail server: never two in a mailbox, and what
may be missing is called uncertain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from tests.faults.delivering import ROOT, _database_url
from tests.mail import smtp
from tests.sending.waiting import DAY, give, paused, person, record
from wagtail_prefs.changes import Resume
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.sending.drain import drain
from wagtail_prefs.sending.models import Waiting

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

QUEUE, DISPATCH = "wagtail_prefs.sending.queue", "wagtail_prefs.sending.dispatch"
#: Where it dies, and whether the mail may be missing then, and is called uncertain.
POINTS = [
    (f"{QUEUE}:claim after", False),
    (f"{QUEUE}:sent_already after", False),
    (f"{DISPATCH}:decide before", False),
    (f"{DISPATCH}:decide after", False),
    (f"{QUEUE}:hand before", False),
    (f"{QUEUE}:hand after", True),
    ("smtplib:SMTP.mail after", True),
    ("smtplib:SMTP.data before", True),
    ("smtplib:SMTP.data after", True),
    (f"{QUEUE}:settle before", True),
    (f"{QUEUE}:settle after", False),
]


@pytest.fixture
def die(sink: smtp.Sink) -> Iterator[Callable[[str, int], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sending.dying", str(sink.port)],
        env={**os.environ, "DATABASE_URL": _database_url()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def dies(point: str, nth: int) -> int:
        stdin.write(f"{point} {nth}\n")
        stdin.flush()
        return int(stdout.readline())

    try:
        yield dies
    finally:
        stdin.close()
        process.wait(timeout=60)
        stdout.close()


def test_never_two_in_a_mailbox(die: Callable[[str, int], int], sink: smtp.Sink, tell: Any) -> None:
    factories.make_topics()
    uncertain = 0
    for number, (point, may_miss) in enumerate(POINTS):
        readers = [person(f"reader{number}-{one}", paused(timezone.now() + DAY)) for one in range(2)]
        for reader in readers:
            for name in ("m1", "m2"):
                give(reader, message_id=f"{name}-{number}")
            record(reader, Resume("", ""))
        assert os.WTERMSIG(die(point, 2)) == signal.SIGKILL, point
        # Its lease ends.
        Waiting.objects.filter(outcome="").update(due_at=timezone.now())
        drain()
        rows = Waiting.objects.filter(contact__in=[reader.pk for reader in readers])
        addresses = {reader.pk: reader.email for reader in readers}
        outcomes = {(addresses[row.contact], row.message_id): row.outcome for row in rows}
        got = Counter((got.recipients[0], str(got.message["Subject"])) for got in sink.got)
        assert set(got.values()) <= {1}, point
        missing = {mail for mail in outcomes if mail not in got}
        unsure = {mail for mail, outcome in outcomes.items() if outcome == "uncertain"}
        assert set(outcomes.values()) <= {"sent", "uncertain"}, point
        assert missing <= unsure, point
        assert len(unsure) == may_miss, point
        assert Send.objects.filter(contact__in=list(addresses)).count() == 4
        uncertain += len(unsure)
    tell(f"sending: {len(POINTS)} workers killed, no mail twice, {uncertain} uncertain and called so")
