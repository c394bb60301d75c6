"""The desired state of a contact as JSON: what every backend that passes the state on as a whole delivers."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.dateparse import parse_datetime

from ..values import (
    DISPUTED,
    UNSUBSCRIBED,
    Capabilities,
    ChangeBatch,
    ContactState,
    Identifiers,
    Json,
    Operation,
    PauseStyle,
    RemoteState,
    Support,
    Target,
    iso,
    key_to_scope,
    scope_to_key,
)
from .base import Backend, restricts

#: Of whoever keeps the whole state and leaves it to others to go by it.
KEEPS_ALL = Capabilities(
    identifiers=("email", "phone", "external_id"),
    choice=Support.STORES,
    opt_out=Support.STORES,
    frequency=Support.STORES,
    pause=Support.STORES,
    pause_style=PauseStyle.ATTRIBUTE,
    attributes=Support.STORES,
)


def whole_state(
    backend: Backend, target: Target, since: Sequence[ChangeBatch], kind: str = "write", **more: object
) -> list[Operation]:
    """The plan of a backend that passes the state on as a whole: one operation, with `more` beside the state."""
    state = target.state
    return [
        Operation(
            key=backend.key(target, kind),
            contact=state.id,
            version=state.version,
            kind=kind,
            payload={**desired_state(target), **more},
            # Until the platform hears of a new address, mail may still go to the old one.
            restricts=restricts(since) or bool(target.retired),
        )
    ]


def desired_state(target: Target) -> Json:
    """Today's wishes. Absent means never asked; what still waits for a confirmation is left out, a no is not.

    `channels` is what was said of channels as a whole. A no there stands in `choices` as well, for every topic that she
    had said yes to by then; a yes to a topic beside it is the newer word.
    """
    state = target.state
    choices = _choices(state)
    return {
        "contact": contact_ids(state, target.identifiers),
        "version": state.version,
        "opted_out": is_out(state),
        "choices": {topic: said for topic, said in choices.items() if topic},
        "channels": choices.get("", {}),
        "frequencies": {key_to_scope(key): code for key, code in sorted(state.frequencies.items())},
        "pauses": {key_to_scope(key): iso(pause.until) for key, pause in sorted(state.pauses.items())},
        "attributes": dict(state.attributes),
    }


def is_out(state: ContactState) -> bool:
    """Whether she is to get no marketing at all: she said so, or her address was erased once and she did not bring it back."""
    return state.opted_out or state.suppressed or state.erased


def remote_state(desired: Json) -> RemoteState:
    """The inverse of `desired_state`, for a platform that keeps it as it is."""
    return RemoteState(
        version=desired["version"],
        opted_out=desired["opted_out"],
        choices={
            (topic, channel): said
            for topic, channels in {**desired["choices"], "": desired["channels"]}.items()
            for channel, said in channels.items()
        },
        frequencies={scope_to_key(scope): code for scope, code in desired["frequencies"].items()},
        pauses={scope_to_key(scope): parse_datetime(until) for scope, until in desired["pauses"].items()},
        attributes=desired["attributes"],
    )


def contact_ids(state: ContactState, identifiers: Identifiers) -> Json:
    """Who it is about. Empty identifiers are left out, so that a receiver cannot match two people by ''."""
    ids = {
        "id": str(state.id),
        "audience": state.audience,
        "email": identifiers.email,
        "phone": identifiers.phone,
        "external_id": identifiers.external_id,
        "language": state.language,
        "country": "" if state.country == DISPUTED else state.country,
        "timezone": state.timezone,
    }
    return {name: value for name, value in ids.items() if value}


def changed_paths(since: Sequence[ChangeBatch]) -> list[str]:
    """The state paths that the batches touched, each once."""
    return sorted({effect.path for batch in since for effect in batch.effects})


def _choices(state: ContactState) -> Json:
    choices: dict[str, dict[str, str]] = {}
    for (topic, channel), value in sorted(state.choices.items()):
        if value and (value == UNSUBSCRIBED or (topic, channel) not in state.pending):
            choices.setdefault(topic, {})[channel] = value
    return choices
