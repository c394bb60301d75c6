"""What is read back of a contact who must get nothing agrees with what was told, whatever the reason."""

from __future__ import annotations

import pytest

from wagtail_prefs.backends import memory
from wagtail_prefs.backends.base import Backend
from wagtail_prefs.backends.database import DatabaseBackend
from wagtail_prefs.backends.memory import MemoryBackend
from wagtail_prefs.delivery.jobs import agrees

from .states import target


@pytest.mark.django_db
@pytest.mark.parametrize("why", ["", "opted_out", "suppressed", "erased"])
@pytest.mark.parametrize("backend", [DatabaseBackend("database"), MemoryBackend("crm")], ids=type)
def test_what_was_told_agrees(backend: Backend, why: str) -> None:
    memory.clear()
    person = target(**{why: True} if why else {})
    assert not agrees(person, backend.read(person), backend.capabilities, backend.maps)
    backend.execute(backend.plan(person, []))
    assert agrees(person, backend.read(person), backend.capabilities, backend.maps)
    other = target() if why else target(opted_out=True)
    assert not agrees(other, backend.read(other), backend.capabilities, backend.maps)
