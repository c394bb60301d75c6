"""What travels between the packages: frozen values, no models, no I/O.

Scopes are written `all`, `channel:{channel}` or `topic:{key}` everywhere people and APIs see them; the state table
holds the same thing as a pair (topic or "", channel or "").
"""

from .actors import Actor, ActorType, Source
from .backends import (
    Capabilities,
    ChangeBatch,
    InboundEvent,
    Operation,
    Outcome,
    PauseStyle,
    Problem,
    RemoteState,
    Result,
    Support,
)
from .base import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Answers,
    Assurance,
    ChoiceValue,
    Json,
    Key,
    Tree,
    iso,
    key_to_scope,
    scope_to_key,
)
from .blocks import CompileContext, Media, Need, Spec, TopicInfo, controls_of
from .state import ContactState, Effect, Identifiers, Merged, Outlook, Pause, Target

__all__ = [
    "CHANNELS",
    "FREQUENCIES",
    "SUBSCRIBED",
    "UNSUBSCRIBED",
    "Actor",
    "ActorType",
    "Answers",
    "Assurance",
    "Capabilities",
    "ChangeBatch",
    "ChoiceValue",
    "CompileContext",
    "ContactState",
    "Effect",
    "Identifiers",
    "InboundEvent",
    "Json",
    "Key",
    "Media",
    "Merged",
    "Need",
    "Operation",
    "Outcome",
    "Outlook",
    "Pause",
    "PauseStyle",
    "Problem",
    "RemoteState",
    "Result",
    "Source",
    "Spec",
    "Support",
    "Target",
    "TopicInfo",
    "Tree",
    "controls_of",
    "iso",
    "key_to_scope",
    "scope_to_key",
]
