"""How many requests a visit costs, counted at the server: Playwright would not do, for it turns the cache of preflights off."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_started
from pytest_django.live_server_helper import LiveServer
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests import factories
from tests.example_site.conftest import until
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers.services import current
from wagtail_prefs.ledger.models import Record

#: Loads, saves three times, each time what the page then shows, and says so.
HOST_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A host</title>
<script type="module" src="{site}/prefs/embed.js" crossorigin></script>
<preference-center src="{site}/prefs/api/v1/centers/{center}/" locale="en"></preference-center>
<script>
  const element = document.querySelector('preference-center');
  const told = [];
  const change = () => {{
    element.shadowRoot.querySelector('[id$=".choices.news.email"]').click();
    element.shadowRoot.querySelector('[part=save]').click();
  }};
  const tell = (name) => fetch('/told?' + name);
  element.addEventListener('preference-center-loaded', async (event) => {{
    if (event.detail.phase !== 'open') return tell('not-open');
    await tell('loaded');
    change();
  }});
  element.addEventListener('preference-center-saved', async () => {{
    told.push(1);
    await tell('saved-' + told.length);
    if (told.length < 3) setTimeout(change);
  }});
  element.addEventListener('preference-center-failed', () => tell('failed'));
</script></html>"""


def split(happened: list[str], *marks: str) -> list[list[str]]:
    """What happened before each mark."""
    parts, rest = [], happened
    for mark in marks:
        at = rest.index(mark)
        parts.append(rest[:at])
        rest = rest[at + 1 :]
    return parts


@contextlib.contextmanager
def bare(chromium: str, args: list[str], profile: Path, url: str) -> Iterator[None]:
    """A browser that nobody looks into: no DevTools, so it works as it does for people."""
    command = [chromium, "--headless=new", f"--user-data-dir={profile}", *args, url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.django_db(transaction=True)
def test_what_a_visit_asks_for(
    live_server: LiveServer,
    httpserver: HTTPServer,
    chromium: str,
    browser_type_launch_args: dict[str, Any],
    tmp_path: Path,
) -> None:
    """First load: two requests and one preflight. First save: one preflight more at most. From then on none."""
    host = f"http://localhost:{httpserver.port}"
    page = factories.make_center(site=factories.make_site(origins=[host]))
    token = access.make_token(Purpose.MANAGE, factories.make_contact(), center=page.translation_key)
    assert host in current(page.translation_key, "en").origins
    code = access.make_code(access.open_link(token, Purpose.MANAGE), page.translation_key, host)

    happened: list[str] = []
    api = f"/prefs/api/v1/centers/{page.translation_key}/"

    def count(environ: dict[str, Any], **_: Any) -> None:
        if environ["PATH_INFO"].startswith(api):
            happened.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix(api)}".strip())

    def tell(request: Request) -> Response:
        happened.append(request.query_string.decode())
        return Response(status=204)

    markup = HOST_PAGE.format(site=live_server.url, center=page.translation_key)
    httpserver.expect_request("/").respond_with_data(markup, content_type="text/html")
    httpserver.expect_request("/told").respond_with_handler(tell)
    request_started.connect(count)
    try:
        with bare(chromium, browser_type_launch_args["args"], tmp_path, f"{host}/#pc={code}"):
            until(lambda: {"saved-3", "failed", "not-open"} & set(happened))
    finally:
        request_started.disconnect(count)

    loading, first, second, third = split(happened, "loaded", "saved-1", "saved-2", "saved-3")
    assert sorted(loading) == ["GET", "OPTIONS sessions/", "POST sessions/"]
    assert first == ["OPTIONS preferences/", "PATCH preferences/"]
    assert second == third == ["PATCH preferences/"]
    assert Record.objects.count() == 3
