"""Links that keep nobody from reading along."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from ...html import href_is_allowed
from ..values import Snapshot
from .shown import hrefs, name_of
from .values import Facts, Finding


def insecure_links(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`link-insecure`: what is neither https, mailto nor tel. This machine is allowed under DEBUG.

    Looked for where the editor wrote it, because the cleaner takes such a link out of the document, and in the document,
    because blocks make links themselves.
    """
    for spec in snapshot.specs:
        written = facts.of(spec.block_id)
        found = {
            href: field for field, href in (*written.links, *(("", href) for href in hrefs(spec.document)))
        }
        found |= {href: field for field, href in written.links}
        for href, field in found.items():
            if not _is_safe(href):
                text = _(
                    "The link %(link)s in “%(block)s” is not encrypted. Use an address that begins with https://, or "
                    "take the link out."
                )
                words = {"link": href[:200], "block": name_of(spec, written.label)}
                yield Finding("error", "link-insecure", text % words, spec.block_id, field)


def _is_safe(href: str) -> bool:
    local = href.startswith(("/", "#", "?")) and not href.startswith(("//", "/\\"))
    return not href or local or href_is_allowed(href)
