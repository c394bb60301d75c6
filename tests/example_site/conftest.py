"""The demo in processes of its own, on ports, in a folder and in a database that are free."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dj_database_url
import pytest
import requests

from example_site.place import SMTP_OFFSET, Place
from tests.leaks import search_output

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60

Json = dict[str, Any]


@dataclass
class Demo:
    """`python -m example_site.run`, started and stopped."""

    folder: Path
    database: str
    place: Place
    crm: str = ""  # the marketing platform that it has, by CRM=
    process: subprocess.Popen[str] | None = None
    facts: Json = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))
        }
        return {
            **kept,
            "EXAMPLE_SITE_VAR": str(self.folder),
            "PORT": str(self.place.port),
            "CRM": self.crm,
            "GUNICORN_CMD_ARGS": "--access-logfile -",  # searched in the end, for links and addresses
            "DATABASE_URL": self.database,
        }

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> None:
        ready = self.folder / "ready.json"
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "example_site.run", "--ready-file", str(ready)],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        until(lambda: ready.exists() or self.process.poll() is not None, seconds=120)
        assert ready.exists(), self.output
        self.facts = json.loads(ready.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def manage(self, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "example_site" / "manage.py"), *arguments],
            cwd=cwd,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        )

    def processes(self) -> list[int]:
        """Whatever runs with this demo's folder in its environment."""
        mark = f"EXAMPLE_SITE_VAR={self.folder}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def known(self) -> dict[str, Json]:
        """What the CRM knows, by contact."""
        answer = requests.get(f"{self.place.crm}/contacts.json", timeout=10)
        answer.raise_for_status()
        return {entry["id"]: entry for entry in answer.json()}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the demo's database, from outside."""
        if not self.database:
            with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3")) as connection:
                return connection.execute(sql).fetchall()
        import psycopg

        with psycopg.connect(self.database) as connection:
            return connection.execute(sql).fetchall()

    def versions(self) -> dict[str, int]:
        """What the site's own database says, by contact."""
        return {
            str(UUID(str(key))): version
            for key, version in self.query("SELECT id, version FROM wagtail_prefs_contact")
        }

    def mails(self) -> list[Json]:
        mails: list[Json] = requests.get(f"{self.place.mailbox}/mails.json", timeout=10).json()
        return mails

    def mail_to(self, contact: Json) -> Json:
        return next(mail for mail in self.mails() if mail["to"] == contact["email"])


def until(condition: Callable[[], object], *, seconds: float = SECONDS) -> None:
    """Poll until a condition holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.fixture(scope="package")
def make_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Demo]]:
    """Makes demos that are not started yet; whatever was started is gone in the end."""
    with contextlib.ExitStack() as stack:

        def make() -> Demo:
            folder = tmp_path_factory.mktemp("demo")
            demo = Demo(folder, stack.enter_context(_database()), Place(_free_base()))
            stack.callback(_end, demo)
            return demo

        yield make


@pytest.fixture(scope="package")
def demo(make_demo: Callable[[], Demo]) -> Demo:
    """One running demo for all tests that share it; none of them counts on what others leave alone."""
    made = make_demo()
    made.start()
    return made


def _end(demo: Demo) -> None:
    addresses = []
    if demo.process is not None and demo.process.poll() is None:
        with contextlib.suppress(OSError):
            addresses = [contact["email"] for contact in demo.known().values()]
        demo.stop()
    for pid in demo.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for log in (demo.folder / "logs").glob("*.log"):
        ours = log.name in ("site.log", "worker.log")
        search_output(log.read_text(errors="replace"), addresses if ours else ())


def _free_base() -> int:
    """A port whose neighbours that the demo needs are free as well.

    Below the range from which systems give ports to outgoing connections, and not from `random`, which pytest-randomly
    seeds alike in all workers.
    """
    for _ in range(100):
        base = 10_000 + (SMTP_OFFSET + 7) * secrets.randbelow(650)
        if all(_is_free(base + offset) for offset in (0, 1, 2, 3, 4, 5, SMTP_OFFSET)):
            return base
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """A database of its own where the suite runs on PostgreSQL; "" takes SQLite, in the demo's folder."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield ""
        return
    import psycopg

    parsed = dj_database_url.parse(url)
    name = f"demo_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{url.removesuffix(str(parsed['NAME']))}{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
