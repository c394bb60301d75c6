"""What is saved in one process arrives by another, whatever carries out the tasks: each engine for real."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.engines.running import QUEUES, WORKERS, Site, Web, kill
from tests.faults.delivering import PATIENCE, Receiver, eventually
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(httpserver: HTTPServer, settings: Settings) -> Receiver:
    receiver = Receiver(httpserver)
    settings.WAGTAIL_PREFS = receiver.options()
    return receiver


@pytest.fixture(params=list(WORKERS))
def site(request: pytest.FixtureRequest, receiver: Receiver) -> Iterator[Site]:
    """A site for each engine, with an empty broker."""
    engine, url = request.param, ""
    if engine in {"rq", "celery"}:
        url = f"{request.getfixturevalue('redis_url')}/{5 if engine == 'rq' else 6}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    yield Site(engine, receiver.options(), url)
    connection.close()


def all_delivered() -> bool:
    return not Delivery.objects.filter(due_at__isnull=False).exists()


def knows_everything(receiver: Receiver) -> None:
    """The platform has everybody's newest state, and was told no version under two names."""
    for contact in Contact.objects.all():
        state = desired_state(load_target(contact.pk))
        assert {name: receiver.contacts[str(contact.pk)][name] for name in state} == state
    ids: dict[tuple[str, int], set[str]] = {}
    for message, body in receiver.log:
        event = json.loads(body)
        ids.setdefault((event["contact"]["id"], event["version"]), set()).add(message)
    assert [names for names in ids.values() if len(names) > 1] == []


def nothing_personal(texts: list[str]) -> None:
    """Neither who saved nor what stands in what waits in a queue."""
    found = "\n".join(texts)
    for contact in Contact.objects.all():
        for secret in (contact.email, contact.link_id, str(contact.pk), contact.pk.hex):
            assert secret
            assert secret not in found


def test_each_wish_arrives_also_when_a_worker_is_killed(site: Site, receiver: Receiver) -> None:
    victims: list[subprocess.Popen[bytes]] = []

    def fatal(count: int) -> None:
        if count == 2:
            kill(victims[0])

    receiver.before_answer = fatal
    with site.web() as web:
        names = [f"p{number}" for number in range(4)]
        people = {UUID(web("save", name, "JOIN")["contact"]) for name in names}
        out = web("save", names[-1], "OUT")["contact"]
        if site.engine in QUEUES:
            queued = site.waiting(web)
            assert sum(text.count("deliver_now") for text in queued) >= len(people) + 1, queued
            nothing_personal(queued)
        with site.started() as victim:
            victims.append(victim)
            eventually(lambda: victim.poll() is not None)
        assert victim.returncode == -signal.SIGKILL
        assert len(receiver.log) == 2
        assert json.loads(receiver.log[0][1])["contact"]["id"] == out  # the opt-out went first
        # The one under way and those that were to follow: said or not, none is noted as delivered.
        assert Delivery.objects.exclude(lease=None).count() == 3
        assert not all_delivered()
        # Their leases end. Then the next nudge brings them, where there is one; else the next look.
        Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        web("save", "p4", "WEEKLY")
        if site.engine == "once":
            with site.started() as again:
                assert again.wait(PATIENCE) == 0
        else:
            with site.worker():
                eventually(all_delivered)
                if site.engine in QUEUES:
                    what_failed_takes_a_sweep(web, receiver)
        assert all_delivered()
        knows_everything(receiver)
        assert receiver.contacts[out]["opted_out"]
        assert len(receiver.contacts) == len(people) + 1
        assert receiver.repeats == 1  # what was under way, under its id; nothing else was said twice
        if site.engine in QUEUES:
            nothing_personal(site.waiting(web))  # nor in what it keeps of what was done


def what_failed_takes_a_sweep(web: Web, receiver: Receiver) -> None:
    """No queue is asked to come back: `prefs_deliver --once` from cron does, whatever the engine."""
    receiver.status = 503
    web("save", "p0", "OUT")
    eventually(lambda: Delivery.objects.filter(attempts=1, lease=None).exists())
    receiver.status = 204
    failed = Delivery.objects.filter(attempts=1)
    failed.update(due_at=timezone.now() + timedelta(hours=1))
    assert web("sweep") == 1  # something is left, and not due yet
    assert failed.update(due_at=timezone.now()) == 1
    # A worker that is late with an earlier nudge may have taken it first: then it is still under way for a moment.
    eventually(lambda: web("sweep") == 0)


@pytest.mark.parametrize("engine", ["rq", "celery"])
def test_a_broker_that_is_away_costs_no_wish(engine: str, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site = Site(engine, receiver.options(), f"redis://127.0.0.1:{port}/0")
    with site.web() as web:
        assert web("save", "p0", "OUT")["version"] == 1
        assert web("sweep") == 0
    knows_everything(receiver)
    assert all_delivered()
