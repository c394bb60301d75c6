"""Starting, falling over, stopping, starting again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from .conftest import ROOT, Demo, until


def test_a_life_with_a_fall_a_stop_a_move_and_a_kill(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    demo.start()
    before, contact = demo.facts, demo.facts["contacts"][6]

    # What falls over is started again.
    (crm,) = (pid for pid in demo.processes() if b"example_site.crm" in _command(pid))
    os.kill(crm, signal.SIGKILL)
    until(lambda: "The CRM stopped (exit code -9) and is started again" in demo.output)
    until(lambda: _answers(f"{demo.place.crm}/contacts.json"))

    # What was acknowledged arrives.
    requests.post(
        contact["one_click_url"], data={"List-Unsubscribe": "One-Click"}, timeout=20
    ).raise_for_status()
    versions = demo.versions()
    until(lambda: {key: entry["version"] for key, entry in demo.known().items()} == versions)

    # A stop leaves no process, whatever started it.
    assert demo.stop() == 0
    assert demo.processes() == []
    assert demo.output.endswith("Stopped.\n")

    # A second start, on other ports, keeps all data and moves all addresses.
    demo.place = make_demo().place
    demo.start()
    assert demo.versions() == versions
    assert {key: entry["version"] for key, entry in demo.known().items()} == versions
    assert demo.facts["site"] == demo.place.site
    assert demo.facts["admin"]["password"] == before["admin"]["password"]
    assert [center["id"] for center in demo.facts["centers"]] == [
        center["id"] for center in before["centers"]
    ]
    assert (
        requests.get(demo.facts["contacts"][0]["embed_url"], allow_redirects=False, timeout=20)
        .headers["Location"]
        .startswith(f"{demo.place.customer}/#pc=")
    )
    rows = demo.query(
        "SELECT page_url, host_pages, origins FROM wagtail_prefs_publishedcenter ORDER BY page_url"
    )
    for (page_url, host_pages, origins), path in zip(rows, ("/de/", "/"), strict=True):
        assert page_url.startswith(f"{demo.place.site}/")
        assert _list(host_pages) == [f"{demo.place.customer}{path}"]
        assert _list(origins) == [demo.place.site, demo.place.customer]

    # The newsletter has links, so it went out once more from the new address; else only when asked for.
    assert len(demo.mails()) == 50
    demo.manage("prefs_demo", "--mail")
    assert len(demo.mails()) == 75

    # A runner that is killed takes its processes along.
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


def _list(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
