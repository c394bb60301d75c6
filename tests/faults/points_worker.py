"""The children that die at a point: `python -m tests.faults.points_worker`, on the database that DATABASE_URL names.

A parent with everything loaded forks one child a task, with connections of its own. It takes a task a line, as JSON, and
answers with a line: {"status": what `waitpid` says, "said": what the child has written}. A child that comes to its point
writes the point's name and a number to the file `marker`, syncs it, and sends SIGKILL: to itself, or to the process of
PostgreSQL that serves it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import django

from tests.faults.points import Point

PATIENCE = 60.0


# --- dying ------------------------------------------------------------------------------------------------------------


@dataclass
class Death:
    """Wraps a point's target so that who comes by there for the `nth` time dies."""

    point: Point
    nth: int
    marker: Path

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.times = 0

    def arm(self) -> None:
        module, _, path = self.point.target.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def armed(*args: Any, **kwargs: Any) -> Any:
            if not self._is_now():
                return work(*args, **kwargs)
            if self.point.when == "before":
                self._strike()
                return work(*args, **kwargs)
            if self.point.when == "after":
                result = work(*args, **kwargs)
                self._strike()
                return result
            from django.db import transaction

            with transaction.atomic():
                result = work(*args, **kwargs)
                self._strike()
            return result

        return armed

    def _is_now(self) -> bool:
        with self.lock:
            self.times += 1
            return self.times == self.nth

    def _strike(self) -> None:
        """Of no return, for itself; a client of the server that was killed goes on and finds it gone."""
        victim = os.getpid()
        if self.point.victim == "server":
            from django.db import connection

            connection.ensure_connection()
            victim = connection.connection.info.backend_pid
        with self.marker.open("w") as file:
            json.dump([self.point.name, victim], file)
            file.flush()
            os.fsync(file.fileno())
        os.kill(victim, signal.SIGKILL)


def given(what: str) -> None:
    """What else happens to a worker in this run."""
    from wagtail_prefs.backends.webhook import WebhookBackend

    execute = WebhookBackend.execute
    if what == "slow":
        import time_machine

        clock = time_machine.travel(time.time(), tick=True).start()

        def slow(backend: Any, batch: Any) -> Any:
            results = execute(backend, batch)
            clock.shift(40)  # of a lease of 60 s
            return results

        WebhookBackend.execute = slow  # type: ignore[method-assign]
    elif what == "stopped":
        from wagtail_prefs.delivery.worker import Worker

        workers: list[Worker] = []
        once = Worker.once

        def remembered(worker: Worker) -> None:
            workers.append(worker)
            once(worker)

        def stopped(backend: Any, batch: Any) -> Any:
            workers[0].stop()
            return execute(backend, batch)

        Worker.once = remembered  # type: ignore[method-assign]
        WebhookBackend.execute = stopped  # type: ignore[method-assign]
    elif what == "lost":
        from wagtail_prefs.delivery.models import Delivery

        def lost(backend: Any, batch: Any) -> Any:
            results = execute(backend, batch)
            # Ours ran out, and another worker holds the rows.
            ours = Delivery.objects.filter(
                backend=backend.alias, contact__in=[each.contact for each in batch]
            )
            ours.update(lease=uuid4())
            return results

        WebhookBackend.execute = lost  # type: ignore[method-assign]


# --- the tasks --------------------------------------------------------------------------------------------------------


def prepare() -> None:
    from django.apps import apps
    from django.conf import settings
    from django.core.management import call_command

    from wagtail_prefs.topics.models import Audience

    # The tables as they are today, without their history.
    settings.MIGRATION_MODULES = dict.fromkeys(apps.app_configs)
    call_command("migrate", run_syncdb=True, verbosity=0)
    Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})


def meet(names: list[str]) -> list[str]:
    """Contacts of these names, who have said nothing yet."""
    from tests.delivery.people import person

    return [str(person(name)) for name in names]


def web(wishes: list[list[Any]], answers: str) -> None:
    """Save wish after wish as a web process does; each that was answered stands in the file `answers`.

    A wish is [key, contact, what, more]; one that was saved before, under the same key, is answered as it was then.
    """
    from wagtail_prefs.errors import UnknownContact
    from wagtail_prefs.submissions import services as submissions

    with Path(answers).open("a") as file:
        for key, contact, *wish in wishes:
            if wish[0] == "arrival":
                _arrive(key, UUID(contact))
                saved = None
            elif wish[0] == "erase":
                saved = None
                with suppress(UnknownContact):  # by the same wish, before
                    submissions.erase(UUID(contact), actor=_herself(), source=_source())
            else:
                saved = submissions.record(
                    UUID(contact), [_change(wish)], actor=_herself(), source=_source(), idempotency_key=key
                )
            print(json.dumps([key, saved and saved.receipt]), file=file, flush=True)


def _herself() -> Any:
    from tests.delivery.people import HERSELF

    return HERSELF


def _source() -> Any:
    from wagtail_prefs.values import Source

    return Source(method="python")


def _change(wish: list[str]) -> Any:
    from wagtail_prefs import changes

    kind, *more = wish
    return getattr(changes, kind)(*more)


