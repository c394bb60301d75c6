"""The npm package of the element: not published, but laid out, and as small as it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.package.conftest import ROOT
from wagtail_prefs.centers.embed import SCRIPT

FRONTEND = ROOT / "frontend"


def npm(*arguments: str) -> str:
    done = subprocess.run(
        ["npm", "--silent", *arguments],
        cwd=FRONTEND,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked as npm would install it."""
    folder = tmp_path_factory.mktemp("npm")
    # publint and @arethetypeswrong/cli look through it, and fail with what they find.
    checked = npm("run", "pack:check")
    assert "All good!" in checked
    (packed,) = json.loads(npm("pack", "--json", "--pack-destination", str(folder)))
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def test_it_ships_the_script_three_declarations_and_the_manifest(package: Path) -> None:
    assert {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} == {
        "LICENSE",
        "README.md",
        "custom-elements.json",
        "dist/integrity.json",
        "dist/preference-center.js",
        "package.json",
        "types/define.d.ts",
        "types/element.d.ts",
        "types/react.d.ts",
    }
    script = (package / "dist/preference-center.js").read_bytes()
    assert b"import" not in script.replace(b"important", b"")
    if SCRIPT.exists():
        assert script.count(b"customElements") == SCRIPT.read_bytes().count(b"customElements")


def test_nobody_needs_what_draws_it(package: Path) -> None:
    """No dependency, and declarations that import nothing but each other and, for React, React."""
    facts: dict[str, Any] = json.loads((package / "package.json").read_text())
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & facts.keys()
    assert facts["private"] is True
    for path in (package / "types").iterdir():
        lines = [line for line in path.read_text().splitlines() if " from '" in line]
        sources = {line.rpartition(" from '")[2].rstrip("';") for line in lines}
        assert sources <= ({"react"} if path.name == "react.d.ts" else {"./element.js"}), path.name
        assert "superfine" not in path.read_text()


def test_its_fields_name_what_is_there(package: Path) -> None:
    facts = json.loads((package / "package.json").read_text())
    assert (package / facts["customElements"]).is_file()
    (module,) = json.loads((package / facts["customElements"]).read_text())["modules"]
    assert (package / module["path"]).is_file()
    assert f"./{module['path']}" in facts["sideEffects"]
    assert module["declarations"][0]["tagName"] == "preference-center"


USE = """
import 'wagtail-prefs';
import type { PreferenceCenterElement } from 'wagtail-prefs';
import type {} from 'wagtail-prefs/react';
const element: PreferenceCenterElement = document.createElement('preference-center');
element.src = '/a/';
const dirty: boolean = element.dirty;
// @ts-expect-error read only
element.dirty = true;
export const View = () => (
  <preference-center src="/a/" theme="dark" className="x" onpreference-center-saved={(event) => event.detail.version + (dirty ? 1 : 0)}>
    <a href="/b/">b</a>
  </preference-center>
);
// @ts-expect-error no such theme
export const Wrong = () => <preference-center src="/a/" theme="pink" />;
"""


def test_its_types_serve_a_user_in_typescript_and_react(package: Path, tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for name in ("@types", "csstype", "typescript"):
        (modules / name).symlink_to(FRONTEND / "node_modules" / name)
    shutil.copytree(package, modules / "wagtail-prefs")
    (tmp_path / "use.tsx").write_text(USE)
    options = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--jsx",
        "react-jsx",
        "--module",
        "nodenext",
        "--target",
        "es2022",
    ]
    done = subprocess.run(
        [modules / "typescript" / "bin" / "tsc", *options, "--types", "react", "use.tsx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_it_can_be_imported_where_there_is_no_dom(package: Path) -> None:
    """On a server that draws React: the class is there, and no tag is defined."""
    code = (
        f"import('{package}/dist/preference-center.js').then((all) => console.log(Object.keys(all).join()))"
    )
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=False, cwd=package)
    assert done.stdout.strip() == "PreferenceCenterElement", done.stderr
