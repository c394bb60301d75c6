"""From the wheel to a served preference center, on a site that `wagtail start` made and with nothing of the checkout."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.package.conftest import Environment

SETTINGS = """

INSTALLED_APPS += ["wagtail_prefs", "rest_framework", "wagtail.contrib.settings"]
WAGTAIL_PREFS = {
    "SIGNING_KEYS": [{"kid": "k1", "key": "a key for this test only, of 32 bytes or more", "created": "2026-01-01"}],
    "SENDERS": {"email": {"default": "decide"}},
}
"""

PUBLISH = """
from wagtail.models import Site
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.topics.models import Topic, TopicText
from wagtail_prefs.topics.services import audience_for_site

site = Site.objects.get(is_default_site=True)
topic = Topic(audience=audience_for_site(site), key="news", channels=["email"])
topic.texts = [TopicText(locale=site.root_page.locale, label="News of the house")]
topic.save()
page = PreferenceCenterPage(
    title="Your preferences",
    slug="preferences",
    body=[
        ("topics", {"heading": "What would you like to get?", "topics": [topic], "channels": ["email"]}),
        ("unsubscribe_all", {"heading": "Nothing any more?"}),
    ],
)
site.root_page.add_child(instance=page)
page.save_revision().publish()
print(page.translation_key)
"""


class Site:
    """A site in a folder of its own, and its process."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.manage_py = folder / "manage.py"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        return self.environment.call(self.manage_py, *arguments, cwd=self.folder)

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        log = self.folder / "server.log"
        address = f"127.0.0.1:{self.port}"
        server = self.environment.start(
            self.manage_py, "runserver", "--noreload", address, cwd=self.folder, log=log
        )
        try:
            _wait(self.port, server, log)
            yield
        finally:
            server.terminate()
            server.wait(timeout=20)

    def get(self, path: str) -> tuple[int, Any, str]:
        with urllib.request.urlopen(self.url + path, timeout=20) as response:
            return response.status, response.headers, response.read().decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def site(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """`wagtail start`, and what the README says: three apps, one setting, one line of URLs, `migrate`."""
    folder = tmp_path_factory.mktemp("project") / "mysite"
    folder.mkdir()
    start = "import sys; from wagtail.bin.wagtail import main; sys.argv[0] = 'wagtail'; main()"
    environment.call("-c", start, "start", "mysite", str(folder), cwd=folder)
    settings = folder / "mysite" / "settings" / "base.py"
    settings.write_text(settings.read_text() + SETTINGS)
    urls = folder / "mysite" / "urls.py"
    text = urls.read_text()
    assert "urlpatterns = [\n" in text
    urls.write_text(
        text.replace(
            "urlpatterns = [\n", 'urlpatterns = [\n    path("prefs/", include("wagtail_prefs.urls")),\n', 1
        )
    )
    site = Site(environment, folder)
    site.manage("migrate", "--verbosity=0")
    return site


@pytest.fixture(scope="module")
def center(site: Site) -> Iterator[str]:
    """The identifier of a center that was published by Python, on the running site."""
    key = site.manage("shell", "--verbosity=0", "-c", PUBLISH).strip().splitlines()[-1]
    with site.serve():
        yield key


def test_the_site_needs_no_migration_of_its_own(site: Site) -> None:
    site.manage("makemigrations", "--check", "--dry-run")


def test_the_checks_find_no_error(site: Site) -> None:
    site.manage("check")


def test_the_document_is_served(site: Site, center: str) -> None:
    status, headers, body = site.get(f"/prefs/api/v1/centers/{center}/")
    assert status == 200
    assert headers["ETag"]
    document = json.loads(body)
    assert [block["type"] for block in document["blocks"]] == ["topics", "unsubscribe_all"]
    assert "News of the house" in body


def test_the_page_is_served(site: Site, center: str) -> None:
    status, _, body = site.get("/preferences/")
    assert status == 200
    assert "News of the house" in body


def test_the_element_is_served(site: Site, center: str) -> None:
    status, headers, body = site.get("/prefs/embed.js")
    assert status == 200
    assert "javascript" in headers["Content-Type"]
    assert "preference-center" in body


def test_the_admin_is_served(site: Site, center: str) -> None:
    status, _, _ = site.get("/admin/login/")
    assert status == 200
