"""What the tests of the blocks that ask have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django.urls import reverse
from rest_framework.serializers import ValidationError
from wagtail.blocks.list_block import ListBlockValidationError
from wagtail.blocks.stream_block import StreamBlockValidationError
from wagtail.blocks.struct_block import StructBlockValidationError

from tests.blocks.conftest import compiled, state
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.registry import block_classes
from wagtail_prefs.contacts.rules import Act, apply
from wagtail_prefs.values import Actor, ActorType, ContactState, Spec

HER_ACT = Act(Actor(ActorType.SUBJECT_SESSION), datetime(2026, 3, 1, tzinfo=UTC))


def controls(spec: Spec) -> dict[str, Any]:
    return {control["name"]: control for control in spec.document["controls"]}


def valid(spec: Spec, answers: Any) -> dict[str, Any]:
    found: dict[str, Any] = ObjectField(block_classes()[spec.type].fields(spec)).run_validation(answers)
    return found


def saved(spec: Spec, answers: Any, held: ContactState | None = None) -> ContactState:
    """The state after these answers."""
    changes = block_classes()[spec.type].changes(spec, valid(spec, answers))
    after, _effects = apply(held or state(), changes, HER_ACT)
    return after


def initial(spec: Spec, held: ContactState) -> dict[str, Any]:
    return block_classes()[spec.type].initial(spec, held)


def question(kind: str, **value: Any) -> Spec:
    return compiled("question", answer=[SimpleNamespace(block_type=kind, value=value)])


def published(name: str, stored: Mapping[str, Any]) -> Any:
    """A value as an editor sends it, cleaned for publishing: raises what stops her."""
    block = block_classes()[name]()
    block.set_name(name)
    return block.clean(block.to_python({"heading": "", "text": "", "conditions": [], **stored}))


def objections(name: str, stored: Mapping[str, Any]) -> list[str]:
    """Where the editor is told what, as `place: message`; none where it can be published."""
    try:
        published(name, stored)
    except StructBlockValidationError as refused:
        return list(_told(refused, ""))
    return []


def _told(error: Any, place: str) -> Iterator[str]:
    inner: Mapping[Any, Any] = getattr(error, "block_errors", None) or {}
    for name, one in inner.items():
        yield from _told(one, f"{place}.{name}" if place else str(name))
    if isinstance(error, ListBlockValidationError | StreamBlockValidationError):
        yield from (f"{place}: {message}" for message in error.non_block_errors)
    elif not isinstance(error, StructBlockValidationError):
        yield from (f"{place}: {message}" for message in error.messages)


def preview(name: str, client: Any) -> str:
    """The block as the picker shows it."""
    from wagtail_prefs.centers.page import PreferenceCenterPage

    block = PreferenceCenterPage._meta.get_field("body").stream_block.child_blocks[name]
    response = client.get(reverse("wagtailadmin_block_preview"), {"id": block.definition_prefix})
    html: str = response.content.decode()
    return html


def refused(spec: Spec, answers: Any) -> Any:
    """Why this is no answer; None where it is one."""
    try:
        valid(spec, answers)
    except ValidationError as error:
        return error.detail
    return None
