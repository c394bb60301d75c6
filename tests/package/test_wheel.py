"""The wheel, made from the sdist without Node or gettext, holds the whole package, once, and nothing else."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from tests.package.conftest import ROOT, Environment

LINK = "wagtail_prefs/blocks"


def sources(folder: str) -> set[str]:
    """What git keeps, or would keep, below the folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if name != LINK and (ROOT / name).is_file()}


def test_every_source_file_is_in_the_wheel(wheel_names: set[str]) -> None:
    """Templates, static files, migrations, translations, py.typed and the blocks under their installed name."""
    expected = sources("wagtail_prefs") | {f"wagtail_prefs/{name}" for name in sources("blocks")}
    assert "wagtail_prefs/py.typed" in expected
    assert "wagtail_prefs/blocks/__init__.py" in expected
    assert expected - wheel_names == set()


def test_built_files_are_in_the_wheel(wheel_names: set[str]) -> None:
    built = [name for name in wheel_names if name.startswith("wagtail_prefs/static/wagtail_prefs/dist/")]
    assert any(name.endswith(".js") for name in built), "the element"
    for catalog in [name for name in wheel_names if name.endswith(".po")]:
        assert catalog.removesuffix(".po") + ".mo" in wheel_names


def test_the_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert tops == {"wagtail_prefs", "wagtail_prefs-0.1.0.dist-info"}
    assert not [
        name for name in wheel_names if "__pycache__" in name or name.endswith((".pyc", ".sqlite3", ".map"))
    ]


def test_nothing_is_in_the_wheel_twice(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))


def test_the_sdist_holds_the_sources_and_the_built_element(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "hatch_build.py", "frontend/package.json"} <= names
    assert sources("blocks") <= names
    assert any(name.startswith("wagtail_prefs/static/wagtail_prefs/dist/") for name in names)
    assert not any("node_modules" in name for name in names)


def test_the_metadata_says_what_a_site_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(name).decode())
    assert metadata["Name"] == "wagtail-prefs"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {line.split(">")[0].split("<")[0] for line in required} == {
        "wagtail",
        "django",
        "djangorestframework",
        "django-tasks",
        "drf-spectacular",
        "bleach",
        "cryptography",
        "requests",
        "pyyaml",
    }


def test_the_package_comes_from_the_wheel(environment: Environment, tmp_path: Path) -> None:
    where = environment.call("-c", "import wagtail_prefs; print(wagtail_prefs.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment.site_packages)


def test_the_blocks_are_importable_under_one_name_only(environment: Environment, tmp_path: Path) -> None:
    environment.call("-c", "import wagtail_prefs.blocks", cwd=tmp_path)
    with pytest.raises(AssertionError, match="No module named 'blocks'"):
        environment.call("-c", "import blocks", cwd=tmp_path)
