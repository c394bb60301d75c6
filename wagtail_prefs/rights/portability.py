"""Everybody of an audience as lines of JSON, for moving to another system (security.md LW-13).

Whoever wants nothing any more - she left, her address was erased once, mail to it comes back - leaves as a suppression and
as nothing else: her address and why, so that the other system keeps from writing to her, and no word of her profile or
her choices. Who is erased is not there at all, and who was merged stands with whom she is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from ..ciphers import Unreadable
from ..contacts import rules, store
from ..contacts.models import Contact
from ..topics.models import Audience
from ..values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Json, iso, key_to_scope

#: Of the lines; a new field is no new number, one that is gone or means something else is.
FORMAT = 1
#: People that two statements fetch.
BATCH = 1000
#: She wants no e-mail at all.
_REFUSED = "channel_refused"


def everybody(audience: Audience) -> Iterator[Json]:
    """A line about the file, one for each person in the order of their ids, and one that says it is whole.

    As much memory for a million as for a thousand. Raises ciphers.Unreadable where the key of somebody's address or
    answers is missing: such a file would lose her.
    """
    yield {"kind": "about", "format": FORMAT, "audience": audience.key, "made_at": iso(timezone.now())}
    people = suppressions = 0
    rows = Contact.objects.filter(audience=audience, merged_into=None, erased_at=None).order_by("pk")
    after = None
    while True:
        page = rows if after is None else rows.filter(pk__gt=after)
        dead = dict(page.values_list("pk", "email_dead_at")[:BATCH])
        if not dead:
            break
        after = max(dead)
        for found in sorted(store.load_many(list(dead)), key=lambda one: one.state.id):
            if found.unreadable:
                raise Unreadable
            for line in _lines(found, dead[found.state.id]):
                suppressions += line["kind"] == "suppression"
                people += line["kind"] == "person"
                yield line
    yield {"kind": "end", "people": people, "suppressions": suppressions}


def _lines(found: store.Loaded, dead: datetime | None) -> Iterator[Json]:
    """What leaves of one person. Who wants no e-mail at all, but something on another channel, goes without her address."""
    state = rules.effective(found.state, timezone.now())
    if state.erased or state.merged_into is not None:  # in just this moment
        return
    reason, address = _reason(state, dead), found.email
    if reason:
        yield {"kind": "suppression", "email": address, "external_id": found.external_id, "reason": reason}
        if reason != _REFUSED or SUBSCRIBED not in state.choices.values():
            return
        address = ""
    yield {
        "kind": "person",
        "contact": str(state.id),
        "email": address,
        "external_id": found.external_id,
        "language": state.language,
        "country": state.country,
        "timezone": state.timezone,
        "choices": [
            {
                "topic": topic,
                "channel": channel,
                "choice": state.choices.get((topic, channel), ""),
                "waits_for_confirmation": (topic, channel) in state.pending,
                "until": _moment(state.until.get((topic, channel))),
            }
            for topic, channel in sorted(state.choices.keys() | state.pending)
        ],
        "frequencies": [
            {"scope": key_to_scope(key), "frequency": code} for key, code in sorted(state.frequencies.items())
        ],
        "pauses": [
            {"scope": key_to_scope(key), "until": iso(pause.until)}
            for key, pause in sorted(state.pauses.items())
        ],
        "profile": dict(sorted(state.attributes.items())),
    }


def _reason(state: ContactState, dead: datetime | None) -> str:
    """Why nothing may be sent to her address; "" where something may."""
    if state.opted_out:
        return "opted_out"
    if state.suppressed:
        return "suppressed"
    if dead is not None:
        return "dead_address"
    by_mail = {choice for (topic, channel), choice in state.choices.items() if topic and channel == "email"}
    refuses = state.choices.get(("", "email")) == UNSUBSCRIBED and SUBSCRIBED not in by_mail
    return _REFUSED if refuses else ""


def _moment(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None
