"""May she be asked for a yes? Not again so soon after a no (security.md LW-10). The rule is pure; its facts are one statement.

This is about asking, on a page, in a mail or at a till: a mail that only asks is marketing itself, and `decide` says
whether it may go out. The mail after a sign-up form is the answer to a request of her own, and not asked about here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, overload
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..conf import conf
from ..contacts import store
from ..contacts.models import Contact, State
from ..law import services as law
from ..ledger.models import Record
from ..topics.models import Topic
from ..values import PENDING, SUBSCRIBED, UNSUBSCRIBED
from .answers import CHUNK, checked, names
from .facts import array, from_array, join
from .values import Standing

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Why she may be asked, or may not, in words.
WORDS: dict[str, _StrPromise] = {
    "free": _("Nothing stands in the way of asking."),
    "unknown": _("There is no such contact."),
    "erased": _("The contact was erased."),
    "merged": _("The contact goes on as another one; ask about that."),
    "unknown_topic": _("There is no such topic."),
    "archived": _("The topic is archived."),
    "not_offered": _("The topic does not come by this channel."),
    "transactional": _("The topic is always sent: there is nothing to ask."),
    "suppressed": _("The address was erased once; only its owner can bring it back."),
    "subscribed": _("The contact has subscribed to this."),
    "pending": _("The contact was asked already, and has not confirmed yet."),
    "refused": _("The contact said no; she is not asked again so soon."),
}


class Asking(NamedTuple):
    """Whether one contact may be asked. `until`: from when on, where it is only too soon; `reason` is a key of WORDS."""

    contact: UUID
    may: bool
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one contact, one topic and one channel. `noes`: when she last said each no that stands."""

    standing: Standing = Standing.UNKNOWN
    country: str = ""
    suppressed: bool = False
    #: "", or why nobody is asked about this topic on this channel
    topic: str = ""
    choice: str = ""
    until: datetime | None = None
    noes: tuple[datetime, ...] = field(default_factory=tuple)
    #: Whether there is a no that no record gives a date to: then it holds.
    undated: bool = False


def judge(contact: UUID, known: Known, at: datetime, rules: law.Rules, days: int) -> Asking:
    """May she be asked at this moment? A no holds for so many `days`, and for longer where her country says so."""
    if known.standing is not Standing.KNOWN:
        return Asking(contact, False, known.standing.value)
    if known.topic:
        return Asking(contact, False, known.topic)
    if known.suppressed:
        return Asking(contact, False, "suppressed")
    holds = known.until is None or known.until > at
    if known.choice == SUBSCRIBED and holds:
        return Asking(contact, False, "subscribed", known.until)
    if known.undated:
        return Asking(contact, False, "refused")
    # A no of hers after that end would leave no trace beside it.
    ended = [known.until] if known.choice == SUBSCRIBED and known.until is not None else []
    if noes := [*known.noes, *ended]:
        last = max(noes)
        until = max(last + timedelta(days=days), law.months_after(last, rules.reask_months))
        if until > at:
            return Asking(contact, False, "refused", until)
    if known.choice == PENDING and holds:
        return Asking(contact, False, "pending", known.until)
    return Asking(contact, True, "free")


@overload
def may_ask(
    contacts: UUID, topic: str, channel: str, at: datetime | None = None, *, audience: int | None = None
) -> Asking: ...
@overload
def may_ask(
    contacts: Sequence[UUID],
    topic: str,
    channel: str,
    at: datetime | None = None,
    *,
    audience: int | None = None,
) -> list[Asking]: ...
def may_ask(
    contacts: UUID | Sequence[UUID],
    topic: str,
    channel: str,
    at: datetime | None = None,
    *,
    audience: int | None = None,
) -> Asking | list[Asking]:
    """May these contacts be asked for a yes to a topic on a channel, at a moment (now)?

    One answer for one contact, a list in the order of the list for many. Who said no - to the topic, the channel or
    everything, and whoever wrote it down - is not asked again for `REASK_DAYS`, longer where her country's law says so.
    A yes that has ended by itself counts as a no from then on. `audience`, its id: contacts of others are answered as if they were not there.

    One statement for every 1,000 contacts. Raises ValueError for a moment without a time zone or out of reach.
    """
    given = (contacts,) if isinstance(contacts, UUID) else tuple(contacts)
    moment = checked(at) if at is not None else timezone.now()
    current, days = law.current(), conf.reask_days
    unique = list(dict.fromkeys(given))
    known: dict[UUID, Known] = {}
    for start in range(0, len(unique), CHUNK):
        known.update(_look(unique[start : start + CHUNK], *names(topic, channel), audience))
    answers = [judge(one, known[one], moment, current.rules_for(known[one].country), days) for one in given]
    return answers[0] if isinstance(contacts, UUID) else answers


