"""Starting, falling over, stopping, starting again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import requests

from .conftest import ROOT, Demo, until


def test_a_second_start_keeps_everything_and_a_stop_leaves_nothing(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    demo.start()
    facts, contact = demo.facts, demo.facts["contacts"][6]
    requests.post(contact["one_click_url"], data={"List-Unsubscribe": "One-Click"}, timeout=20).raise_for_status()
    versions = demo.versions()
    until(lambda: {key: entry["version"] for key, entry in demo.known().items()} == versions)
    assert demo.stop() == 0
    assert demo.processes() == []
    assert demo.output.endswith("Stopped.\n")

    demo.start()
    assert demo.versions() == versions
    assert {key: entry["version"] for key, entry in demo.known().items()} == versions
    assert len(demo.mails()) == 25
    assert demo.facts["admin"] == facts["admin"]
    assert demo.facts["centers"] == facts["centers"]

    # The newsletter goes out again only when asked for.
    demo.manage("prefs_demo", "--mail")
    assert len(demo.mails()) == 50
    assert demo.stop(signal.SIGINT) == 0
    assert demo.processes() == []


def test_another_port_moves_all_addresses(make_demo: Callable[[], Demo]) -> None:
    demo, elsewhere = make_demo(), make_demo().place
    demo.manage("migrate", "--verbosity", "0")
    demo.manage("prefs_demo", "--no-mail")
    demo.place = elsewhere
    demo.manage("prefs_demo", "--no-mail")
    code = (
        "from wagtail_prefs.centers.models import PublishedCenter as P; "
        "print(*sorted((p.page_url, *p.host_pages, *p.origins) for p in P.objects.all()), sep='\\n')"
    )
    rows = demo.manage("shell", "--no-imports", "-c", code).stdout.splitlines()
    site, customer = elsewhere.site, elsewhere.customer
    assert rows == [
        str((f"{site}/de/ihre-post/", f"{customer}/de/", site, customer)),
        str((f"{site}/your-post/", f"{customer}/", site, customer)),
    ]


def test_what_falls_over_is_started_again(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    demo.start()
    (crm,) = (pid for pid in demo.processes() if b"example_site.crm" in _command(pid))
    os.kill(crm, signal.SIGKILL)
    until(lambda: "The CRM stopped (exit code -9) and is started again" in demo.output)
    until(lambda: _answers(f"{demo.place.crm}/contacts.json"))


def test_a_killed_runner_takes_its_processes_along(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    demo.start()
    demo.stop(signal.SIGKILL)
    until(lambda: not demo.processes())


def test_a_taken_port_is_named(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", demo.place.crm_port))
        squatter.listen()
        result = subprocess.run(
            [sys.executable, "-m", "example_site.run"],
            cwd=ROOT,
            env=demo.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert result.returncode == 1
    assert f"{demo.place.crm_port} (the CRM)" in result.stderr
    assert "PORT=" in result.stderr


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
