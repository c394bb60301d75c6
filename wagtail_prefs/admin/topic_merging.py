"""Merging one topic into another: counted beforehand, begun once, and carried over in pieces that can be repeated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from ..blocks.words import CHANNEL_LABELS, in_order
from ..contacts import store
from ..contacts.models import Contact, State
from ..contacts.rules import effective
from ..errors import UnknownContact
from ..submissions import services as submissions
from ..topics.merging import Verdict, changes
from ..topics.models import Topic, TopicMerge
from ..values import CHANNELS, FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source
from .topic_numbers import live_states

#: Contacts that are looked at together, and the seconds after which a request gives an answer.
BATCH = 100
SECONDS = 3.0
#: Rows of state by channel; those of the topic as a whole, which hold caps and pauses, stand at "".
_CHANNELS = ("", *CHANNELS)


@dataclass(frozen=True, slots=True)
class ChannelOutcome:
    """Of one channel: how many people there are of each verdict (by its value)."""

    label: str
    people: dict[str, int]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a merge would do to today's contacts. `limits`: people whose rarer cap or longer pause goes over."""

    channels: tuple[ChannelOutcome, ...]
    limits: int


def possible_winners(loser: Topic) -> Any:
    """The topics that another may go on as: of the same audience, still offered, and free to choose."""
    return (
        Topic.objects.filter(audience=loser.audience_id, archived=False, transactional=False)
        .exclude(pk=loser.pk)
        .prefetch_related("texts__locale")
    )


def forecast(loser: Topic, winner: Topic) -> Forecast:
    """Count what a merge would do: two statements, however many people there are."""
    values = {
        "loser": loser.key,
        "winner": winner.key,
        "audience": loser.audience_id,
        "now": connection.ops.adapt_datetimefield_value(timezone.now()),
        "yes": SUBSCRIBED,
        "no": UNSUBSCRIBED,
    }
    offered = {f"offered{number}": channel for number, channel in enumerate(CHANNELS)}
    offered = {name: channel if channel in winner.channels else "" for name, channel in offered.items()}
    found: dict[str, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_verdicts_sql(), {**values, **offered})
        for channel, verdict, people in cursor.fetchall():
            found.setdefault(channel, {})[verdict] = people
        cursor.execute(_limits_sql(), values)
        (limits,) = cursor.fetchone()
    nobody = {verdict.value: 0 for verdict in Verdict}
    channels = tuple(
        ChannelOutcome(str(CHANNEL_LABELS[channel]), {**nobody, **found[channel]})
        for channel in in_order(found, CHANNELS)
    )
    return Forecast(channels, limits)


def begin(loser: Topic, winner: Topic, *, reason: str, user: Any) -> TopicMerge:
    """Archive the loser, so that nobody chooses it any more, and note what it goes on as."""
    with transaction.atomic():
        Topic.objects.select_for_update().get(pk=loser.pk)
        found = TopicMerge.objects.filter(loser=loser, done_at=None).first()
        if found is not None:  # somebody else was faster, or the button was pressed twice
            return found
        merge = TopicMerge.objects.create(loser=loser, winner=winner, reason=reason, started_by=str(user.pk))
        loser.archived = True
        loser.save(update_fields=["archived"])
    return merge


def go_on(merge: TopicMerge, *, seconds: float = SECONDS, batch: int = BATCH) -> TopicMerge:
    """Carry a merge on for about so many seconds; returns it as it then stands, `done_at` set where it is through.

    May be stopped anywhere and done twice at once: what is carried over already gives nothing to do.
    """
    ends = monotonic() + seconds
    while True:
        merge = TopicMerge.objects.select_related("loser", "winner").get(pk=merge.pk)
        if merge.done_at is not None:
            return merge
        _step(merge, batch)
        if monotonic() >= ends:
            return TopicMerge.objects.select_related("loser", "winner").get(pk=merge.pk)


def stop(loser: Topic) -> None:
    """End a merge that is under way: the topic is brought back. What was carried over stays."""
    TopicMerge.objects.filter(loser=loser, done_at=None).update(done_at=timezone.now())


def _step(merge: TopicMerge, batch: int) -> None:
    """Look at the next rows, and say how far we came - unless another request said so first."""
    rows = live_states(merge.loser).filter(channel=merge.channel).order_by("contact_id")
    if merge.after is not None:
        rows = rows.filter(contact_id__gt=merge.after)
    people = list(rows.values_list("contact_id", flat=True)[:batch])
    offered = frozenset(merge.winner.channels)
    now = timezone.now()
    carried = 0
    for found in store.load_many(people):
        if changes(effective(found.state, now), merge.loser.key, merge.winner.key, offered):
            carried += _carry_over(merge, found.state.id, offered)
    place: dict[str, Any] = {"after": people[-1]} if people else {"after": None}
    if len(people) < batch:
        number = _CHANNELS.index(merge.channel) + 1
        place = {"after": None}
        place |= {"channel": _CHANNELS[number]} if number < len(_CHANNELS) else {"done_at": timezone.now()}
    here = TopicMerge.objects.filter(pk=merge.pk, channel=merge.channel, after=merge.after, done_at=None)
    here.update(looked_at=F("looked_at") + len(people), **place)
    if carried:
        TopicMerge.objects.filter(pk=merge.pk).update(changed=F("changed") + carried)


