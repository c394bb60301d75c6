"""Which audience a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError

from ..topics.models import Audience


def audience_of(key: str | None) -> Audience:
    """The audience of that key, or the only one there is; raises CommandError, which names those there are."""
    audiences = {one.key: one for one in Audience.objects.order_by("key")}
    known = ", ".join(audiences) or "none"
    if key is None and len(audiences) == 1:
        return next(iter(audiences.values()))
    if key not in audiences:
        raise CommandError(f"Name the audience with --audience. There are: {known}.", returncode=2)
    return audiences[key]
