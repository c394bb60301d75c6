"""Which mail a link is about, and what was said of it when it was sent. For the page that answers whoever got it."""

from __future__ import annotations

from uuid import UUID

from ..access.services import Link, message_digest
from ..decisions.models import Send
from ..ledger import services as ledger
from ..ledger.models import Record
from ..values import SUBSCRIBED, ContactState

#: So many of her newest mails of that topic are looked at: years of daily ones.
LOOKED_AT = 1_000


def find(link: Link) -> Send | None:
    """The note of the mail that a link stands in; None where nobody made one. One statement."""
    rows = Send.objects.filter(contact=link.contact_id)
    if link.topic:
        rows = rows.filter(topic=link.topic, channel=link.channel)
    newest = rows.order_by("-at").values_list("pk", "message_id")[:LOOKED_AT]
    named = (pk for pk, message in newest if message_digest(link.link_id, message) == link.message)
    pk = next(named, None) if link.message else None
    return None if pk is None else Send.objects.filter(pk=pk).first()


def consent(state: ContactState, topic: str, channel: str, behind: UUID | None) -> Record | None:
    """The record in which she said yes to a topic: the one `behind` a decision, else the one that holds now."""
    path = f"choice:{topic}:{channel}"
    if behind is not None:
        found = Record.objects.filter(pk=behind, contact_ref=state.id).first()
    else:
        found = Record.objects.filter(contact_ref=state.id, seq=state.versions.get(path, 0)).first()
    if found is None:
        return None
    effects = ledger.effects_of(ledger.read_body(found))
    return found if any(one.path == path and one.after == SUBSCRIBED for one in effects) else None
