"""Which file holds: the shipped one or the site's, read again when it changes, and what the check says of it."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from django.core.checks.registry import registry

from wagtail_prefs.conf import check_settings
from wagtail_prefs.law.checks import check_law
from wagtail_prefs.law.services import SHIPPED, BadLaw, current, load

TEXT = SHIPPED.read_text()


@pytest.fixture
def own(tmp_path: Path, settings: Any) -> Path:
    """The site's own file, still the shipped one's text."""
    path = tmp_path / "law.yaml"
    path.write_text(TEXT)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": str(path)}
    return path


def line(what: str) -> int:
    return TEXT.count("\n", 0, TEXT.index(what)) + 1


def found() -> list[str]:
    messages = check_law()
    assert {message.id for message in messages} <= {"wagtail_prefs.E030"}
    return [message.msg for message in messages]


def test_the_shipped_file_stands_in_the_package() -> None:
    assert files("wagtail_prefs.law").joinpath("jurisdictions.yaml").read_text() == TEXT


def test_without_a_setting_it_is_the_shipped_file_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert current() == load()
    assert current() is current()
    assert found() == []


def test_the_sites_file_holds_instead(own: Path) -> None:
    own.write_text(TEXT.replace('as_of: "2026-11-21"', 'as_of: "2026-12-01"'))
    assert current().version == "2026-12-01"
    assert current().rules_for("DE").version == "2026-12-01"
    assert found() == []


def test_a_change_holds_from_the_next_question_on(own: Path) -> None:
    before = current()
    assert current() is before
    own.write_text(TEXT.replace("honour_backends_hours: 24", "honour_backends_hours: 12"))
    later = own.stat().st_mtime_ns + 10**9
    os.utime(own, ns=(later, later))
    assert before.rules_for("DE").honour_hours == 24
    assert current().rules_for("DE").honour_hours == 12


def test_the_check_is_one_of_the_sites() -> None:
    assert check_law in registry.registered_checks


def test_each_problem_of_the_sites_file_is_an_error_with_its_place(own: Path) -> None:
    own.write_text(
        TEXT.replace("GB:\n", "UK:\n").replace("honour_backends_hours: 24", "honour_backends_hours: 240")
    )
    begin = 'The file of WAGTAIL_PREFS["JURISDICTIONS"]: '
    policy, country = sorted(found(), reverse=True)
    assert policy.startswith(
        f"{begin}product_policy.honour_backends_hours (line {line('honour_backends_hours')}): must be"
    )
    assert country.startswith(f"{begin}jurisdictions.UK (line {line('  GB:')}): 'UK' is neither")
    with pytest.raises(BadLaw) as caught:
        current()
    assert len(caught.value.problems) == 2
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_norway_without_quotes_is_an_error_of_the_check(own: Path) -> None:
    own.write_text(TEXT.replace('"NO"', "NO"))
    (said,) = found()
    assert "NO without quotes is read as False" in said


@pytest.mark.parametrize("kind", ["absent", "folder", "bytes", "huge", "empty"])
def test_a_file_that_cannot_be_read_is_an_error(own: Path, kind: str) -> None:
    own.unlink()
    if kind == "folder":
        own.mkdir()
    elif kind != "absent":
        own.write_bytes({"bytes": b"\xff\xfe\x00", "huge": b"#" * (2 * 1024 * 1024), "empty": b""}[kind])
    (said,) = found()
    expected = {
        "absent": "No such file",
        "folder": "Is a directory",
        "bytes": "UTF-8",
        "huge": "1024 KiB",
        "empty": "mapping",
    }
    assert expected[kind] in said
    with pytest.raises(BadLaw):
        current()


def test_the_check_is_silent_where_the_settings_themselves_are_wrong(settings: Any) -> None:
    settings.WAGTAIL_PREFS = ["JURISDICTIONS"]
    assert found() == []
    assert [message.id for message in check_settings()] == ["wagtail_prefs.E001"]
