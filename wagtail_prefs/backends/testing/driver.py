"""The real engine with one backend: people who choose, rounds of deliveries, and time that passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import models
from django.db.models import F

from ...changes import Change, SetChoice
from ...contacts import services as contacts
from ...contacts.models import Contact, State
from ...delivery.models import Delivery, Lane
from ...delivery.services import run_once
from ...ledger.services import batches_since_many
from ...submissions.services import erase, merge_contacts, record, undo
from ...topics.models import Audience
from ...values import (
    SUBSCRIBED,
    Actor,
    ActorType,
    ChangeBatch,
    Key,
    Operation,
    Result,
    Source,
    Target,
)
from ..base import Backend
from ..registry import backends
from .harness import Harness, HttpHarness, Seen

HERSELF = Actor(ActorType.SUBJECT_SESSION)
SOURCE = Source(method="python")


@dataclass(frozen=True, slots=True)
class Asked:
    """One time that the engine called `execute`: with what, and what came of it."""

    operations: tuple[Operation, ...]
    results: tuple[Result, ...] = ()
    error: Exception | None = None

    @property
    def keys(self) -> set[str]:
        return {operation.key for operation in self.operations}


class Driver:
    """What the tests of the kit work with. `asked` holds all that the engine asked of the backend."""

    def __init__(self, harness: Harness, settings: Any) -> None:
        self.harness = harness
        self.settings = settings
        self.asked: list[Asked] = []
        #: Called once, when the next call begins.
        self.during: Callable[[], object] | None = None
        self._audience = Audience.objects.create(key=f"kit-{uuid4().hex[:8]}", name="Kit")
        self.use(harness.entry())

    def use(self, entry: dict[str, Any]) -> None:
        """Configure the backend, as the only one."""
        given = getattr(self.settings, "WAGTAIL_PREFS", {})
        wire = {"ALLOW_PRIVATE_HOSTS": True} if isinstance(self.harness, HttpHarness) else {}
        self.settings.WAGTAIL_PREFS = {**given, **wire, "BACKENDS": {self.harness.alias: entry}}
        self.backend: Backend = backends[self.harness.alias]
        self._execute = self.harness.faults.around(self.backend.execute)
        setattr(self.backend, "execute", self._watch)  # noqa: B010 - of this one instance, which the engine calls

    def _watch(self, batch: Sequence[Operation]) -> list[Result]:
        during, self.during = self.during, None
        if during is not None:
            during()
        try:
            results = self._execute(batch)
        except Exception as error:
            self.asked.append(Asked(tuple(batch), error=error))
            raise
        self.asked.append(Asked(tuple(batch), tuple(results)))
        return results

    # --- people ------------------------------------------------------------------------------------------------------

    def person(self, *changes: Change, email: str = "reader@mail.example.org") -> UUID:
        """Somebody new who has made these changes, one after the other."""
        contact: UUID = contacts.get_or_create(self._audience.pk, email).id
        for change in changes:
            self.save(contact, change)
        return contact

    def save(self, contact: UUID, *changes: Change) -> str:
        """What she changes at once, herself; returns the receipt, "" where nothing had to change."""
        return record(contact, changes, actor=HERSELF, source=SOURCE).receipt or ""

    def undo(self, contact: UUID, receipt: str) -> None:
        held = Contact.objects.get(pk=contact)
        undo(
            link_id=held.link_id,
            epoch=held.epoch,
            snapshot=None,
            receipt=UUID(receipt),
            actor=HERSELF,
            source=SOURCE,
            idempotency_key=None,
        )

    def erase(self, contact: UUID) -> None:
        erase(contact, actor=HERSELF, source=SOURCE)

    def merge(self, loser: UUID, winner: UUID) -> None:
        merge_contacts(loser, winner, actor=HERSELF, source=SOURCE)

    def email(self, contact: UUID) -> str:
        return str(Contact.objects.values_list("email", flat=True).get(pk=contact))

    def target(self, contact: UUID) -> Target:
        return contacts.load_target(contact)

    def since(self, contact: UUID, version: int = 0) -> list[ChangeBatch]:
        """What she changed after that version."""
        return list(batches_since_many({contact: version}).get(contact, []))

    # --- deliveries --------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Bring over what is due; what was taken without a word on what became of it is looked up a little later."""
        run_once()
        for _ in range(3):
            if not Delivery.objects.filter(checking=True).exists():
                break
            self.pass_time(timedelta(minutes=2))
            run_once()

    def pass_time(self, time: timedelta) -> None:
        """Let time pass: every moment that is kept about deliveries and people lies further back."""
        for model in (State, Delivery, Lane):
            moments = [
                item.name for item in model._meta.concrete_fields if isinstance(item, models.DateTimeField)
            ]
            model._default_manager.update(**{name: F(name) - time for name in moments})

    def row(self, contact: UUID) -> Delivery:
        return Delivery.objects.get(backend=self.harness.alias, contact=contact)

    def is_delivered(self, contact: UUID) -> bool:
        """Whether the engine believes that all is over there."""
        row = self.row(contact)
        return row.delivered >= row.wanted and row.failing_since is None and not row.parked

    # --- the platform ------------------------------------------------------------------------------------------------

    def seen(self, person: UUID | str) -> Seen | None:
        return self.harness.seen(person if isinstance(person, str) else self.email(person))

    def subscribed(self, person: UUID | str) -> frozenset[Key]:
        """What the platform would send her."""
        seen = self.seen(person)
        return seen.subscribed if seen else frozenset()


def yes(key: Key) -> SetChoice:
    return SetChoice(*key, SUBSCRIBED)
