"""Every word of a page as it was shown, with its hash: read from the snapshot, whatever became of the page since.

A snapshot has no tie to the page, its topics or its revisions, so nothing that editors do takes a text away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..canonical import sha256_hex
from ..html import tree_to_text
from .models import CenterSnapshot, ShownText
from .serving import get_snapshot
from .values import Snapshot, remembered

#: Fields of a document that people read. All of `labels` is read, too.
WORDS = frozenset(["title", "heading", "label", "help", "locked", "group", "min_label", "max_label", "alt"])
#: Fields that hold a tree of rich text.
TREES = frozenset(["text", "content"])
#: So many pages that showed a text are told of.
MOST = 100
#: Fields with rules, in which nothing is read.
RULES = frozenset(["when", "do", "constraints"])


@dataclass(frozen=True, slots=True)
class Text:
    """Words on a page. `sha256` is that of the value's canonical JSON; of a notice it is the one that records name.

    `path` leads there from the document: `blocks.{id}.controls.{name}.label`.
    """

    path: str
    text: str
    sha256: str


@remembered
def texts(snapshot: Snapshot) -> tuple[Text, ...]:
    """All words of a snapshot, in the order of the page; its notices after them, each as a whole."""
    return (*_walk(snapshot.document, ""), *_notices(snapshot))


def remember(snapshot: Snapshot) -> None:
    """Note which texts a snapshot shows. To be called when it is written; doing it twice changes nothing."""
    found = dict.fromkeys(text.sha256 for text in texts(snapshot))
    rows = [ShownText(sha256=sha256, snapshot=snapshot.digest) for sha256 in found]
    ShownText.objects.bulk_create(rows, ignore_conflicts=True)


def find(sha256: str, limit: int = MOST) -> Iterator[tuple[Snapshot, Text]]:
    """Where a text was shown, in pages that are published or once were; the newest `limit` of them, the newest first.

    By an index: only these snapshots are read.
    """
    shown = ShownText.objects.filter(sha256=sha256).values("snapshot")
    found = CenterSnapshot.objects.filter(digest__in=shown).order_by("-created_at", "digest")
    for digest in found.values_list("digest", flat=True)[:limit]:
        snapshot = get_snapshot(digest)
        for text in texts(snapshot):
            if text.sha256 == sha256:
                yield snapshot, text


def _walk(value: Any, path: str, *, labels: bool = False) -> Iterator[Text]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, _join(path, _name(item, number)))
    elif isinstance(value, dict):
        for name, inner in value.items():
            place = _join(path, name)
            if isinstance(inner, str):
                if inner and (labels or name in WORDS):
                    yield Text(place, inner, sha256_hex(inner))
            elif name in TREES and isinstance(inner, list):
                if inner:
                    yield Text(place, tree_to_text(inner), sha256_hex(inner))
            elif name not in RULES:
                yield from _walk(inner, place, labels=name == "labels")


def _notices(snapshot: Snapshot) -> Iterator[Text]:
    """Notices by the hash that records name. It covers the language and the links beside the words."""
    for spec in snapshot.specs:
        notice = spec.rules.get("notice")
        if notice:
            place = f"blocks.{spec.block_id}"
            words = [text.text for text in _walk(spec.document, place)]
            yield Text(f"{place}:{notice['id']}", "\n".join(words), notice["sha256"])


def _name(item: Any, number: int) -> str:
    if isinstance(item, dict):
        return str(item.get("id") or item.get("key") or item.get("name") or number)
    return str(number)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
