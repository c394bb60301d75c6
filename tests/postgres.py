"""Runs a command with a PostgreSQL of its own: `python -m tests.postgres -- pytest ...`.

The cluster is made from the installed binaries in a temporary folder, listens on loopback only, syncs nothing to the
disk, and is gone when the command ends. The command finds it in DATABASE_URL. Settings are read before any fixture
runs, so this stands around pytest and not inside it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 60
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # A cluster that lives for one run need not survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "lc_messages": "C",
}


class PostgresMissing(Exception):
    pass


@contextlib.contextmanager
def cluster(**settings: str) -> Iterator[str]:
    """Yields the URL of a running, empty cluster's maintenance database; `settings` overrule OPTIONS."""
    binaries = _binaries()
    account = _account()
    with tempfile.TemporaryDirectory(prefix="prefs-postgres-") as folder:
        home = Path(folder)
        password = secrets.token_hex(16)
        secret = home / "password"
        secret.write_text(password)
        if account:
            user = account["user"]
            for path in (home, secret):
                shutil.chown(path, user)
        data = home / "data"
        subprocess.run(
            [
                binaries / "initdb",
                *("--pgdata", data),
                *("--username", "prefs", "--pwfile", secret, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=home,
            **account,
        )
        port = _free_port()
        options = [
            argument
            for name, value in {**OPTIONS, **settings}.items()
            for argument in ("-c", f"{name}={value}")
        ]
        log = home / "postgres.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), *options],
                stdout=output,
                stderr=output,
                cwd=home,
                process_group=0,  # Ctrl-C is for the command; the server stops after it
                **account,
            )
            try:
                _wait(binaries, port, server, log)
                yield f"postgres://prefs:{password}@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(signal.SIGINT)  # "fast": open connections are closed
                try:
                    server.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    server.send_signal(signal.SIGQUIT)
                    server.wait()


def _binaries() -> Path:
    """The newest installed PostgreSQL. Debian keeps the servers out of the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    raise PostgresMissing(
        "No PostgreSQL server is installed: run `make install`, or `apt-get install postgresql`."
    )


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise PostgresMissing("Started as root, and there is no user `postgres` to run the server as.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(binaries: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ready = [binaries / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port)]
    while subprocess.run(ready, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.05)


def main(arguments: list[str]) -> int:
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print(__doc__)
        return 2
    # A terminated run must not leave a server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with cluster() as url:
            return subprocess.run(command, check=False, env={**os.environ, "DATABASE_URL": url}).returncode
    except PostgresMissing as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
