"""`kill -9` at named points of the worker, the web process and PostgreSQL (`points`).

In each run a few people make random wishes, somebody dies at the point - which is proven -, they go on, and a fresh
worker finds what there is. Then: no opt-out that was answered is lost, the ledger holds each answered wish once, in a
whole chain, and both platforms are at everybody's newest state.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_httpserver import HTTPServer

from tests.faults.delivering import PATIENCE, ROOT, Receiver, eventually
from tests.faults.points import PEOPLE, POSTGRES, SAVES_A_RUN, WEB, WORKER, Point
from tests.postgres import cluster

ROUNDS = 3
RUNS = 500
#: What comes upon the first of the people; she wishes nothing more in that run.
FATES = {"erased", "moved", "arrival"}
FREQUENCIES = ("daily", "weekly", "monthly")


# --- people -----------------------------------------------------------------------------------------------------------


@dataclass
class Person:
    """What she has wished so far; so that her next wish changes something, and what must be true of her is known."""

    contact: str
    name: str
    choices: dict[str, bool] = field(default_factory=dict)
    frequency: str = ""
    out: bool = False
    #: What an answered wish last said of the opt-out; None where one that was given up may have said otherwise.
    sure: bool | None = False
    gone: bool = False

    def wish(self, dice: random.Random) -> list[str]:
        """Something that is not so yet."""
        wishes = [["SetFrequency", "", "", each] for each in FREQUENCIES if each != self.frequency]
        wishes += [
            ["SetChoice", topic, "email", "subscribed" if yes else "unsubscribed"]
            for topic in ("news", "offers")
            for yes in (True, False)
            if self.choices.get(topic) is not yes
        ]
        wishes += [["OptIn"]] if self.out else [["OptOut"]] * 4
        wish = dice.choice(wishes)
        self._assume(wish)
        return wish

    def _assume(self, wish: list[str]) -> None:
        if wish[0] == "SetFrequency":
            self.frequency = wish[3]
        elif wish[0] == "SetChoice":
            self.choices[wish[1]] = wish[3] == "subscribed"
            self.out = self.out and not self.choices[wish[1]]
        else:
            self.out = wish[0] == "OptOut"
            self.choices = dict.fromkeys(self.choices, False) if self.out else self.choices

    def answered(self, wish: list[str]) -> None:
        if wish[0] in {"OptOut", "arrival"}:
            self.sure = True
        elif wish[0] == "OptIn" or wish[-1] == "subscribed":
            self.sure = False

    def gave_up(self, wish: list[str]) -> None:
        if wish[0] in {"OptOut", "OptIn"} or wish[-1] == "subscribed":
            self.sure = None


# --- the processes ----------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """The database, the platform, and the parent of all children."""

    receiver: Receiver
    folder: Path
    parent: subprocess.Popen[str]
    log: Path | None  # of PostgreSQL
    dice: random.Random
    seed: int
    runs: int = 0

    def ask(self, do: str, *arguments: Any, point: Point | None = None, **how: Any) -> Any:
        """Carry out a task in a child; where it has a point, the child dies there, which is proven."""
        task: dict[str, Any] = {"do": do, "with": arguments, "how": how}
        marker = self.folder / "marker"
        if point:
            marker.unlink(missing_ok=True)
            nth = self.dice.randint(1, point.most)
            task |= {"point": asdict(point), "nth": nth, "marker": str(marker)}
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        print(json.dumps(task), file=self.parent.stdin, flush=True)
        answer = json.loads(self.parent.stdout.readline())
        if point is None:
            assert answer["status"] == 0, answer
            return answer["said"]
        assert marker.exists(), ("it did not come to its point", answer)
        name, victim = json.loads(marker.read_text())
        assert name == point.name
        if point.victim == "itself":
            assert (victim, answer["status"]) == (answer["pid"], -signal.SIGKILL), answer
        else:
            assert self.log is not None
            died = f"server process (PID {victim}) was terminated by signal 9: Killed"
            log = self.log
            eventually(lambda: died in log.read_text())
        return None


class Run:
    """One death, and what comes of it."""

    def __init__(self, site: Site, point: Point) -> None:
        self.site, self.point, self.dice = site, point, site.dice
        self.answers = site.folder / f"answers-{uuid.uuid4().hex}"
        names = [f"p{uuid.uuid4().hex}" for _ in range(PEOPLE)]
        contacts = site.ask("meet", names)
        self.people = [Person(contact, name) for contact, name in zip(contacts, names, strict=True)]
        self.by_contact = {person.contact: person for person in self.people}
        self.sealing: dict[str, Any] = {"sealing": True} if point.given == "sealing" else {}
        self.first_call = len(site.receiver.log)

    def go(self) -> None:
        everybody = [*self.people, *self.dice.choices(self.people[1:], k=SAVES_A_RUN - PEOPLE)]
        wishes = [self._entry(person, person.wish(self.dice)) for person in everybody]
        if self.point.given in FATES:
            self._save(wishes)
            self.site.ask("work")  # the platforms have heard of her
            wishes = [self._entry(self.people[0], self._fate())]
        if self.point.who == "web":
            self._save(wishes, self.point)
        else:
            self._save(wishes)
            self.site.ask("work", point=self.point, **self.sealing)
        others = self.people[1:] if self.point.given in FATES else self.people
        self._save([self._entry(person, person.wish(self.dice)) for person in self.dice.choices(others, k=2)])
        self._check(self.site.ask("recover", list(self.by_contact), **self.sealing))

    def _entry(self, person: Person, wish: list[str]) -> list[Any]:
        return [uuid.uuid4().hex, person.contact, *wish]

    def _fate(self) -> list[str]:
        first = self.people[0]
        if self.point.given == "arrival":
            # So that there is something in it for her.
            self._save([self._entry(first, ["SetChoice", "events", "email", "subscribed"])])
        return {
            "erased": ["erase"],
            "moved": ["ChangeAddress", f"{first.name}@new.example.org"],
            "arrival": ["arrival"],
        }[self.point.given]

    def _save(self, wishes: list[list[Any]], point: Point | None = None) -> None:
        """Until all are answered; one that was not is sent again, or - sometimes - given up."""
        self.site.ask("web", wishes, str(self.answers), point=point)
        answered = dict(self._answered())
        for number, (key, contact, *wish) in enumerate(wishes):
            if key in answered:
                self.by_contact[contact].answered(wish)
                continue
            assert point is not None, "nobody died, and there was no answer"
            if self.dice.random() < 0.3:
                self.by_contact[contact].gave_up(wish)
                left = wishes[number + 1 :]
            else:
                left = wishes[number:]
            if left:
                self._save(left)
            return

    def _answered(self) -> Iterator[tuple[str, str | None]]:
        if self.answers.exists():
            for line in self.answers.read_text().splitlines():
                yield tuple(json.loads(line))

    def _check(self, stored: dict[str, dict[str, Any]]) -> None:
        receipts = [receipt for _, receipt in self._answered() if receipt]
        found = [receipt for each in stored.values() for receipt in each["receipts"]]
        assert set(receipts) <= set(found), "what was answered is not in the ledger"
        assert len(found) == len(set(found))
        for contact, person in self.by_contact.items():
            self._check_one(person, stored[contact], self.site.receiver.contacts.get(contact))

    def _check_one(self, person: Person, stored: dict[str, Any], there: dict[str, Any] | None) -> None:
        assert stored["whole"], stored
        assert stored["folds"], stored
        assert stored["waiting"] == [], stored
        if stored["erased"] or not stored["version"]:  # whose only wish was given up
            assert (there, stored["database"]) == (None, None), stored
            return
        assert there is not None, stored
        assert {name: there[name] for name in stored["state"]} == stored["state"]
        in_tables = {"version": stored["version"], "opted_out": stored["opted_out"], "same": True}
        assert stored["database"] == in_tables, stored
        if person.sure is not None:
            assert stored["opted_out"] is person.sure, (person, stored)
        self._check_calls(person, stored)

    def _check_calls(self, person: Person, stored: dict[str, Any]) -> None:
        """What the platform heard, in order: it never went back, whatever the platform itself would ignore."""
        heard = [json.loads(body) for _, body in self.site.receiver.log[self.first_call :]]
        hers = [event for event in heard if event["contact"].get("id") == person.contact]
        versions = [event["version"] for event in hers]
        assert versions == sorted(versions)
        if stored["email"].endswith("@new.example.org"):
            former = {"email": f"{person.name}@mail.example.org"}
            assert any(former in event.get("former", []) for event in hers), hers


# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A database that nothing else uses. PostgreSQL syncs here, as in production: commits are what is tested."""
    folder = tmp_path_factory.mktemp("points")
    seed = random.SystemRandom().randrange(2**32)
    with contextlib.ExitStack() as stack:
        url, log = f"sqlite:///{folder / 'db.sqlite3'}", None
        if connection.vendor == "postgresql":
            url = stack.enter_context(cluster(fsync="on", synchronous_commit="on", full_page_writes="on"))
            log = _log_of(url)
        receiver = Receiver(stack.enter_context(HTTPServer(host="127.0.0.1")))
        options = receiver.options()
        options["BACKENDS"]["database"] = {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"}
        parent = stack.enter_context(_parent(folder, url, options))
        site = Site(receiver, folder, parent, log, random.Random(seed), seed)
        site.ask("prepare")
        yield site


@contextlib.contextmanager
def _parent(folder: Path, url: str, options: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    (folder / "points_settings.py").write_text(
        "from tests.settings import *\n\nimport json\n\nWAGTAIL_PREFS = json.loads("
        + repr(json.dumps(options))
        + ')\nTASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.points_worker", str(folder)],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "points_settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "DATABASE_URL": url,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        yield process
        process.communicate(timeout=PATIENCE)


def _log_of(url: str) -> Path:
    """Where the server of that address writes what it has to say."""
    port = url.rpartition(":")[2].partition("/")[0]
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"\0-p\0{port}\0" in (folder / "cmdline").read_text():
                return (folder / "fd" / "2").readlink()
    raise AssertionError("the database does not run")


def points() -> tuple[Point, ...]:
    return (*WORKER, *WEB, *(POSTGRES if connection.vendor == "postgresql" else ()))


def run(site: Site, chosen: Sequence[Point], tell: Callable[[str], None]) -> None:
    for point in chosen:
        site.runs += 1
        try:
            Run(site, point).go()
        except AssertionError as error:
            error.add_note(f"run {site.runs}, {point.name}, seed {site.seed}")
            raise
    assert site.ask("verify") == 0
    tell(f"{len(chosen)} deaths at {len(points())} named points, on {connection.vendor}, seed {site.seed}")


def test_nothing_is_lost_whoever_dies(site: Site, tell: Callable[[str], None]) -> None:
    """Three rounds of each point; on PostgreSQL, where a run takes longer, three of its own and one of the others."""
    own = POSTGRES if connection.vendor == "postgresql" else points()
    others = [point for point in points() if point not in own]
    chosen = [*own * ROUNDS, *others]
    run(site, site.dice.sample(chosen, len(chosen)), tell)


@pytest.mark.soak
def test_nothing_is_lost_whoever_dies_very_often(site: Site, tell: Callable[[str], None]) -> None:
    run(site, site.dice.choices(points(), k=RUNS), tell)
