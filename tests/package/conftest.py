"""The distribution as a user gets it: an sdist, the wheel made from it, and a fresh environment that holds the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What stands in the environment of the tests must not help: no Node, no gettext, no settings of ours.
BARE = {"PATH": "", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


def run(*command: str | Path, **options: Any) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def _build(kind: str, source: Path, target: Path, **options: Any) -> Path:
    run(sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", target, source, **options)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("--sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the sdist, where neither Node nor gettext can be found."""
    source = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    (project,) = source.iterdir()
    return _build("--wheel", project, tmp_path_factory.mktemp("wheel"), env=BARE)


@pytest.fixture(scope="session")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Environment:
    """A virtual environment outside the checkout. The dependencies are lent by ours, the package is the wheel's."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        self.python = folder / "bin" / "python"
        run(
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "install",
            "-qq",
            "--no-deps",
            "--no-index",
            wheel,
        )
        # A plain path line lends packages but runs no .pth file there, and so leaves our editable install out.
        self.site_packages = Path(
            self.call("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
        )
        (self.site_packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def call(self, *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
        return run(self.python, *arguments, cwd=cwd, env={**BARE, **(env or {})})

    def start(self, *arguments: str | Path, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        command: Sequence[str | Path] = [self.python, *arguments]
        with log.open("wb") as output:
            return subprocess.Popen(command, cwd=cwd, env=BARE, stdout=output, stderr=output)


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv", wheel)
