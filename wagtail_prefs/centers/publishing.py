"""Publish: compile once, keep the snapshot, say which one is current."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.db import transaction

from ..canonical import canonical
from ..topics.models import Audience
from ..topics.services import audience_for_site
from .compile import compile_center
from .embedding import site_origins
from .mixins import PreferenceCenterMixin
from .models import CenterSnapshot, PublishedCenter
from .origins import allowed_origins
from .serving import forget
from .texts import remember
from .values import Snapshot, document_bytes

if TYPE_CHECKING:
    from django.db.models import Model

logger = logging.getLogger(__name__)


def publish(page: PreferenceCenterMixin) -> Snapshot | None:
    """Compile the page as given and make it what is served. Doing it again changes nothing.

    The caller passes live content, never a draft. None for a page outside every site: it has no address.
    """
    site, page_url = page.get_site(), page.get_full_url()
    if site is None or page_url is None:
        unpublish(page)
        return None
    with transaction.atomic():
        audience = audience_for_site(site)
        snapshot = compile_center(page, audience.pk)
        CenterSnapshot.objects.bulk_create(
            [
                CenterSnapshot(
                    digest=snapshot.digest,
                    center=snapshot.center,
                    locale=snapshot.locale,
                    document=document_bytes(snapshot).decode(),
                    specs=canonical([spec.to_json() for spec in snapshot.specs]).decode(),
                )
            ],
            ignore_conflicts=True,  # the same content has the same name
        )
        remember(snapshot)
        PublishedCenter.objects.update_or_create(
            center=snapshot.center,
            locale=snapshot.locale,
            defaults={
                "digest": snapshot.digest,
                "audience": audience,
                "page_id": _pk(page),
                "page_url": page_url,
                "host_pages": page.host_page_list,
                "origins": allowed_origins(page_url, site_origins(site.pk), page.host_page_list),
            },
        )
    forget(snapshot.center)
    return snapshot


def unpublish(page: PreferenceCenterMixin) -> None:
    """Serve the center in this locale no more. Snapshots stay: ledger records name them."""
    PublishedCenter.objects.filter(center=page.translation_key, page_id=_pk(page)).delete()
    forget(page.translation_key)


def draft_snapshot(page: PreferenceCenterMixin) -> Snapshot:
    """What publishing would make of the page in memory. Stores nothing, so it serves previews."""
    site = page.get_site()
    audience = Audience.objects.filter(site=site).first() if site else None
    return compile_center(page, audience.pk if audience else None)


def republish(**published: Any) -> None:
    """Compile the matching published centers again, from their live content only.

    Wagtail keeps drafts in revisions and the published content in the page's own row, so reading the row cannot
    leak a draft.
    """
    for page in _live_pages(PublishedCenter.objects.filter(**published).values_list("page_id", flat=True)):
        publish(page)


def republish_below(path: str) -> None:
    """The same for all centers at or below a place in the page tree, whose addresses have changed."""
    for page in _live_pages(PublishedCenter.objects.values_list("page_id", flat=True), path__startswith=path):
        publish(page)


def _live_pages(ids: Iterable[int], **filters: Any) -> Iterator[PreferenceCenterMixin]:
    import swapper  # noqa: PLC0415 - asks the app registry

    page_model = swapper.load_model("wagtailcore", "Page")
    for page in page_model.objects.filter(pk__in=list(ids), live=True, **filters).specific():
        if isinstance(page, PreferenceCenterMixin):
            yield page
        else:
            logger.warning("Page %s is published as a center but is none any more.", page.pk)


def _pk(page: PreferenceCenterMixin) -> int:
    model: Model = page
    key: int = model.pk
    return key
