"""The element's script: one address for ever, one that leads to the newest, and the code for host pages."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from django.test import Client

from tests import pages
from wagtail_prefs.centers import embed
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import current

BODY = b"export const built = true;\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "preference-center.js"
    path.write_bytes(BODY)
    monkeypatch.setattr(embed, "SCRIPT", path)
    return path


def test_the_newest_leads_to_a_version_that_never_changes(client: Client, script: Path) -> None:
    newest = client.get("/prefs/embed.js")
    assert newest.status_code == 302
    assert newest["Cache-Control"] == "public, max-age=300"
    versioned = client.get(newest["Location"])
    assert versioned.content == BODY
    assert versioned["Content-Type"].startswith("text/javascript")
    assert versioned["Cache-Control"] == "public, max-age=31536000, immutable"
    for response in (newest, versioned):
        assert response["Access-Control-Allow-Origin"] == "*"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_new_build_is_a_new_version(client: Client, script: Path, db: None) -> None:
    before = client.get("/prefs/embed.js")["Location"]
    script.write_bytes(BODY + b"// more\n")
    after = client.get("/prefs/embed.js")["Location"]
    assert before != after
    assert client.get(before).status_code == 404
    assert client.get(after).content == BODY + b"// more\n"


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "builds"
    folder.mkdir()
    monkeypatch.setattr(embed, "BUILDS", folder)
    return folder


def keep(builds: Path, body: bytes) -> str:
    version = hashlib.sha384(body).hexdigest()[:16]
    (builds / f"{version}.js").write_bytes(body)
    return version


@pytest.mark.parametrize("built", [True, False], ids=["built", "not built"])
def test_an_embed_code_of_an_earlier_release_goes_on_working(
    client: Client, script: Path, builds: Path, built: bool
) -> None:
    old = keep(builds, b"export const old = true;\n")
    if not built:
        script.unlink()
    response = client.get(f"/prefs/embed/{old}.js")
    assert (response.status_code, response.content) == (200, b"export const old = true;\n")
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Content-Type"].startswith("text/javascript")


def test_the_newest_is_never_an_old_one(client: Client, script: Path, builds: Path) -> None:
    old = keep(builds, b"export const old = true;\n")
    assert old not in client.get("/prefs/embed.js")["Location"]


def test_a_kept_file_that_was_changed_is_not_given_out(
    client: Client, script: Path, builds: Path, db: None
) -> None:
    old = keep(builds, b"export const old = true;\n")
    assert client.get(f"/prefs/embed/{old}.js").status_code == 200
    (builds / f"{old}.js").write_bytes(b"steal();\n")
    assert client.get(f"/prefs/embed/{old}.js").status_code == 404


@pytest.mark.parametrize(
    "version",
    [
        "0123456789abcdef",
        "releases",
        "..%2fbuilds%2f",
        "%2e%2e",
        "0123456789ABCDEF",
        "٠" * 16,
        "a" * 5000,
        "a%00",
    ],
)
def test_a_version_that_nobody_has_leaves_the_host_page_its_own_children(
    client: Client, script: Path, builds: Path, db: None, version: str
) -> None:
    """A 404 that the page's own script may read, and that no cache keeps: the next process may know it."""
    (builds / "releases.js").write_bytes(b"{}")
    response = client.get(f"/prefs/embed/{version}.js")
    assert response.status_code == 404
    if "%2f" not in version:  # a slash leads to no address of ours
        assert response["Access-Control-Allow-Origin"] == "*"
        assert response["Cache-Control"] == "no-store"
        assert response["Content-Type"].startswith("text/plain")
        assert version not in response.content.decode()


@pytest.mark.parametrize("path", ["/prefs/embed.js", "/prefs/embed/0123456789abcdef.js"])
def test_what_was_not_built_is_not_found(client: Client, script: Path, path: str, db: None) -> None:
    script.unlink()
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_it_can_only_be_read(client: Client, script: Path, method: str) -> None:
    assert client.generic(method, "/prefs/embed.js").status_code == 405


def test_the_code_for_a_host_page_pins_script_and_hash(
    client: Client, script: Path, center: PreferenceCenterPage
) -> None:
    snippet = pages.parse(embed.embed_snippet(current(center.translation_key, "en")))
    tag = snippet.one("script")
    assert tag.get("type") == "module"
    assert "crossorigin" in tag
    served = client.get(str(tag.get("src")).removeprefix("http://localhost")).content
    digest = base64.b64encode(hashlib.sha384(served).digest()).decode()
    assert tag.get("integrity") == f"sha384-{digest}"
    element = snippet.one("preference-center")
    source = str(element.get("src"))
    assert source == f"http://localhost/prefs/api/v1/centers/{center.translation_key}/"
    assert client.get(source.removeprefix("http://localhost")).json()["title"] == center.title
    assert element.get("locale") == "en"
    # Until the script runs, and where it never does, there is a link.
    assert element.one("a").get("href") == center.full_url
    assert element.one("a").words == "Manage your preferences"


def test_the_built_script_has_the_hash_that_the_build_wrote() -> None:
    if not embed.SCRIPT.exists():
        pytest.fail("The element is not built: run `make install`.")
    written = (embed.SCRIPT.parent / "integrity.json").read_text()
    assert embed.element().integrity in json.dumps(json.loads(written))
    assert re.fullmatch(r"[0-9a-f]{16}", embed.element().version)
