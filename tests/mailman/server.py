"""GNU Mailman 3 on loopback for as long as tests need it: its REST server with a SQLite file, and nothing that sends.

It is the real program, from an environment of its own (requirements/mailman.txt): what it answers is what a site gets.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

RUNNER = Path(__file__).resolve().parents[2] / ".venv-mailman" / "bin" / "runner"
SECONDS = 60
DOMAIN = "lists.example.org"
CONFIG = """\
[mailman]
layout: here
[paths.here]
var_dir: {folder}
[database]
url: sqlite:///{folder}/mailman.db
[webservice]
hostname: 127.0.0.1
port: {port}
admin_user: {user}
admin_pass: {password}
[mta]
incoming: mailman.mta.null.NullMTA
"""


class Mailman:
    """One server. `call` speaks to it past our backend."""

    user = "prefs"

    def __init__(self, folder: Path) -> None:
        if not RUNNER.exists():
            pytest.fail("GNU Mailman is not installed: run `make install`.")
        self.folder = folder
        self.password = secrets.token_urlsafe(16)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self._config = folder / "mailman.cfg"
        self._config.write_text(
            CONFIG.format(folder=folder, port=self.port, user=self.user, password=self.password)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._lists = 0

    # --- the program -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, again on the same port with what it had, and wait until it answers."""
        log = self.folder / "runner.log"
        with log.open("ab") as output:
            self._process = process = subprocess.Popen(
                [RUNNER, "-C", self._config, "-r", "rest:0:1"],
                env={"PATH": os.environ["PATH"], "MAILMAN_CONFIG_FILE": str(self._config)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + SECONDS
        pause = threading.Event()
        while not self._answers():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, f"Mailman took too long:\n{log.read_text()}"
            pause.wait(0.05)

    def kill(self) -> None:
        """End it and what it started at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=SECONDS)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.root}/3.1/system/versions", auth=self._auth, timeout=5).ok
        except requests.ConnectionError:
            return False

    # --- what it holds -----------------------------------------------------------------------------------------------

    @property
    def _auth(self) -> tuple[str, str]:
        return self.user, self.password

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The parsed answer; None where there is nothing."""
        answer = requests.request(method, f"{self.root}/3.1{path}", json=body, auth=self._auth, timeout=30)
        if answer.status_code == 404:
            return None
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.text else None

    def make_list(self, **config: Any) -> str:
        """A new, empty list; returns its id."""
        if not self._lists:
            self.call("POST", "/domains", {"mail_host": DOMAIN})
        self._lists += 1
        name = f"list-{self._lists}"
        self.call("POST", "/lists", {"fqdn_listname": f"{name}@{DOMAIN}"})
        if config:
            self.call("PATCH", f"/lists/{name}.{DOMAIN}/config", config)
        return f"{name}.{DOMAIN}"

    def join(self, list_id: str, email: str, **settings: Any) -> int:
        """What she does in Mailman itself; returns the status."""
        body = {"list_id": list_id, "subscriber": email, "send_welcome_message": False, **settings}
        answer = requests.post(f"{self.root}/3.1/members", json=body, auth=self._auth, timeout=30)
        return answer.status_code

    def members(self, list_id: str) -> dict[str, tuple[str, str]]:
        """{address: (mode, status)} of everybody on a list."""
        found = self.call("GET", f"/lists/{list_id}/roster/member") or {}
        return {
            member["email"]: (
                member["delivery_mode"],
                self.call("GET", f"/members/{member['member_id']}/preferences").get(
                    "delivery_status", "enabled"
                ),
            )
            for member in found.get("entries", [])
        }

    def waiting(self, list_id: str) -> list[str]:
        """The addresses that asked to be let on a list."""
        found = self.call("GET", f"/lists/{list_id}/requests")
        return sorted(request["email"] for request in found.get("entries", []))

    def set(self, list_id: str, email: str, **preferences: str) -> None:
        """Settings of a membership, as she or an administrator makes them in Mailman."""
        member = self.call("POST", "/members/find", {"list_id": list_id, "subscriber": email})["entries"][0]
        self.call("PATCH", f"/members/{member['member_id']}/preferences", preferences)

    def knows(self, email: str) -> bool:
        """Whether it has an account with this address."""
        return email in self.addresses()

    def addresses(self) -> set[str]:
        found = self.call("GET", "/addresses")
        return {address["email"] for address in found.get("entries", [])}

    def mails(self) -> int:
        """How many mails it wrote since it was made; nothing sends them."""
        return len(list((self.folder / "queue" / "virgin").glob("*.pck")))

    def forget_everybody(self) -> None:
        for user in self.call("GET", "/users").get("entries", []):
            self.call("DELETE", f"/users/{user['user_id']}")
        for email in self.addresses():
            self.call("DELETE", f"/addresses/{email}")
