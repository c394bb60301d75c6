"""The processes of a site with a queue: one that saves, one that works, each a child of the test."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.faults.delivering import PATIENCE, ROOT, _database_url

#: What a site runs beside its web server, by engine. The first two need no queue.
DJANGO = (sys.executable, "-m", "django")
WORKERS: dict[str, Sequence[str]] = {
    "loop": (*DJANGO, "prefs_deliver", "--loop", "--interval", "0.1"),
    "once": (*DJANGO, "prefs_deliver", "--once"),
    "db": (*DJANGO, "db_worker", "--interval", "0.1", "--no-startup-delay"),
    "rq": (*DJANGO, "rqworker", "--job-class", "django_tasks_rq.Job", "--with-scheduler"),
    "celery": (
        *(sys.executable, "-m", "celery", "--app", "django_tasks_fennel.app", "--quiet", "worker"),
        *("--concurrency", "1", "--loglevel", "warning", "--without-gossip", "--without-mingle"),
    ),
}
QUEUES = ("db", "rq", "celery")


@dataclass(frozen=True, slots=True)
class Site:
    """One engine, its settings and its broker."""

    engine: str
    prefs: dict[str, Any]
    redis: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.engines.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",  # what a package says about root or its own imports
            "DATABASE_URL": _database_url(),
            "ENGINE": self.engine,
            "ENGINE_REDIS": self.redis,
            "ENGINE_PREFS": json.dumps(self.prefs),
        }

    @contextlib.contextmanager
    def web(self) -> Iterator[Web]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engines.web"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        web = Web(process)
        try:
            assert web.answer() == "ready"
            web("prepare")
            yield web
            web("clear")
        finally:
            process.communicate(timeout=PATIENCE)

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker; with what it started, it is gone after the block."""
        process = subprocess.Popen(
            WORKERS[self.engine],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            process_group=0,  # Ctrl-C is for the test
        )
        try:
            yield process
        finally:
            kill(process)

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that is asked to end after the block, and does."""
        with self.started() as process:
            yield process
            process.terminate()
            assert process.wait(timeout=PATIENCE) == 0

    def waiting(self, web: Web) -> list[str]:
        """Everything that the queue keeps, as text."""
        if not self.redis:
            found: list[str] = web("queued")
            return found
        with redis.Redis.from_url(self.redis) as client:
            return [text for key in client.scan_iter() for text in _texts(client, key)]


@dataclass(frozen=True, slots=True)
class Web:
    """The process that saves: called with a command of `tests.engines.web`."""

    process: subprocess.Popen[str]

    def __call__(self, *command: str) -> Any:
        assert self.process.stdin is not None
        print(json.dumps(command), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a worker and to whatever it has started: no handler of anybody can run."""
    for pid in [*_descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE)


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (*_descendants(child), child)]


def _texts(client: redis.Redis, key: bytes) -> Iterator[str]:
    kind = client.type(key)
    values: Any = {
        b"string": lambda: [client.get(key)],
        b"hash": lambda: [part for item in client.hgetall(key).items() for part in item],  # type: ignore[union-attr]
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: [
            part for _, entry in client.xrange(key) for item in entry.items() for part in item
        ],  # type: ignore[union-attr]
    }[kind]()  # type: ignore[index]  # a kind that is not here must not go unread
    for value in [key, *values]:
        yield _readable(value)


def _readable(value: bytes) -> str:
    """What RQ packs, and what Celery hides in base64, with the rest."""
    with contextlib.suppress(zlib.error):
        value = zlib.decompress(value)
    text = value.decode("utf-8", "backslashreplace")
    with contextlib.suppress(ValueError, TypeError):
        text += base64.b64decode(json.loads(text)["body"]).decode()
    return text
