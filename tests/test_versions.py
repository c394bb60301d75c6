"""No release with a known hole is locked, and a site that runs one is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from wagtail_prefs import versions
from wagtail_prefs.versions import MINIMUMS, check_versions, is_older

ROOT = Path(__file__).resolve().parent.parent
PINS = [
    pytest.param(name, version, id=f"{path.name}:{name}=={version}")
    for path in sorted((ROOT / "requirements").glob("*.txt"))
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE)
]


def known() -> dict[str, str]:
    """Package, in the spelling of a lock, and the release that closed its last hole we know of."""
    listed = tomllib.loads((ROOT / "requirements" / "advisories.toml").read_text())
    return {name: entry["minimum"] for name, entry in listed.items()}


def test_the_locks_hold_what_is_listed() -> None:
    locked = {str(pin.values[0]) for pin in PINS}
    assert set(known()) <= locked, "a package that nobody locks any more"
    assert {name.lower() for name in MINIMUMS} <= set(known())


@pytest.mark.parametrize(("name", "version"), [pin for pin in PINS if pin.values[0] in known()])
def test_no_lock_holds_a_release_with_a_hole(name: str, version: str) -> None:
    assert not is_older(version, known()[name])


@pytest.mark.parametrize(
    ("installed", "minimum", "older"),
    [
        ("5.2.18", "5.2.19", True),
        ("5.2.19", "5.2.19", False),
        ("5.10", "5.9.9", False),
        ("6.1rc1", "5.2.19", False),
        ("5.2", "5.2.19", True),
        ("unknown", "1", True),
    ],
)
def test_releases_are_compared_by_their_numbers(installed: str, minimum: str, older: bool) -> None:
    assert is_older(installed, minimum) is older


def test_a_site_with_an_old_release_is_told_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_versions() == []
    monkeypatch.setitem(MINIMUMS, "bleach", "99.1")
    (warning,) = check_versions()
    assert warning.id == "wagtail_prefs.W006"
    assert warning.hint is not None and "bleach>=99.1" in warning.hint


def test_a_package_that_is_not_installed_here_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MINIMUMS", {"no-such-package-here": "1"})
    assert check_versions() == []


def test_the_package_itself_asks_for_no_less() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name, minimum in MINIMUMS.items():
        (given,) = (text for text in asked if text.lower().startswith(f"{name.lower()}>="))
        floor = given.split(">=")[1].split(",")[0]
        assert not is_older(f"{floor}.0", minimum), given