#: The columns of a row: the contact's, the topic's, and those of one row of her state with the record behind a no.
_COLUMNS = (
    "asked.place", "contact.id", "contact.country", "contact.suppressed", "contact.erased_at", "contact.merged_into_id",
    "topic.id", "topic.archived", "topic.transactional", "topic.channels",
    "state.topic", "state.channel", "state.choice", "state.pending", "state.choice_until",
    "record.at",
)  # fmt: skip


def _look(contacts: Sequence[UUID], topic: str, channel: str, audience: int | None) -> dict[UUID, Known]:
    values = {
        "contacts": array([str(contact) for contact in contacts]),
        "topic": topic,
        "channel": channel,
        "audience": audience,
        "no": UNSUBSCRIBED,
    }
    rows: dict[int, list[_Row]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_statement(audience is not None), values)
        for place, *row in cursor.fetchall():
            rows[place].append(_Row(*row))
    return {contact: _known(rows[place], topic, channel) for place, contact in enumerate(contacts)}


class _Row(NamedTuple):
    contact: object
    country: str
    suppressed: bool
    erased_at: object
    merged_into: object
    topic: object
    archived: bool
    transactional: bool
    channels: object
    of_topic: str | None
    of_channel: str | None
    choice: str | None
    pending: bool
    until: object
    at: object


def _known(rows: Sequence[_Row], topic: str, channel: str) -> Known:
    first = rows[0]
    if first.contact is None:
        return Known()
    standing = (
        Standing.ERASED if first.erased_at else Standing.MERGED if first.merged_into else Standing.KNOWN
    )
    chosen, until, noes, undated = "", None, list[datetime](), False
    for row in rows:
        if row.choice == UNSUBSCRIBED:
            at = store.as_datetime(row.at)
            noes += [at] if at else []
            undated = undated or at is None
        if (row.of_topic, row.of_channel) == (topic, channel):
            chosen = PENDING if row.pending and row.choice != SUBSCRIBED else row.choice or ""
            until = store.as_datetime(row.until) if chosen != SUBSCRIBED or not row.pending else None
    return Known(
        standing,
        first.country or "",
        bool(first.suppressed),
        _why_not(first, channel),
        chosen,
        until,
        tuple(noes),
        undated,
    )


def _why_not(row: _Row, channel: str) -> str:
    if row.topic is None:
        return "unknown_topic"
    if row.archived:
        return "archived"
    if channel not in store.as_json(row.channels):
        return "not_offered"
    return "transactional" if row.transactional else ""


@cache
def _statement(within: bool) -> str:
    contact, state, topic, record = (
        connection.ops.quote_name(model._meta.db_table) for model in (Contact, State, Topic, Record)
    )
    touches = (
        "(one.topic = '' AND (one.channel = '' OR one.channel = %(channel)s)"
        " OR one.topic = %(topic)s AND one.channel = %(channel)s)"
    )
    joins = [
        join(
            contact,
            "contact",
            "one.id = asked.id" + (" AND one.audience_id = %(audience)s" if within else ""),
        ),
        f"LEFT JOIN {topic} AS topic ON topic.audience_id = contact.audience_id AND topic.key = %(topic)s",
        join(state, "state", f"one.contact_id = contact.id AND {touches}"),
        join(
            record,
            "record",
            "one.contact_ref = asked.id AND one.seq = state.choice_version AND state.choice = %(no)s",
        ),
    ]
    return f"SELECT {', '.join(_COLUMNS)} FROM {from_array('contacts')} AS asked {' '.join(joins)}"  # noqa: S608 - names
