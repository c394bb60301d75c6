"""The reference backend: the desired state in two tables of the site's own database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ...values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    ChangeBatch,
    Identifiers,
    Json,
    Operation,
    Outcome,
    ReadBack,
    RemoteState,
    Result,
    Target,
    key_to_scope,
    scope_to_key,
)
from ..base import Backend, Option, declared
from ..desired import KEEPS_ALL, whole_state
from .models import Subscriber, Subscription

_IDS = ("audience", "email", "phone", "external_id", "language", "country", "timezone")


class DatabaseBackend(Backend):
    """Keeps `Subscriber` and `Subscription` up to date, many contacts at once. Idempotent; ignores older versions."""

    capabilities = replace(KEEPS_ALL, batch_size=500, ordering=True, read_back=ReadBack.STRONG, erases=True)
    known_options: ClassVar[Mapping[str, Option]] = {
        "ENFORCES": Option((list, tuple), "what those who read the tables obey when they send", default=()),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = declared(self.capabilities, self.options["ENFORCES"])

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        return whole_state(self, target, since)

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        now = timezone.now()
        wanted = {operation.contact: operation for operation in batch}
        # Everybody takes the rows in the same order, so that two writers wait for each other and never deadlock.
        contacts = sorted(wanted)
        with transaction.atomic():
            versions = _lock(contacts)
            new = [contact for contact in contacts if contact not in versions]
            if new:  # made first and then locked like the rest: somebody may be making them, too
                Subscriber.objects.bulk_create(
                    [Subscriber(contact=contact, delivered_at=now) for contact in new], ignore_conflicts=True
                )
                versions |= _lock(new)
            newer = [wanted[contact] for contact in contacts if versions[contact] <= wanted[contact].version]
            self._write(newer, now)
        return [Result(operation.key, Outcome.DONE, remote_id=str(operation.contact)) for operation in batch]

    def _write(self, operations: Sequence[Operation], now: datetime) -> None:
        subscribers = [_subscriber(operation, now) for operation in operations]
        Subscriber.objects.bulk_create(
            subscribers,
            update_conflicts=True,
            unique_fields=["contact"],
            update_fields=[f.name for f in Subscriber._meta.concrete_fields if not f.primary_key],
        )
        rows = {
            (row.subscriber_id, row.topic, row.channel): row
            for operation in operations
            for row in _subscriptions(operation)
        }
        kept = Subscription.objects.filter(subscriber__in=[operation.contact for operation in operations])
        gone = sorted(set(kept.values_list("subscriber_id", "topic", "channel")) - set(rows))
        if gone:  # an answer that was taken back altogether: by undo, or because its topic is gone
            Subscription.objects.filter(pk__in=gone).delete()
        Subscription.objects.bulk_create(
            [rows[key] for key in sorted(rows)],
            update_conflicts=True,
            unique_fields=["subscriber", "topic", "channel"],
            update_fields=["subscribed", "email", "frequency", "paused_until"],
        )

    def read(self, contact: Target) -> RemoteState | None:
        found = Subscriber.objects.filter(contact=contact.state.id).first()
        if found is None:
            return None
        rows = Subscription.objects.filter(subscriber=found.contact)
        return RemoteState(
            version=found.version,
            opted_out=found.opted_out,
            choices={
                (row.topic, row.channel): SUBSCRIBED if row.subscribed else UNSUBSCRIBED for row in rows
            },
            frequencies={scope_to_key(scope): code for scope, code in found.frequencies.items()},
            pauses={scope_to_key(scope): parse_datetime(until) for scope, until in found.pauses.items()},
            attributes=found.attributes,
        )

    def erase(self, identifiers: Identifiers) -> Result:
        """Forget whom the remote id names; without one, whom the external id or the address names."""
        found = self._known(identifiers)
        if found is not None:
            with transaction.atomic():
                # In the order in which writers take the rows: first hers, then those of her topics.
                held = Subscriber.objects.select_for_update().filter(**found).order_by("contact")
                Subscriber.objects.filter(contact__in=list(held.values_list("contact", flat=True))).delete()
        return Result(self.operation_key(UUID(int=0), 0, "erase"), Outcome.DONE)

    def _known(self, identifiers: Identifiers) -> dict[str, Any] | None:
        remote_id = identifiers.remote.get(self.alias)
        if remote_id:
            try:
                return {"contact": UUID(remote_id)}
            except ValueError:
                return None  # no id that we gave: nobody has it here
        if identifiers.external_id:
            return {"external_id": identifiers.external_id}
        return {"email": identifiers.email} if identifiers.email else None


def _lock(contacts: Sequence[UUID]) -> dict[UUID, int]:
    """Lock the rows there are; returns the version each holds."""
    rows = Subscriber.objects.select_for_update().filter(contact__in=contacts).order_by("contact")
    return dict(rows.values_list("contact", "version"))


def _subscriber(operation: Operation, now: datetime) -> Subscriber:
    state = operation.payload
    return Subscriber(
        contact=operation.contact,
        version=operation.version,
        opted_out=state["opted_out"],
        frequencies=state["frequencies"],
        pauses=state["pauses"],
        attributes=state["attributes"],
        delivered_at=now,
        **{name: state["contact"].get(name, "") for name in _IDS},
    )


def _subscriptions(operation: Operation) -> list[Subscription]:
    state = operation.payload
    return [
        Subscription(
            subscriber_id=operation.contact,
            topic=topic,
            channel=channel,
            # An opt-out already stands in every choice she held; this makes the row right by itself.
            subscribed=value == SUBSCRIBED and not state["opted_out"],
            email=state["contact"].get("email", ""),
            frequency=_rarest(state["frequencies"], topic, channel),
            paused_until=_latest(state["pauses"], topic, channel),
        )
        for topic, channels in sorted({**state["choices"], "": state.get("channels", {})}.items())
        for channel, value in sorted(channels.items())
    ]


def _scopes(topic: str, channel: str) -> tuple[str, str, str]:
    return key_to_scope(("", "")), key_to_scope(("", channel)), key_to_scope((topic, ""))


def _rarest(frequencies: Json, topic: str, channel: str) -> str:
    codes = [frequencies[scope] for scope in _scopes(topic, channel) if scope in frequencies]
    return max(codes, key=FREQUENCIES.index, default="")


def _latest(pauses: Json, topic: str, channel: str) -> datetime | None:
    ends = [parse_datetime(pauses[scope]) for scope in _scopes(topic, channel) if scope in pauses]
    return max((end for end in ends if end is not None), default=None)
