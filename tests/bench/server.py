"""gunicorn with two sync workers: a request is served by one process from beginning to end, so its CPU can be told."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import cpu

WORKERS = 2
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    workers: tuple[int, ...]


@contextlib.contextmanager
def gunicorn() -> Iterator[Server]:
    """The bench's site on a free port of loopback; it reads DATABASE_URL and DJANGO_SETTINGS_MODULE."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "tests.bench.site.wsgi"),
                *("--worker-class", "sync", "--workers", str(WORKERS)),
                # A file of a million rows takes longer than usual where a machine is busy.
                *("--timeout", "300"),
                *("--bind", f"127.0.0.1:{port}", "--log-level", "warning"),
            ],
            stdout=log,
            stderr=log,
            process_group=0,  # Ctrl-C is for the bench; the server stops after it
        )
        try:
            yield Server(port, _workers(process, port))
        finally:
            process.terminate()
            process.wait(timeout=30)
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))


def _workers(process: subprocess.Popen[bytes], port: int) -> tuple[int, ...]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        workers = cpu.children(process.pid)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            if len(workers) == WORKERS:
                return tuple(workers)
        time.sleep(0.1)
    raise RuntimeError("gunicorn did not start")
