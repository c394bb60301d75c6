"""What `centers` hands out: a compiled snapshot, and a center as it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ..canonical import canonical, sha256_hex
from ..values import Json, Spec

Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A center compiled for one locale. Named by its digest, so it never changes."""

    digest: str
    center: UUID
    locale: str
    direction: Direction
    document: Json
    specs: tuple[Spec, ...]

    def __hash__(self) -> int:
        """By name, so that what is worked out of a snapshot can be remembered beside it."""
        return hash(self.digest)

    def spec(self, block_id: str) -> Spec | None:
        return next((spec for spec in self.specs if spec.block_id == block_id), None)


@dataclass(frozen=True, slots=True)
class Center:
    """A published center as one locale serves it.

    `origins` holds the page's own origin first, then those that may embed it. `host_pages` keeps the editor's order,
    because a link names one by its index; one whose origin is not in `origins` is not to be used.
    """

    center: UUID
    locale: str
    digest: str
    body: bytes
    etag: str
    audience_id: int
    audience_key: str
    page_url: str
    host_pages: tuple[str, ...]
    origins: tuple[str, ...]


def make_snapshot(document: Json, specs: Sequence[Spec]) -> Snapshot:
    """Name a compiled center by what it consists of: the public document and the server's rules."""
    digest = sha256_hex({"document": document, "specs": [spec.to_json() for spec in specs]})
    return Snapshot(
        digest=digest,
        center=UUID(document["center"]),
        locale=document["locale"],
        direction=document["direction"],
        document={**document, "revision": digest},
        specs=tuple(specs),
    )


def document_bytes(snapshot: Snapshot) -> bytes:
    """What is served: canonical, so that one snapshot has one spelling."""
    return canonical(snapshot.document)
