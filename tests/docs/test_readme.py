"""The README's code blocks, run in order in an empty directory, as a newcomer would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.docs.blocks import Block, blocks

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PATIENCE = 300.0


class Newcomer:
    """Somebody with a shell. Where she is and what her environment holds lasts from block to block."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.cwd = folder
        self.memory = folder.parent / "memory"
        keep = {"PATH", "HOME", "LANG", "USER"} | {
            name for name in os.environ if name.startswith(("PIP_", "SSL_"))
        }
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        # The package is not on any index yet: pip finds the wheel here, and the versions that we have tested.
        constraints = folder.parent / "constraints.txt"
        pins = re.findall(
            r"^(\S+==\S+(?: ;[^\\]+)?)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE
        )
        constraints.write_text("\n".join(pin.strip() for pin in pins) + "\n")
        found = self.env.get("PIP_FIND_LINKS", "")
        self.env |= {"PIP_FIND_LINKS": f"{found} {wheel.parent}".strip(), "PIP_CONSTRAINT": str(constraints)}

    def run(self, code: str) -> str:
        script = f"set -euo pipefail\n{code}\npwd > {self.memory}.cwd\nenv -0 > {self.memory}.env\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        self.cwd = Path(Path(f"{self.memory}.cwd").read_text().strip())
        pairs = Path(f"{self.memory}.env").read_text().split("\0")
        self.env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.stdout

    def shell(self, code: str) -> str:
        done = subprocess.run(
            ["python", "manage.py", "shell", "--no-imports"],
            input=code,
            cwd=self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        assert "Error" not in done.stderr, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def serve(self, code: str, url: str) -> Iterator[str]:
        """Run a command that does not end by itself; the page at `url` once it answers."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {code.strip()}"],
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while (page := _get(url)) is None:
                assert process.poll() is None, f"{code} ended"
                assert time.monotonic() < deadline, f"{url} does not answer"
                threading.Event().wait(0.2)
            yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            text: str = response.read().decode()
            return text
    except (urllib.error.URLError, OSError):
        return None


def _free_port() -> int:
    """The first of four neighbours that are free, as the demo needs them."""
    for port in range(18000, 28000, 10):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for offset in (0, 1, 2, 3, 25):
                probe = held.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port + offset))
            return port
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def steps() -> list[Block]:
    return list(blocks(README))


def test_the_first_two_commands_are_the_whole_way_in(steps: list[Block]) -> None:
    assert [step.code.strip() for step in steps[:2]] == ["make demo", "make test"]


def test_make_demo_answers(steps: list[Block], tmp_path: Path) -> None:
    port = _free_port()
    newcomer = Newcomer(tmp_path, tmp_path)
    newcomer.cwd = ROOT
    newcomer.env |= {"PORT": str(port), "EXAMPLE_SITE_VAR": str(tmp_path / "var")}
    with newcomer.serve(steps[0].code, f"http://127.0.0.1:{port + 2}/contacts.json"):
        for offset in range(4):
            deadline = time.monotonic() + PATIENCE
            while _get(f"http://127.0.0.1:{port + offset}/") is None:
                assert time.monotonic() < deadline, f"port {port + offset} does not answer"
                threading.Event().wait(0.2)


def test_a_site_made_by_the_readme_serves_and_delivers(
    steps: list[Block], wheel: Path, tmp_path: Path, httpserver: HTTPServer
) -> None:
    received: list[dict[str, object]] = []

    def acme(request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer from your secret store"
        received.extend(json.loads(request.get_data()))
        return Response(status=204)

    httpserver.expect_request("/contacts", method="POST").respond_with_handler(acme)
    empty = tmp_path / "empty"
    empty.mkdir()
    newcomer = Newcomer(empty, wheel)
    said: list[str] = []
    for step in steps[2:]:
        path = newcomer.cwd / step.argument.partition(":")[0]
        match step.verb:
            case "run":
                said.append(newcomer.run(step.code))
            case "append":
                path.write_text(f"{path.read_text()}\n{step.code}")
            case "write":
                assert not path.exists()
                ours = httpserver.url_for("/").rstrip("/")
                path.write_text(step.code.replace("https://api.acme.example", ours))
            case "replace":
                old = step.argument.partition(": ")[2] + "\n"
                text = path.read_text()
                assert text.count(old) == 1
                path.write_text(text.replace(old, step.code))
            case "python":
                said.append(newcomer.shell(step.code))
            case "serve":
                port = _free_port()
                url = step.argument.replace(":8000", f":{port}")
                with newcomer.serve(f"{step.code.strip()} --noreload {port}", url) as page:
                    assert "What may we write about?" in page
            case "show":
                assert step.language == "html"
            case _:
                raise AssertionError(f"line {step.line}: {step.verb}?")
    (mail,) = (text for text in said if "Subject: What is new" in text)  # in development it is printed
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mail
    assert mail.endswith("sent\n")
    links = "".join(text for text in said if text != mail)
    assert re.search(r"http://localhost/prefs/l/v1\.k1\.", links)
    assert "List-Unsubscribe=One-Click" in links
    assert "reader@customer.example" not in links
    assert "no_consent\nsend\n" in links  # asked before and after she ticked the box

    # The backend of the README gets what somebody chooses.
    choose = (
        "from wagtail_prefs.changes import SetChoice\n"
        "from wagtail_prefs.contacts.models import Contact\n"
        "from wagtail_prefs.submissions.services import record\n"
        "from wagtail_prefs.values import Actor, ActorType, Source\n"
        "record(Contact.objects.get().pk, [SetChoice('news', 'email', 'unsubscribed')],\n"
        "       actor=Actor(ActorType.SUBJECT_LINK), source=Source(method='page'))\n"
    )
    settings = newcomer.cwd / "brand" / "settings" / "base.py"
    settings.write_text(f'{settings.read_text()}\nWAGTAIL_PREFS["ALLOW_PRIVATE_HOSTS"] = True\n')
    newcomer.shell(choose)
    newcomer.run("python manage.py prefs_deliver --once")
    assert [contact["choices"] for contact in received] == [{"news": {"email": "unsubscribed"}}]


def test_the_backend_of_the_readme_is_thirty_lines(steps: list[Block]) -> None:
    (module,) = [step.code for step in steps if step.argument == "brand/acme.py"]
    assert len([line for line in module.splitlines() if line.strip()]) <= 30


def test_every_link_leads_somewhere() -> None:
    for page in [README, *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
