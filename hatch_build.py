"""Builds what git ignores but a distribution carries: the element's script and the compiled translations.

Both are skipped where they stand already, so that a wheel made from the sdist needs neither Node nor gettext, and
in an editable install, which runs the checkout as it is (`make install` builds there).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("wagtail_prefs")
DIST = PACKAGE / "static" / "wagtail_prefs" / "dist"
FRONTEND = Path("frontend")


class BuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        build_element(root)
        compile_messages(root)


def build_element(root: Path) -> None:
    if any((root / DIST).glob("*.js")):
        return
    frontend = root / FRONTEND
    if not (frontend / "package.json").is_file():
        raise SystemExit(
            f"{DIST} is empty and there is no {FRONTEND} to build it from: build from a checkout."
        )
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("Building wagtail-prefs from a checkout needs Node 20 or newer with npm.")
    subprocess.run([npm, "ci"], cwd=frontend, check=True)
    subprocess.run([npm, "run", "build"], cwd=frontend, check=True)


def compile_messages(root: Path) -> None:
    for source in sorted((root / PACKAGE / "locale").glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists():
            continue
        msgfmt = shutil.which("msgfmt")
        if msgfmt is None:
            raise SystemExit("Compiling the translations needs msgfmt: install gettext.")
        subprocess.run([msgfmt, "--check", "-o", target, source], check=True)
