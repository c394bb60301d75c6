"""What the repository itself promises: locked and hashed tools, no registry in a committed file, one copy of the blocks."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import wagtail_prefs

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^(?P<name>[a-z0-9-]+(\[[a-z,-]+\])?)==(?P<version>[^ ;]+)(?P<marker>[^\\]*)", re.MULTILINE)


def pins(path: Path) -> set[tuple[str, str, str]]:
    return {
        (match["name"], match["version"], match["marker"].strip()) for match in PIN.finditer(path.read_text())
    }


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_hashed_and_name_no_registry(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^--(?!hash)", text, re.MULTILINE), "an option such as --index-url"
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    for requirement in requirements:
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_the_smaller_requirements_are_a_part_of_the_larger() -> None:
    versions = {(name, version) for name, version, _ in pins(ROOT / "requirements" / "dev.txt")}
    for name, version, _ in pins(ROOT / "requirements" / "test.txt"):
        assert (name, version) in versions


@pytest.mark.parametrize("path", sorted(ROOT.glob("frontend/package-lock.json")), ids=lambda path: path.name)
def test_the_lock_of_the_element_is_hashed_and_names_no_registry(path: Path) -> None:
    text = path.read_text()
    # npm adds who pays for a package, with addresses: `npm pkg` knows no switch for it, so they are taken out by hand.
    assert "://" not in text
    packages = json.loads(text)["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert not name or "integrity" in package, name


def test_the_blocks_stand_once() -> None:
    link = ROOT / "wagtail_prefs" / "blocks"
    assert link.is_symlink()
    assert link.readlink() == Path("../blocks")


def test_package_and_project_say_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == wagtail_prefs.__version__


def test_the_changelog_is_open_for_the_next_change() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
