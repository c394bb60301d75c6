"""What is published, as visitors meet it: from memory, checked against the database at most once in a while."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from django.db.models import OuterRef
from django.utils.translation.trans_real import parse_accept_lang_header
from wagtail.coreutils import get_supported_content_language_variant

from ..access import revocations
from ..conf import conf
from ..errors import NotPublished
from ..topics.services import locale_order
from ..values import Spec
from .models import CenterSnapshot, PublishedCenter
from .values import Center, Direction, Snapshot

#: Centers and snapshots kept in a process: far more than a site has, few enough that nobody can fill the memory.
MAX_CENTERS = 512
MAX_SNAPSHOTS = 512

_lock = threading.Lock()
_centers: OrderedDict[UUID, tuple[float, Mapping[str, Center]]] = OrderedDict()


@lru_cache(maxsize=MAX_SNAPSHOTS)
def get_snapshot(digest: str) -> Snapshot:
    """The snapshot of that name, published now or once; raises NotPublished. Immutable, so it is asked for once."""
    row = CenterSnapshot.objects.filter(digest=digest).first()
    if row is None:
        raise NotPublished
    return snapshot_of(row)


def snapshot_of(row: CenterSnapshot) -> Snapshot:
    """A stored snapshot, read."""
    document = json.loads(row.document)
    direction: Direction = document["direction"]
    return Snapshot(
        digest=row.digest,
        center=row.center,
        locale=row.locale,
        direction=direction,
        document=document,
        specs=tuple(Spec.from_json(spec) for spec in json.loads(row.specs)),
    )


def current(center: UUID, locale: str | None = None, accept_language: str = "") -> Center:
    """The center in the best locale it has; raises NotPublished.

    The order is Wagtail's: the locale asked for, then those of Accept-Language, then the default language - each with
    its base - and if all of that fails, any. `Center.locale` says which one it became.

    Freshness costs one statement per CENTER_CACHE_SECONDS and process (0: each time); a hit costs none.
    """
    served = _served(center)
    if not served:
        raise NotPublished
    return served[_choose(served, locale, accept_language)]


def lately(center: UUID, locale: str | None = None) -> Center:
    """The same as this process last knew it: for what belongs to a request that has just asked."""
    with _lock:
        _checked, known = _centers.get(center, (0.0, {}))
    return known[_choose(known, locale, "")] if known else current(center, locale)


def forget(center: UUID) -> None:
    """Drop what this process remembers. Others notice within CENTER_CACHE_SECONDS."""
    with _lock:
        _centers.pop(center, None)


def _served(center: UUID) -> Mapping[str, Center]:
    now = time.monotonic()
    with _lock:
        checked, known = _centers.get(center, (float("-inf"), {}))
    if now - checked < conf.center_cache_seconds:
        return known
    found = _load(center, known)
    with _lock:
        if found:
            _centers[center] = (now, found)
            _centers.move_to_end(center)
            while len(_centers) > MAX_CENTERS:
                _centers.popitem(last=False)
        else:
            _centers.pop(center, None)  # unknown ids are not remembered: there is no end of them
    return found


def _load(center: UUID, known: Mapping[str, Center]) -> dict[str, Center]:
    rows = list(
        PublishedCenter.objects.filter(center=center).values(
            "locale",
            "digest",
            "audience_id",
            "audience__key",
            "page_url",
            "host_pages",
            "origins",
            **revocations.columns(OuterRef("center")),
        )
    )
    found: dict[str, Center] = {}
    bodies = {old.digest: old.body for old in known.values()}
    missing = [row["digest"] for row in rows if row["digest"] not in bodies]
    if missing:
        documents = CenterSnapshot.objects.filter(digest__in=missing).values_list("digest", "document")
        bodies |= {digest: document.encode() for digest, document in documents}
    for row in rows:
        found[row["locale"]] = Center(
            center=center,
            locale=row["locale"],
            digest=row["digest"],
            body=bodies[row["digest"]],
            etag=f'"{row["digest"]}"',
            audience_id=row["audience_id"],
            audience_key=row["audience__key"],
            page_url=row["page_url"],
            host_pages=tuple(row["host_pages"]),
            origins=tuple(row["origins"]),
            revoked=revocations.read(row),
        )
    return found


def _choose(served: Mapping[str, Center], locale: str | None, accept_language: str) -> str:
    wishes = [locale] if locale else []
    # Django's parser: by quality, and bounded (CVE-2023-23969).
    wishes += [code for code, _quality in parse_accept_lang_header(accept_language) if code != "*"]
    for wish in wishes:
        for code in _variants(wish.lower()):
            if code in served:
                return code
    return next((code for code in locale_order("")[1:] if code in served), min(served))


def _variants(code: str) -> list[str]:
    variants = [code]
    with contextlib.suppress(LookupError):
        variants.append(get_supported_content_language_variant(code))
    return [*variants, code.split("-")[0]]
