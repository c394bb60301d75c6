"""What a change asks for."""

from __future__ import annotations

from ...changes import (
    AcknowledgeNotice,
    Change,
    ClearAttribute,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from ...values import iso


def wanted(change: Change) -> object:
    """The value that a change asks for at its path, as records name it; None to take away what stands there."""
    match change:
        case SetChoice() | SetFrequency():
            return change.value
        case Pause():
            return iso(change.until)
        case OptOut() | OptIn():
            return isinstance(change, OptOut)
        case SetAttribute() | ClearAttribute() | GiveReason():
            return attribute_of(change)
        case AcknowledgeNotice():
            return change.sha256
    return None


def attribute_of(change: SetAttribute | ClearAttribute | GiveReason) -> object:
    """The value that an attribute is to have, as JSON; None where it is to be forgotten."""
    match change:
        case SetAttribute():
            return list(change.value) if isinstance(change.value, tuple) else change.value
        case GiveReason():
            return {"code": change.code, "text": change.text} if change.text else {"code": change.code}
    return None