def _arrive(key: str, contact: UUID) -> None:
    """The platform tells us that she opted out there."""
    from django.utils import timezone

    from wagtail_prefs.changes import OptOut
    from wagtail_prefs.contacts.models import Contact
    from wagtail_prefs.sync.arrivals import keep
    from wagtail_prefs.values import Identifiers, InboundEvent

    email = Contact.objects.values_list("email", flat=True).get(pk=contact)
    keep("hook", [InboundEvent(key, Identifiers(email=email), (OptOut(),), at=timezone.now())])


def work(*, sealing: bool = False) -> None:
    """One look of a worker: `prefs_deliver --once`; with `sealing` it also seals what is not due for it yet."""
    from wagtail_prefs.delivery.worker import Worker
    from wagtail_prefs.ledger.seals import seal
    from wagtail_prefs.management.chores import CHORES

    chores = [*CHORES, seal] if sealing else CHORES
    Worker(["database", "hook"], report=lambda *_: None, chores=chores).once()


def recover(contacts: list[str], *, sealing: bool = False) -> dict[str, Any]:
    """Time passes: the leases of the dead end, whatever waits is due. A fresh worker works; then what is stored."""
    from django.utils import timezone

    from wagtail_prefs.delivery.models import Delivery
    from wagtail_prefs.sync.models import Arrival

    past = timezone.now() - timedelta(seconds=1)
    for _ in range(5):
        leased = Delivery.objects.exclude(lease=None).update(leased_until=past)
        due = Delivery.objects.exclude(due_at=None).update(due_at=past)
        arrived = Arrival.objects.exclude(due_at=None).update(due_at=past)
        if not leased + due + arrived:
            break
        work(sealing=sealing)
    return {contact: _stored(UUID(contact)) for contact in contacts}


def _stored(contact: UUID) -> dict[str, Any]:
    from wagtail_prefs.backends.database import DatabaseBackend
    from wagtail_prefs.backends.desired import desired_state
    from wagtail_prefs.contacts.services import load_target
    from wagtail_prefs.delivery.models import Delivery
    from wagtail_prefs.ledger import services as ledger
    from wagtail_prefs.ledger.models import Record
    from wagtail_prefs.submissions.audit import differences

    target = load_target(contact)
    state = target.state
    records = list(Record.objects.filter(contact_ref=contact).order_by("seq"))
    rows = Delivery.objects.filter(contact=contact)
    there = DatabaseBackend("database").read(target)
    return {
        "whole": ledger.first_broken(contact) is None
        and [record.seq for record in records] == list(range(1, state.version + 1)),
        "folds": differences(contact) == [],
        "version": state.version,
        "opted_out": state.opted_out,
        "erased": state.erased,
        "email": target.identifiers.email,
        "state": desired_state(target),
        "receipts": [str(record.pk) for record in records],
        "waiting": [[row.backend, row.last_code] for row in rows if row.due_at or row.lease or row.retired],
        "database": there
        and {
            "version": there.version,
            "opted_out": there.opted_out,
            "same": there.choices == state.choices and there.frequencies == state.frequencies,
        },
    }


def verify() -> int:
    """What the command for it says of the whole ledger and its seals; its exit code."""
    from django.core.management import call_command

    try:
        call_command("prefs_verify_ledger", stdout=sys.stderr)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


TASKS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "meet": meet,
    "web": web,
    "work": work,
    "recover": recover,
    "verify": verify,
}


# --- the parent -------------------------------------------------------------------------------------------------------


def child(task: dict[str, Any], said: Path) -> None:
    before = set(sys.modules)
    wait_for_the_database()
    if "point" in task:
        given(task["point"]["given"])
        Death(Point(**task["point"]), task["nth"], Path(task["marker"])).arm()
    answer = TASKS[task["do"]](*task["with"], **task["how"])
    modules = [name for name, module in sys.modules.items() if name not in before and module.__spec__]
    said.write_text(json.dumps([answer, modules]))


def wait_for_the_database() -> None:
    """It may be recovering from its log, after one of its processes was killed."""
    from django.db import DatabaseError, connection

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.ensure_connection()
        except DatabaseError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def serve(folder: Path) -> None:
    from django.db import connections

    from wagtail_prefs.law import services as law

    law.current()  # once for all: it takes a second to read
    said = folder / "said.json"
    for line in lines():
        said.unlink(missing_ok=True)
        connections.close_all()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(line, said)
                code = 0
            except Exception:  # noqa: BLE001 - told to the one who asked
                said.write_text(json.dumps([traceback.format_exc(), []]))
            finally:
                logging.shutdown()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        answer = None
        if said.exists():
            answer, modules = json.loads(said.read_text())
            # What one child had to load, the next finds.
            for name in modules:
                if name not in sys.modules:
                    import_module(name)
        print(
            json.dumps({"status": os.waitstatus_to_exitcode(status), "pid": pid, "said": answer}), flush=True
        )


def lines() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


if __name__ == "__main__":
    django.setup()
    serve(Path(sys.argv[1]))
