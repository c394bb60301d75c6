"""The desired state of a contact as JSON: what every backend that passes the state on as a whole delivers."""

from __future__ import annotations

from collections.abc import Sequence

from ..values import UNSUBSCRIBED, ChangeBatch, ContactState, Identifiers, Json, Target, iso, key_to_scope


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
        "opted_out": state.opted_out,
        "choices": {topic: said for topic, said in choices.items() if topic},
        "channels": choices.get("", {}),
        "frequencies": {key_to_scope(key): code for key, code in sorted(state.frequencies.items())},
        "pauses": {key_to_scope(key): iso(pause.until) for key, pause in sorted(state.pauses.items())},
        "attributes": dict(state.attributes),
    }


def contact_ids(state: ContactState, identifiers: Identifiers) -> Json:
    """Who it is about. Empty identifiers are left out, so that a receiver cannot match two people by ''."""
    ids = {
        "id": str(state.id),
        "audience": state.audience,
        "email": identifiers.email,
        "phone": identifiers.phone,
        "external_id": identifiers.external_id,
        "language": state.language,
        "country": state.country,
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
