"""No page of the documentation leads nowhere, and none is found by nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
#: Of these every page is named somewhere; of the folder of decisions the folder is.
INDEXED = ("how-to", "reference", "tutorial", "explanation")

# Not pictures: `make screenshots` draws them, and looks whether they are there.
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """(where it leads, the heading it names or "") of each link to another file of ours."""
    for target in _LINK.findall(page.read_text()):
        path, _hash, fragment = target.partition("#")
        if not re.match(r"[a-z]+:", target):
            yield ((page.parent / path).resolve() if path else page), fragment


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {target.name}#{fragment}"
        for page in PAGES
        for target, fragment in links(page)
        if not target.exists() or (fragment and fragment not in anchors(target))
    ]
    assert lost == []


def test_every_page_is_found_from_the_readme() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in found and page.exists():
            found.add(page)
            waiting += [target for target, _fragment in links(page)]
    hidden = [page for folder in INDEXED for page in ROOT.glob(f"docs/{folder}/**/*.md") if page not in found]
    assert hidden == []
