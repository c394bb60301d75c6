"""The small parts under the demo: mails, places, secrets, processes."""

from __future__ import annotations

import json
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.mail import EmailMultiAlternatives

from example_site import passwords, place
from example_site.mailbox.store import Store
from example_site.mailbox.web import pieces
from example_site.place import Place
from example_site.supervisor import Broken, Child, Supervisor


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXAMPLE_SITE_VAR", str(tmp_path))
    monkeypatch.delenv("PORT", raising=False)
    return tmp_path


def mail(**headers: str) -> bytes:
    message = EmailMultiAlternatives(
        "Grüße", "Hier: https://a.example/x", to=["bell-04@customer.example"], headers=headers
    )
    message.attach_alternative("<p>Hier</p>", "text/html")
    return message.message().as_bytes()


class TestMails:
    def test_parts_and_folded_headers_are_read_as_a_mail_client_does(self, tmp_path: Path) -> None:
        link = f"https://a.example/prefs/u/{'x' * 300}/"
        store = Store(tmp_path)
        number = store.add(
            mail(**{"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"})
        )
        read = store.get(number)
        assert read
        assert (read.subject, read.to) == ("Grüße", "bell-04@customer.example")
        assert (read.text.strip(), read.html.strip()) == ("Hier: https://a.example/x", "<p>Hier</p>")
        assert read.one_click == link
        assert read.links == ["https://a.example/x"]

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"List-Unsubscribe": "<https://a.example/u/>"},
            {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        ],
    )
    def test_one_click_needs_both_headers(self, tmp_path: Path, headers: dict[str, str]) -> None:
        store = Store(tmp_path)
        read = store.get(store.add(mail(**headers)))
        assert read
        assert read.one_click == ""

    def test_mails_that_come_at_once_are_all_kept(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        with ThreadPoolExecutor(8) as pool:
            numbers = list(pool.map(store.add, [mail()] * 40))
        assert sorted(numbers) == list(range(1, 41)) == Store(tmp_path).numbers()

    def test_a_text_is_cut_into_words_and_links(self) -> None:
        assert pieces("a https://b.example/c d") == [
            ("a ", ""),
            ("https://b.example/c", "https://b.example/c"),
            (" d", ""),
        ]


class TestPlace:
    def test_a_second_terminal_finds_the_demo_that_runs(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert place.current() == Place(8000)
        place.remember(Place(9100))
        assert place.current() == Place(9100)
        monkeypatch.setenv("PORT", "9200")
        assert place.current() == Place(9200)

    @pytest.mark.parametrize("port", ["0", "65530", "eight"])
    def test_a_port_without_room_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, port: str
    ) -> None:
        monkeypatch.setenv("PORT", port)
        with pytest.raises(ValueError, match=port):
            place.wanted()


class TestPasswords:
    def test_processes_that_start_side_by_side_agree(self, folder: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: passwords.load(), range(8)))
        assert len(found) == 1
        assert sorted(path.name for path in folder.iterdir()) == ["secrets.json"]

    def test_they_are_for_the_owner_only_and_differ_from_folder_to_folder(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = passwords.load()
        assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
        monkeypatch.setenv("EXAMPLE_SITE_VAR", str(tmp_path_factory.mktemp("other")))
        second = passwords.load()
        assert not set(json.loads((folder / "secrets.json").read_text()).values()) & {
            second.django,
            second.signing,
            second.webhook,
            second.editor,
        }
        assert first != second


class TestSupervisor:
    def test_what_keeps_stopping_is_named_with_its_last_words(self, tmp_path: Path) -> None:
        said: list[str] = []
        supervisor = Supervisor({}, said.append)
        command = [sys.executable, "-c", "import sys; sys.exit('no luck today')"]
        supervisor.start(Child("The clock", command, tmp_path / "clock.log"))
        try:
            with pytest.raises(Broken, match=r"(?s)The clock keeps stopping \(exit code 1\).*no luck today"):
                _watch(supervisor)
        finally:
            supervisor.stop()
        assert said
        assert all("The clock stopped (exit code 1)" in line for line in said)

    def test_what_does_not_want_to_stop_is_killed_with_its_children(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("example_site.supervisor.STOP_SECONDS", 0.2)
        script = (
            "import os, signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.fork()\n"
            "print('here', flush=True)\n"
            "time.sleep(60)\n"
        )
        log = tmp_path / "stubborn.log"
        child = Child("The mule", [sys.executable, "-c", script], log)
        supervisor = Supervisor({}, print)
        supervisor.start(child)
        while log.read_text().count("here") < 2:
            assert not child.fell_over
        supervisor.stop()
        assert child.process is not None
        assert child.process.returncode == -9


def _watch(supervisor: Supervisor) -> None:
    while True:
        supervisor.look_after()
