"""Whether every configured backend can be made, and whether its mapping speaks of topics that there are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from ..conf import conf
from ..topics.models import Topic
from ..values import Inbound
from .base import Backend
from .mapping import Mapped
from .registry import backends


def check_backends(**_kwargs: Any) -> list[CheckMessage]:
    """E003: a path that cannot be imported, or options that the backend refuses."""
    found: list[CheckMessage] = []
    if not _is_readable():
        return [Error('WAGTAIL_PREFS["BACKENDS"] must be a dict: {alias: {…}}.', id="wagtail_prefs.E003")]
    for alias in _aliases():
        try:
            backends[alias]
        except ImproperlyConfigured as problem:
            found.append(Error(str(problem), obj=alias, id="wagtail_prefs.E003"))
    return found


def check_mappings(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """W005: a mapping that names a topic which does not exist: a slip, or one that was merged into another.

    Looks at the table, so it runs where Django lets checks ask the database (`check --database`). What the mapping
    leaves out is no mistake; editors see it at the topic and before they publish.
    """
    if not databases or sys.argv[1:2] == ["migrate"]:
        return []
    mapped = {backend.alias: backend.mapping.topics() for backend in _made() if isinstance(backend, Mapped)}
    asked = set[str]().union(*mapped.values())
    if not asked:
        return []
    try:
        known = set(Topic.objects.filter(key__in=asked).values_list("key", flat=True))
    except DatabaseError:  # before the first migration there are none
        return []
    return [
        CheckWarning(
            f'The mapping of "{alias}" names topics that there are not: {", ".join(sorted(topics - known))}.',
            hint=f'Correct TOPICS in WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"], or make the topics.',
            obj=alias,
            id="wagtail_prefs.W005",
        )
        for alias, topics in mapped.items()
        if topics - known
    ]


def check_inbound(**_kwargs: Any) -> list[CheckMessage]:
    """W006: `INBOUND_SECRETS` of a backend that takes no webhooks: whoever set them waits for events that never come."""
    return [
        CheckWarning(
            f'"{backend.alias}" has INBOUND_SECRETS, and takes no webhooks.',
            hint=f'Take INBOUND_SECRETS out of WAGTAIL_PREFS["BACKENDS"]["{backend.alias}"].',
            obj=backend.alias,
            id="wagtail_prefs.W006",
        )
        for backend in _made()
        if backends.inbound_secrets(backend.alias)
        and backend.capabilities.inbound not in {Inbound.SIGNED, Inbound.TOKEN}
    ]


def _made() -> Iterator[Backend]:
    """The backends that can be made; of the others E003 tells."""
    for alias in _aliases():
        try:
            yield backends[alias]
        except ImproperlyConfigured:
            continue


def _aliases() -> list[str]:
    try:
        return list(backends) if _is_readable() else []
    except ImproperlyConfigured:
        return []  # E001 says so


def _is_readable() -> bool:
    try:
        given: object = conf.backends
    except ImproperlyConfigured:
        return True  # E001 says so
    return isinstance(given, Mapping) and all(isinstance(alias, str) for alias in given)
