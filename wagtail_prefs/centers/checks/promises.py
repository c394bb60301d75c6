"""What a page promises, held against those who send (design.md s10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from django.utils.translation import gettext as _, gettext_lazy

from ...blocks.words import CHANNEL_LABELS
from ...values import Need, Support
from ..values import Snapshot
from .shown import name_of, offered
from .values import Facts, Finding

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: The sender that asks before every message, and so keeps whatever is promised.
DECIDE = "decide"

Verdict = Literal["kept", "stored", "broken", "unsent"]

_WORDS: dict[str, _StrPromise] = {
    "choice": gettext_lazy("a yes or no to a topic"),
    "opt_out": gettext_lazy("“unsubscribe from everything”"),
    "frequency": gettext_lazy("a limit on how often"),
    "pause": gettext_lazy("a pause"),
    "attributes": gettext_lazy("what people say about themselves"),
}


def sender_of(topic: str, channel: str, facts: Facts) -> str:
    """Who sends a topic by a channel; "" where nobody is named, or one who does not exist."""
    named = facts.senders.get(channel) or {}
    sender = named.get(topic) or named.get("default") or ""
    return sender if sender == DECIDE or sender in facts.capabilities else ""


def verdict(need: Need, topic: str, channel: str, sender: str, facts: Facts) -> Verdict:
    """Whether a sender keeps what a control promises for a topic on a channel."""
    if not sender:
        return "unsent"
    if sender == DECIDE:
        return "kept"
    capabilities = facts.capabilities[sender]
    support = getattr(capabilities, need.capability, Support.NONE)
    if support == Support.NONE or not isinstance(support, Support) or channel not in capabilities.channels:
        return "broken"
    if facts.place(sender, need.capability, (need.topic, need.channel), topic, channel) is None:
        return "broken"
    return "kept" if support == Support.ENFORCES else "stored"


def reach(need: Need, pairs: Sequence[tuple[str, str]], facts: Facts) -> list[tuple[str, str]]:
    """The (topic, channel) that a need speaks of. "" is all of the page's, and of a page without topics all there are."""
    if not pairs:
        pairs = [
            (info.key, channel)
            for info in facts.topics.values()
            if not info.transactional and not info.archived
            for channel in info.channels
        ]
    found = [pair for pair in pairs if need.topic in {"", pair[0]} and need.channel in {"", pair[1]}]
    if not found and need.topic and need.topic in facts.topics:
        # A topic that can be paused or limited here without being offered here.
        channels = facts.topics[need.topic].channels
        found = [(need.topic, channel) for channel in channels if need.channel in {"", channel}]
    if not found and need.channel:
        found = [(need.topic, need.channel)]
    return found


def promises(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`promise-unsent`, `promise-broken`, `promise-stored`, `pause-stored`: one for a block, a sender and a channel."""
    pairs = offered(snapshot.specs)
    for spec in snapshot.specs:
        found: dict[tuple[Verdict, str, str, str], dict[str, None]] = {}
        for need in spec.needs:
            for topic, channel in reach(need, pairs, facts):
                sender = sender_of(topic, channel, facts)
                said = verdict(need, topic, channel, sender, facts)
                if said != "kept":
                    # Without a sender it does not matter what is promised: nobody keeps any of it.
                    capability = "" if said == "unsent" else need.capability
                    found.setdefault((said, capability, channel, sender), {})[topic] = None
        name = name_of(spec, facts.of(spec.block_id).label)
        for (said, capability, channel, sender), topics in found.items():
            yield _finding(said, capability, channel, sender, topics, spec.block_id, name, facts)


def unmapped(snapshot: Snapshot, facts: Facts) -> Iterator[Finding]:
    """`sender-unmapped`: who sends a topic hears of no choice about it. One for a block, a sender and a channel."""
    for spec in snapshot.specs:
        found: dict[tuple[str, str], list[str]] = {}
        for topic, channel in offered([spec]):
            sender = sender_of(topic, channel, facts)
            # One that does not know the channel at all keeps no promise on it: `promise-broken` says so.
            if (topic, channel) in facts.unmapped.get(sender, ()) and channel in facts.capabilities[
                sender
            ].channels:
                found.setdefault((sender, channel), []).append(topic)
        for (sender, channel), topics in found.items():
            text = _(
                "“%(sender)s” sends %(topics)s by %(channel)s and is not told who chose it (“%(block)s”): nothing over "
                "there is named for it. Take it out, or ask your developers to map it in the settings of “%(sender)s”."
            )
            words = {
                "block": name_of(spec, facts.of(spec.block_id).label),
                "sender": sender,
                "channel": str(CHANNEL_LABELS.get(channel, channel)),
                "topics": ", ".join(map(facts.label_of, topics)),
            }
            field = facts.field_of(spec.block_id, "channels", "topics")
            yield Finding("error", "sender-unmapped", text % words, spec.block_id, field)


def _finding(
    said: Verdict,
    capability: str,
    channel: str,
    sender: str,
    topics: Iterable[str],
    block_id: str,
    name: str,
    facts: Facts,
) -> Finding:
    words = {
        "block": name,
        "promise": str(_WORDS.get(capability, capability)),
        "channel": str(CHANNEL_LABELS.get(channel, channel)),
        "topics": ", ".join(facts.label_of(topic) for topic in topics if topic) or _("everything"),
        "sender": sender,
    }
    field = facts.field_of(block_id, "channels", "topics")
    if said == "unsent":
        text = _(
            "“%(block)s” offers %(channel)s for %(topics)s, and nobody is named who sends that, so nobody keeps it. "
            "Take the channel out, or ask your developers to name its sender (SENDERS in the settings)."
        )
        return Finding("error", "promise-unsent", text % words, block_id, field)
    if said == "broken":
        text = _(
            "“%(block)s” promises %(promise)s, and “%(sender)s”, which sends %(topics)s by %(channel)s, does not keep "
            "it. Take it out, or ask your developers to let the sender ask before each message."
        )
        return Finding("error", "promise-broken", text % words, block_id, field)
    scope = ("", channel)
    fields = [facts.place(sender, capability, scope, topic, channel) for topic in topics]
    if names := list(dict.fromkeys(filter(None, fields))):
        words["fields"] = ", ".join(names)
        text = _(
            "“%(block)s” promises %(promise)s, and “%(sender)s”, which sends %(topics)s by %(channel)s, only notes it down, "
            "in %(fields)s: messages go on as before unless your segments over there use that. Ask who builds them, before "
            "people rely on it."
        )
        code = "pause-stored" if capability == "pause" else "promise-stored"
        return Finding("warning", code, text % words, block_id, field)
    if capability == "pause":
        text = _(
            "“%(sender)s”, which sends %(topics)s by %(channel)s, only notes down a pause (“%(block)s”): messages go on "
            "unless whoever writes them looks at the note. Ask who does, before people rely on it."
        )
        return Finding("warning", "pause-stored", text % words, block_id, field)
    text = _(
        "“%(block)s” promises %(promise)s, and “%(sender)s”, which sends %(topics)s by %(channel)s, only notes it down. "
        "Ask your developers who obeys that note."
    )
    return Finding("warning", "promise-stored", text % words, block_id, field)
