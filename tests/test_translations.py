"""Every word that people see exists in German, and every translation still belongs to a word."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = Path("locale/de/LC_MESSAGES/django.po")
ENTRY = re.compile(r'^msgid ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)


def words(catalogue: Path) -> set[str]:
    """The msgids of a catalogue, without its header."""
    found = {
        "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', entry)) for entry in ENTRY.findall(catalogue.read_text())
    }
    return found - {""}


def test_the_german_catalogue_is_complete(tmp_path: Path) -> None:
    package = tmp_path / "wagtail_prefs"
    leave_out = shutil.ignore_patterns("__pycache__", "static", "locale", "migrations", "blocks")
    shutil.copytree(ROOT / "wagtail_prefs", package, ignore=leave_out)
    shutil.copytree(ROOT / "blocks", package / "blocks", ignore=leave_out)
    (package / "locale").mkdir()
    django_admin = Path(sys.executable).with_name("django-admin")
    subprocess.run([django_admin, "makemessages", "-l", "de", "-v0"], cwd=package, check=True)
    wanted, translated = words(package / CATALOGUE), words(ROOT / "wagtail_prefs" / CATALOGUE)
    assert wanted - translated == set(), "run makemessages --symlinks -l de, and translate these"
    assert translated - wanted == set(), "these are not used any more"


def test_no_translation_is_empty_or_a_guess() -> None:
    entries = (ROOT / "wagtail_prefs" / CATALOGUE).read_text().split("\n\n")[1:]
    assert [entry for entry in entries if re.search(r'msgstr(\[\d\])? ""\s*($|\n(?!"))', entry)] == []
    assert [entry for entry in entries if "fuzzy" in entry] == []
