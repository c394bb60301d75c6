"""`python -m example_site.run`, what `make demo` runs: prepares the demo and serves all of it until Ctrl-C.

`PORT` (default 8000) is the Wagtail site; the customer's site, the CRM and the mailbox stand on the next three ports,
SMTP on PORT+25. `CRM=mailchimp` adds a stand-in for that platform, with a page on PORT+4. `DATABASE_URL` takes another database than SQLite, `EXAMPLE_SITE_VAR` another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from . import place
from .place import Place
from .platforms.demo import PLATFORMS, chosen
from .supervisor import Broken, Child, Supervisor
from .waiting import CannotStart, accepts, check_ports, read, until

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "example_site" / "manage.py")]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "python:example_site.gunicorn_conf", "example_site.wsgi"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(Exception):
    """Ctrl-C or SIGTERM."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m example_site.run", description=__doc__)
    parser.add_argument(
        "--ready-file", type=Path, help="write what `prefs_demo --json` says there once everything answers"
    )
    options = parser.parse_args(arguments)
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        here = place.wanted()
        alias = chosen()
        check_ports(here, platform=bool(alias))
        _Demo(here, alias).run(options.ready_file)
    except Stop:
        pass
    except (CannotStart, Broken, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    say("Stopped.")
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stop


class _Demo:
    """The whole of it: prepared, started, looked after, stopped."""

    def __init__(self, here: Place, alias: str) -> None:
        self._here = here
        self._alias = alias  # of the marketing platform, "" without one
        self._logs = place.var() / "logs"
        self._logs.mkdir(exist_ok=True)
        self._env = {
            **os.environ,
            "PORT": str(here.port),
            "EXAMPLE_SITE_VAR": str(place.var()),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
        }
        self._supervisor = Supervisor(self._env, say)
        self._crm_was_well = True

    def run(self, ready_file: Path | None) -> None:
        """Returns never; Stop, Broken or CannotStart end it, and then nothing is left running."""
        try:
            facts = self._prepare()
            self._serve()
            if self._alias:
                say(f"Bringing everybody over to {PLATFORMS[self._alias].label} ...")
                self._manage("prefs_backfill", self._alias)
                facts["platform"] = {"alias": self._alias, "url": self._here.platform}
            print(_welcome(self._here, facts), flush=True)
            if ready_file:
                _publish(ready_file, facts)
            say("Ready.")
            while True:
                self._supervisor.look_after()
                self._nudge_after_an_outage()
                time.sleep(0.5)
        finally:
            # A second Ctrl-C must not stop the stopping.
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            self._supervisor.stop()
            if ready_file:
                ready_file.unlink(missing_ok=True)

    def _prepare(self) -> dict[str, Any]:
        say("Preparing the database ...")
        self._manage("migrate", "--verbosity", "0")
        # The newsletter goes out by SMTP, so the mailbox comes first.
        self._start("mailbox", "The mailbox", [sys.executable, "-m", "example_site.mailbox"])
        self._wait_for_page(f"{self._here.mailbox}/mails.json")
        port = self._here.smtp_port
        until(partial(accepts, port), f"SMTP on port {port}", meanwhile=self._supervisor.look_after)
        say("Preparing the demo content ...")
        facts: dict[str, Any] = json.loads(self._manage("prefs_demo", "--json"))
        place.remember(self._here)
        return facts

    def _serve(self) -> None:
        self._start("crm", "The CRM", [sys.executable, "-m", "example_site.crm"])
        self._start("customer", "The customer's site", [sys.executable, "-m", "example_site.customer"])
        self._start("site", "The site", GUNICORN)
        if self._alias:
            command = [sys.executable, "-m", "example_site.platforms", self._alias]
            self._start("platform", PLATFORMS[self._alias].label, command)
            self._wait_for_page(f"{self._here.platform}/")
        self._start("worker", "The delivery worker", [*MANAGE, "prefs_deliver", "--loop"])
        for url in (f"{self._here.crm}/contacts.json", f"{self._here.customer}/", f"{self._here.site}/"):
            self._wait_for_page(url)

    def _nudge_after_an_outage(self) -> None:
        """Do what an operator does when a platform is back: the pauses between tries grow long (up to a day)."""
        well = read(f"{self._here.crm}/health") is not None
        if well and not self._crm_was_well:
            say("The CRM is back: what waited for it is delivered now.")
            self._run_manage(
                "prefs_deliver", "--once", "--now"
            )  # what still fails is tried again by the worker
        self._crm_was_well = well

    def _start(self, log: str, name: str, command: list[str]) -> None:
        self._supervisor.start(Child(name, command, self._logs / f"{log}.log"))

    def _wait_for_page(self, url: str) -> None:
        until(lambda: read(url) is not None, url, meanwhile=self._supervisor.look_after)

    def _manage(self, *arguments: str) -> str:
        result = self._run_manage(*arguments)
        if result.returncode:
            raise CannotStart(f"`manage.py {' '.join(arguments)}` failed; what it said stands above.")
        return result.stdout

    def _run_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own commands
            [*MANAGE, *arguments],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            process_group=0,  # Ctrl-C is ours to handle
        )


def _publish(path: Path, facts: dict[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(facts))
    draft.replace(path)


def _welcome(here: Place, facts: dict[str, Any]) -> str:
    admin = facts["admin"]
    lines = [
        "",
        f"  The site             {facts['site']}/",
        f"  Customer's site      {facts['customer_site']}/",
        f"  CRM                  {facts['crm']}/",
        *(
            [f"  {PLATFORMS[facts['platform']['alias']].label:<20} {here.platform}/"]
            if "platform" in facts
            else []
        ),
        f"  Mailbox              {here.mailbox}/   (SMTP on port {here.smtp_port})",
        f"  Admin                {admin['url']}   user {admin['user']}, password {admin['password']}",
        "",
        "  Preference center",
        *(f"    {center['url']}" for center in facts["centers"]),
        "",
        "  Ready links (everybody's are in the mailbox)",
    ]
    for person in facts["contacts"][:3]:
        lines += [
            f"    {person['email']}",
            f"      on the site            {person['manage_url']}",
            f"      on the customer's site {person['embed_url']}",
        ]
    return "\n".join([*lines, "", f"  Ctrl-C stops everything. The data stays in {place.var()}", ""])


if __name__ == "__main__":
    sys.exit(main())
