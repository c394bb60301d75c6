"""A web server that people save on while it, or its database, is killed: `python -m tests.faults.saving prepare|verify`.

Everything runs on a database of its own, named by DATABASE_URL, and in processes of its own, so that any of them can
be ended by SIGKILL.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHOP = "https://shop.example"
PEOPLE = 3
PATIENCE = 60.0


def prepare() -> dict[str, Any]:
    """Migrate, publish a center, let people in; what a client needs to save."""
    from django.core.management import call_command

    from tests import factories
    from wagtail_prefs.access import services as access
    from wagtail_prefs.centers import services as centers

    call_command("migrate", verbosity=0)
    page = factories.make_center(site=factories.make_site(origins=[SHOP]), host_pages=f"{SHOP}/mail")
    key = page.translation_key
    people = {}
    for number in range(PEOPLE):
        contact = factories.make_contact(f"p{number}@mail.example.org")
        link = access.open_link(
            access.make_token(access.Purpose.MANAGE, contact, center=key), access.Purpose.MANAGE
        )
        bearer, _ = access.redeem_code(access.make_code(link, key, SHOP), center=key, origin=SHOP)
        people[str(contact.pk)] = bearer
    return {
        "path": f"/prefs/api/v1/centers/{key}/preferences/",
        "revision": centers.current(key).digest,
        "topics": factories.block_id(page, "topics"),
        "people": people,
    }


def verify() -> dict[str, Any]:
    """Deliver what waits, and say what is stored: {contact: {whole, version, wanted, delivered, records}}."""
    from wagtail_prefs.backends.database.models import Subscriber
    from wagtail_prefs.contacts.models import Contact
    from wagtail_prefs.contacts.services import load_state
    from wagtail_prefs.delivery import services as delivery
    from wagtail_prefs.delivery.models import Delivery
    from wagtail_prefs.ledger import services as ledger
    from wagtail_prefs.ledger.models import Record

    wanted = dict(Delivery.objects.values_list("contact", "wanted"))
    while Delivery.objects.filter(due_at__isnull=False).exists():
        delivery.run_once()
    found = {}
    for contact in Contact.objects.all():
        records = list(Record.objects.filter(contact_ref=contact.pk).order_by("seq"))
        last = {
            effect.path: effect.after
            for record in records
            for effect in ledger.effects_of(ledger.read_body(record))
        }
        state = load_state(contact.pk)
        found[str(contact.pk)] = {
            "whole": ledger.first_broken(contact.pk) is None
            and [record.seq for record in records] == list(range(1, contact.version + 1)),
            "folds": last
            == {f"choice:{topic}:{channel}": value for (topic, channel), value in state.choices.items()},
            "version": contact.version,
            "wanted": wanted.get(contact.pk, 0),
            "delivered": Subscriber.objects.filter(contact=contact.pk)
            .values_list("version", flat=True)
            .first()
            or 0,
            "records": [str(record.pk) for record in records],
        }
    return found


def run(database_url: str, task: str) -> Any:
    """Run `prepare` or `verify` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.saving", task],
        cwd=ROOT,
        env=environment(database_url),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def environment(database_url: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}


@dataclass
class Server:
    """Gunicorn with two workers on a free port, which can be killed with all its workers and started again."""

    database_url: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{self.port}"),
                *("--log-level", "error", "django.core.wsgi:get_wsgi_application()"),
            ],
            cwd=ROOT,
            env=environment(self.database_url),
            process_group=0,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, "the server does not answer"
            threading.Event().wait(0.1)

    def _answers(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            connection.request("GET", "/prefs/api/v1/openapi.json")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL to master and workers at once: no handler of ours can run."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@dataclass
class People:
    """Everybody saves and saves; a save that was not answered is sent again, with the same key, until it is."""

    facts: dict[str, Any]
    server: Server
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    resent: int = 0
    count: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    strange: list[str] = field(default_factory=list)

    def begin(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._save_and_save, args=item) for item in self.facts["people"].items()
        ]
        for thread in threads:
            thread.start()
        return threads

    def wait_for(self, count: int) -> None:
        """Until so many saves were acknowledged in all."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, PATIENCE), (
                "nobody gets an answer any more"
            )

    def _save_and_save(self, contact: str, bearer: str) -> None:
        for number in itertools.count():
            if self.stop.is_set():
                return
            answers = {self.facts["topics"]: {"choices": {"news": {"email": number % 2 == 0}}}}
            body = json.dumps(
                {"base_version": number, "revision": self.facts["revision"], "answers": answers}
            )
            status, answer = self._until_answered(bearer, f"{contact}-{number}", body)
            if status != 200 or not answer["receipt"]:
                self.strange.append(f"{status} {answer}")
                return
            with self.changed:
                self.acknowledged.setdefault(contact, set()).add(answer["receipt"])
                self.count += 1
                self.changed.notify_all()

    def _until_answered(self, bearer: str, key: str, body: str) -> tuple[int, dict[str, Any]]:
        headers = {
            "Authorization": f"Bearer {bearer}",
            "Origin": SHOP,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
                connection.request("PATCH", self.facts["path"], body, headers)
                response = connection.getresponse()
                text = response.read()
                if response.status < 500:  # a database that is down is no answer either
                    return response.status, json.loads(text)
            except (OSError, http.client.HTTPException):
                pass
            self.resent += 1
            self.stop.wait(0.05)
        return 0, {}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps({"prepare": prepare, "verify": verify}[sys.argv[1]]()))
