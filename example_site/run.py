"""`python -m example_site.run`, what `make demo` runs: prepares the demo and serves all of it until Ctrl-C.

`PORT` (default 8000) is the Wagtail site; the customer's site, the CRM and the mailbox stand on the next three ports,
SMTP on PORT+25. `DATABASE_URL` takes another database than SQLite, `EXAMPLE_SITE_VAR` another folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any

from . import place
from .place import HOST, Place
from .supervisor import Broken, Child, Supervisor

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "example_site" / "manage.py")]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "python:example_site.gunicorn_conf", "example_site.wsgi"]
START_SECONDS = 90


class Stop(Exception):
    """Ctrl-C or SIGTERM."""


class CannotStart(Exception):
    """The message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m example_site.run", description=__doc__)
    parser.add_argument("--ready-file", type=Path, help="write the demo's facts there as JSON once all answers")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        here = place.wanted()
        _check_ports(here)
        _run(here, options.ready_file)
    except Stop:
        pass
    except (CannotStart, Broken, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    say("Stopped.")
    return 0


def _run(here: Place, ready_file: Path | None) -> None:
    env = {
        **os.environ,
        "PORT": str(here.port),
        "EXAMPLE_SITE_VAR": str(place.var()),
        "DJANGO_SETTINGS_MODULE": "example_site.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
    logs = place.var() / "logs"
    logs.mkdir(exist_ok=True)
    supervisor = Supervisor(env, say)
    try:
        say("Preparing the database ...")
        _manage(env, "migrate", "--verbosity", "0")
        # The demo sends its newsletter by SMTP, so the mailbox comes first.
        supervisor.start(Child("The mailbox", _module("mailbox"), logs / "mailbox.log"))
        _wait(supervisor, f"{here.mailbox}/mails.json")
        _wait_for_port(supervisor, here.smtp_port)
        say("Preparing the demo content ...")
        facts = json.loads(_manage(env, "prefs_demo", "--json"))
        place.remember(here)
        supervisor.start(Child("The CRM", _module("crm"), logs / "crm.log"))
        supervisor.start(Child("The customer's site", _module("customer"), logs / "customer.log"))
        supervisor.start(Child("The site", GUNICORN, logs / "site.log"))
        supervisor.start(Child("The delivery worker", [*MANAGE, "prefs_deliver", "--loop"], logs / "worker.log"))
        for url in (f"{here.crm}/contacts.json", f"{here.customer}/", f"{here.site}/"):
            _wait(supervisor, url)
        print(_welcome(here, facts), flush=True)
        if ready_file:
            _publish(ready_file, facts)
        say("Ready.")
        while True:
            supervisor.look_after()
            time.sleep(0.5)
    finally:
        # A second Ctrl-C must not stop the stopping.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()
        if ready_file:
            ready_file.unlink(missing_ok=True)


def say(text: str) -> None:
    print(text, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stop


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"example_site.{name}"]


def _manage(env: dict[str, str], *arguments: str) -> str:
    result = subprocess.run(  # noqa: S603 - our own commands
        [*MANAGE, *arguments], env=env, stdout=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        raise CannotStart(f"`manage.py {' '.join(arguments)}` failed; what it said stands above.")
    return result.stdout


def _check_ports(here: Place) -> None:
    wanted = {
        here.port: "the site",
        here.customer_port: "the customer's site",
        here.crm_port: "the CRM",
        here.mailbox_port: "the mailbox",
        here.smtp_port: "SMTP",
    }
    taken = [f"  {port} ({what})" for port, what in wanted.items() if not _is_free(port)]
    if taken:
        raise CannotStart(
            "These ports are taken:\n"
            + "\n".join(taken)
            + f"\nStop what uses them, or choose others: PORT={here.port + 100} make demo"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait(supervisor: Supervisor, url: str) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError, urllib.error.URLError):
            with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - our own address
                return True
        return False

    _until(supervisor, answers, url)


def _wait_for_port(supervisor: Supervisor, port: int) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5):
            return True
        return False

    _until(supervisor, answers, f"port {port}")


def _until(supervisor: Supervisor, condition: Any, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        supervisor.look_after()
        if time.monotonic() > deadline:
            raise CannotStart(f"{what} did not answer within {START_SECONDS} seconds; see {place.var() / 'logs'}")
        time.sleep(0.1)


def _publish(path: Path, facts: dict[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(facts))
    draft.replace(path)


def _welcome(here: Place, facts: dict[str, Any]) -> str:
    admin = facts["admin"]
    people = facts["contacts"][:3]
    lines = [
        "",
        f"  The site             {facts['site']}",
        f"  Customer's site      {facts['customer_site']}",
        f"  CRM                  {facts['crm']}",
        f"  Mailbox              {here.mailbox}/   (SMTP on port {here.smtp_port})",
        f"  Admin                {admin['url']}   user {admin['user']}, password {admin['password']}",
        "",
        "  Preference centers",
        *(f"    {center['slug']:<18} {center['url']}" for center in facts["centers"]),
        "",
        "  Ready links (every contact's are in the mailbox)",
    ]
    for person in people:
        lines += [
            f"    {person['email']}",
            f"      own page         {person['manage_url']}",
            f"      customer's site  {person['embed_url']}",
        ]
    lines += ["", "  Ctrl-C stops everything. The data stays in " + str(place.var()), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
