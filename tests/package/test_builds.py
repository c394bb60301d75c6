"""What was released stays: the element's scripts that embed codes out there name (wagtail_prefs/builds)."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

import wagtail_prefs
from tests.package.conftest import ROOT
from wagtail_prefs.centers import embed
from wagtail_prefs.centers.embed import BUILDS, build


def forgotten(changelog: str, releases: dict[str, str | None]) -> set[str]:
    """The releases of a changelog whose script nobody kept."""
    return set(re.findall(r"^## \[?(\d+\.\d+\.\d+\S*?)\]?(?: |$)", changelog, re.MULTILINE)) - releases.keys()


def test_every_release_has_its_script() -> None:
    releases = json.loads((BUILDS / "releases.json").read_text())
    assert forgotten((ROOT / "CHANGELOG.md").read_text(), releases) == set(), "run `npm run keep`"
    for version in filter(None, releases.values()):  # null is one that was taken back
        assert build(version).version == version


def test_a_release_without_is_noticed() -> None:
    changelog = "## Unreleased\n\n### Added\n\n## 1.1.0 - 2027-01-01\n\n## [1.0.0]\n"
    assert forgotten(changelog, {"1.0.0": "0123456789abcdef"}) == {"1.1.0"}


def test_every_kept_script_is_what_its_name_says_and_belongs_to_a_release() -> None:
    kept = {path.stem: hashlib.sha384(path.read_bytes()).hexdigest()[:16] for path in BUILDS.glob("*.js")}
    assert kept == {name: name for name in kept}
    assert kept.keys() == set(json.loads((BUILDS / "releases.json").read_text()).values()) - {None}


def test_a_release_keeps_the_script_under_the_name_that_embed_codes_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`npm run keep`, and the next release without that script."""
    built = embed.element()
    node = ROOT / "frontend" / "node_modules" / ".bin" / "node"
    subprocess.run(
        [node, "scripts/keep.ts", tmp_path], cwd=ROOT / "frontend", check=True, capture_output=True
    )
    assert json.loads((tmp_path / "releases.json").read_text()) == {wagtail_prefs.__version__: built.version}
    monkeypatch.setattr(embed, "BUILDS", tmp_path)
    monkeypatch.setattr(embed, "SCRIPT", tmp_path / "none.js")
    assert build(built.version).integrity == built.integrity


def test_the_index_is_in_the_wheel(wheel_names: set[str]) -> None:
    assert "wagtail_prefs/builds/releases.json" in wheel_names
