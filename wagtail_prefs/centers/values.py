"""What `centers` hands out: a compiled snapshot, and a center as it is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID

from ..access.revocations import NOTHING_REVOKED, Revoked
from ..canonical import canonical, sha256_hex
from ..values import Json, Spec

Direction = Literal["ltr", "rtl"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A center compiled for one locale. Named by its digest, so it never changes."""

    digest: str
    center: UUID
    locale: str
    direction: Direction
    document: Json
    specs: tuple[Spec, ...]
    worked_out: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """By name, which says all that is in it."""
        return hash(self.digest)

    def spec(self, block_id: str) -> Spec | None:
        return next((spec for spec in self.specs if spec.block_id == block_id), None)


def remembered(work: Callable[Concatenate[Snapshot, P], T]) -> Callable[Concatenate[Snapshot, P], T]:
    """Keep what `work` makes of a snapshot with that snapshot, for as long as anybody holds it.

    `serving` holds those that were published, as many as a process remembers. A draft goes with the preview that it
    was compiled for, and takes along what was worked out of it. Further arguments, by position, are part of the name,
    so there must not be many of them.
    """

    @wraps(work)
    def ask(snapshot: Snapshot, /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = (work, *args)
        try:
            found: T = snapshot.worked_out[name]
        except KeyError:
            found = snapshot.worked_out[name] = work(snapshot, *args, **kwargs)
        return found

    return ask


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
    revoked: Revoked = NOTHING_REVOKED  # links, codes and sessions of it that were called back


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