def _carry_over(merge: TopicMerge, contact_id: UUID, offered: frozenset[str]) -> bool:
    """One contact, under her lock: what she says herself in this moment must not be overtaken. True where it changed."""
    with suppress(UnknownContact), transaction.atomic():
        held = Contact.objects.select_for_update().filter(pk=contact_id).values_list("pk").first()
        found = store.load(contact_id) if held else None
        if found is None:
            return False
        state = effective(found.state, timezone.now())
        wanted = changes(state, merge.loser.key, merge.winner.key, offered)
        if not wanted:
            return False
        saved = submissions.record(
            contact_id,
            wanted,
            actor=Actor(ActorType.ADMIN, merge.started_by),
            source=Source(method="topic_merge", form_id=f"topic-merge-{merge.pk}"),
        )
        return saved.receipt is not None
    return False


# --- the statements of a forecast: topics.merging.verdict for everybody at once --------------------------------------


@cache
def _verdicts_sql() -> str:
    offered = ", ".join(f"%(offered{number})s" for number in range(len(CHANNELS)))
    left = "everything.choice = %(no)s"
    verdict = (
        f"CASE WHEN {_no('old')} THEN"
        f" CASE WHEN {_no('new')} THEN '{Verdict.BOTH_NO}'"
        f" WHEN {_yes('new')} THEN"
        f" CASE WHEN new.choice_version > old.choice_version THEN '{Verdict.STAYS}' ELSE '{Verdict.LEAVES}' END"
        f" ELSE '{Verdict.REFUSED}' END"
        f" WHEN NOT ({_yes('old')} OR {_waits('old')}) THEN ''"
        f" WHEN {_no('new')} THEN '{Verdict.NO_STAYS}'"
        f" WHEN {_yes('new')} THEN '{Verdict.BOTH}'"
        f" WHEN {_waits('new')} THEN '{Verdict.WAITING}'"
        f" WHEN contact.suppressed OR {left} OR old.channel NOT IN ({offered}) THEN '{Verdict.LOST}'"
        f" ELSE '{Verdict.ASKED}' END"
    )
    everything = _join("everything", "everything.topic = '' AND everything.channel = ''")
    return (
        f"SELECT channel, verdict, COUNT(*) FROM (SELECT old.channel AS channel, {verdict} AS verdict"  # noqa: S608
        f" {_people()} {everything} WHERE {_of_the_loser()} AND old.channel <> '') AS seen"
        " WHERE verdict <> '' GROUP BY channel, verdict"
    )


@cache
def _limits_sql() -> str:
    pauses = (
        "old.paused_until > %(now)s AND (new.paused_until IS NULL OR new.paused_until <= %(now)s"
        " OR old.paused_until > new.paused_until)"
    )
    return (
        f"SELECT COUNT(*) {_people()} WHERE {_of_the_loser()} AND old.channel = ''"
        f" AND ({_rarity('old')} > {_rarity('new')} OR ({pauses}))"
    )


def _people() -> str:
    """The rows of the loser with their contacts, and those of the winner beside them."""
    quote = connection.ops.quote_name
    return (
        f"FROM {quote(State._meta.db_table)} AS old"
        f" JOIN {quote(Contact._meta.db_table)} AS contact ON contact.id = old.contact_id"
        f" {_join('new', 'new.topic = %(winner)s AND new.channel = old.channel')}"
    )


def _join(name: str, condition: str) -> str:
    table = connection.ops.quote_name(State._meta.db_table)
    return f"LEFT JOIN {table} AS {name} ON {name}.contact_id = old.contact_id AND {condition}"


def _of_the_loser() -> str:
    return (
        "old.topic = %(loser)s AND contact.audience_id = %(audience)s"
        " AND contact.merged_into_id IS NULL AND contact.erased_at IS NULL"
    )


def _ended(row: str) -> str:
    return f"(NOT {row}.pending AND {row}.choice_until IS NOT NULL AND {row}.choice_until <= %(now)s)"


def _yes(row: str) -> str:
    return f"({row}.choice = %(yes)s AND NOT {_ended(row)})"


def _no(row: str) -> str:
    return f"({row}.choice = %(no)s OR ({row}.choice = %(yes)s AND {_ended(row)}))"


def _waits(row: str) -> str:
    return f"({row}.pending AND ({row}.choice_until IS NULL OR {row}.choice_until > %(now)s))"


def _rarity(row: str) -> str:
    steps = " ".join(f"WHEN '{code}' THEN {rank}" for rank, code in enumerate(FREQUENCIES))
    return f"(CASE {row}.frequency {steps} ELSE -1 END)"
