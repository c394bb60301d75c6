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

from tests import factories
from tests.blocks.conftest import compiled, state
from tests.factories import block
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
    made = block_classes()[name]()
    made.set_name(name)
    return made.clean(made.to_python({"heading": "", "text": "", "conditions": [], **stored}))


def refusal(name: str, stored: Mapping[str, Any]) -> StructBlockValidationError | None:
    """What stops the editor; None where she can publish."""
    try:
        published(name, stored)
    except StructBlockValidationError as refused:
        return refused
    return None


def objections(name: str, stored: Mapping[str, Any]) -> list[str]:
    """Where the editor is told what, as `place: message`; none where it can be published."""
    return list(_told(refusal(name, stored), "")) if refusal(name, stored) else []


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

    shown = PreferenceCenterPage._meta.get_field("body").stream_block.child_blocks[name]
    response = client.get(reverse("wagtailadmin_block_preview"), {"id": shown.definition_prefix})
    html: str = response.content.decode()
    return html


def refused(spec: Spec, answers: Any) -> Any:
    """Why this is no answer; None where it is one."""
    try:
        valid(spec, answers)
    except ValidationError as error:
        return error.detail
    return None


def asking() -> list[dict[str, Any]]:
    """A body with each of these blocks, as it is stored; needs the database for its topics."""
    topics = factories.make_topics()
    return [
        block(
            "role",
            {
                "question": "Who are you?",
                "purpose": "to show what is for you",
                "roles": [
                    {"key": "member", "label": "A member", "help": "", "topics": [topics["events"].pk]},
                    {"key": "press", "label": "A writer", "help": "", "topics": []},
                ],
                "all_until_answered": False,
            },
            "role",
        ),
        {**factories.topics_block(topics.values()), "id": "topics"},
        block(
            "question",
            {
                "question": "Which colour?",
                "help": "",
                "key": "colour",
                "purpose": "to send what you like",
                "answer": [
                    {
                        "type": "many_of",
                        "value": {
                            "options": [{"key": "red", "label": "Red"}, {"key": "blue", "label": "Blue"}],
                            "personal": False,
                        },
                    }
                ],
            },
            "question",
        ),
        block(
            "profile",
            {
                "fields_asked": ["given_name", "country"],
                "purpose": "to write to you",
                "countries": ["AT", "DE"],
                "more_countries": [],
                "own_fields": [],
                "change_address": True,
            },
            "profile",
        ),
        {**factories.unsubscribe_all_block(), "id": "leave"},
        block(
            "reason",
            {
                "question": "",
                "purpose": "",
                "options": [{"key": "too_many", "label": "Too many"}],
                "own_words": True,
            },
            "reason",
        ),
    ]
