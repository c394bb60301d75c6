"""One person as staff see her: gathered from state, ledger, deliveries and the audit log. Nothing is written here.

The number of statements depends on how many topics there are - one decision each on each of its channels - and never on
how many people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.models import ModelLogEntry

from ..backends.registry import backends
from ..blocks.words import CHANNEL_LABELS, FREQUENCY_LABELS, in_order
from ..conf import conf
from ..contacts import rules, services as contacts
from ..contacts.addresses import masked
from ..contacts.models import Contact
from ..decisions import periods
from ..decisions.glance import glance
from ..decisions.services import Decision, Verdict
from ..delivery.models import Delivery, Lane
from ..ledger import services as ledger
from ..ledger.models import Record
from ..topics.models import Topic
from ..values import (
    CHANNELS,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Json,
    Key,
    Target,
    key_to_scope,
)
from . import staff_log, staff_words as words
from .outcomes import can_retry, outcome_in_words, said

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Records on one page of a history, and entries of the audit log beside it.
PAGE = 25
LOOKS = 20

VERDICTS: dict[Verdict, _StrPromise] = {
    Verdict.SEND: gettext_lazy("May be sent"),
    Verdict.DEFER: gettext_lazy("Must wait"),
    Verdict.DIGEST: gettext_lazy("Only in a digest"),
    Verdict.REFUSE: gettext_lazy("Must not be sent"),
}

SOURCES: dict[str, _StrPromise] = {
    "import": gettext_lazy("from an import"),
    "site": gettext_lazy("from the site"),
    "page": gettext_lazy("from the page"),
    "browser": gettext_lazy("from her browser"),
    "staff": gettext_lazy("from staff"),
    "dispute": gettext_lazy(
        "programs name different countries, so the strictest law holds until she says which"
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What she said about a topic on a channel; `said` is None where the topic does not come that way."""

    said: str | None = None
    yes: bool = False
    waits: bool = False
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A topic with its cells, in the order of the columns."""

    key: str
    label: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """How often, and until when not at all, for everything, a channel or a topic."""

    scope: str
    label: str
    frequency: str
    paused_until: datetime | None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender would be told now."""

    topic: str
    channel: str
    verdict: str
    decision: Decision

    @property
    def sends(self) -> bool:
        return self.decision.verdict is Verdict.SEND


@dataclass(frozen=True, slots=True)
class Past:
    """One submission, with what proves it."""

    receipt: UUID
    version: int
    at: datetime
    by: str
    lines: tuple[str, ...]
    evidence: str = ""
    evidence_at: datetime | None = None
    reason: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one backend knows of her."""

    row: Delivery
    outcome: str
    codes: str
    waits_until: datetime | None = None
    can_retry: bool = False
    configured: bool = True

    @property
    def done(self) -> bool:
        return self.row.delivered >= self.row.wanted

    @property
    def said(self) -> list[str]:
        return said(self.row)


@dataclass(frozen=True)
class Person:
    """A contact, loaded. `at` is when; `before` is a version: the history begins before it."""

    contact: Contact
    target: Target
    topics: Sequence[Topic]
    at: datetime
    before: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> ContactState:
        return self.target.state

    @cached_property
    def now(self) -> ContactState:
        """The state as it holds now."""
        return rules.effective(self.state, self.at)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where her days begin."""
        return periods.zone(self.state.timezone, settings.TIME_ZONE)

    @property
    def live(self) -> bool:
        """Whether anything can be changed."""
        return not (self.state.erased or self.state.merged_into)

    @property
    def address(self) -> str:
        """What everybody may see of it."""
        return masked(self.target.identifiers.email) if self.target.identifiers.email else ""

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The columns: every channel by which a topic comes, or about which she said something."""
        offered = {channel for topic in self.topics for channel in topic.channels}
        return in_order(offered | {channel for _topic, channel in self._keys}, CHANNELS)

    @property
    def channel_labels(self) -> list[str]:
        return [str(CHANNEL_LABELS[channel]) for channel in self.channels]

    @cached_property
    def _keys(self) -> set[Key]:
        return set(self.state.choices) | set(self.state.pending)

    # --- what she chose ----------------------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> list[Row]:
        """Topics that are offered, and those that are not any more and that she said something about."""
        known = {topic.key: topic for topic in self.topics}
        said = {topic for topic, _channel in self._keys}
        kept = [topic for topic in self.topics if not topic.archived or topic.key in said]
        gone = sorted(said - known.keys() - {""})
        whole = [self._row("", "", ())] if "" in said else []
        return [
            *whole,
            *(
                self._row(topic.key, topic.status_words, topic.channels, topic.transactional)
                for topic in kept
            ),
            *(self._row(key, _("There is no such topic any more"), ()) for key in gone),
        ]

    def _row(self, key: str, note: str, offered: Iterable[str], always: bool = False) -> Row:
        silent = _("Always sent") if always else _("Never asked")
        cells = tuple(
            self._cell((key, channel), silent if channel in offered else None) for channel in self.channels
        )
        # Without a topic it is about the channels as a whole.
        return Row(key, self.labels.get(key, key) or _("At all"), note, cells)

    def _cell(self, key: Key, silent: str | None) -> Cell:
        value, until = self.now.choices.get(key), self.now.until.get(key)
        if key in self.now.pending:
            return Cell(_("Waits to be confirmed"), waits=True, until=until)
        if value == SUBSCRIBED:
            return Cell(_("Subscribed"), yes=True, until=until)
        if value == UNSUBSCRIBED:
            ended = self.state.choices.get(key) == SUBSCRIBED
            return Cell(_("Ended by itself") if ended else _("Unsubscribed"))
        return Cell(silent)

    @cached_property
    def limits(self) -> list[Limit]:
        """Frequencies and pauses, for everything first."""
        keys = sorted(set(self.state.frequencies) | set(self.state.pauses), key=self._place)
        return [self._limit(key) for key in keys]

    @cached_property
    def words_now(self) -> dict[str, str]:
        """What holds now, by the names of the fields of the form (`on_behalf_form`)."""
        found = {
            f"choice:{row.key}:{channel}": _cell_words(cell)
            for row in self.rows
            for channel, cell in zip(self.channels, row.cells, strict=True)
            if cell.said
        }
        for limit in self.limits:
            found[f"frequency:{limit.scope}"] = limit.frequency
            if limit.paused_until and not limit.ended:
                found[f"pause:{limit.scope}"] = _until(limit.paused_until)
        return found

    def _place(self, key: Key) -> tuple[int, str]:
        topic, channel = key
        return (2, topic) if topic else (1, f"{CHANNELS.index(channel)}") if channel in CHANNELS else (0, "")

    def _limit(self, key: Key) -> Limit:
        scope, pause = key_to_scope(key), self.state.pauses.get(key)
        code = self.state.frequencies.get(key, "")
        return Limit(
            scope=scope,
            label=words.scope_words(scope, self.labels),
            frequency=str(FREQUENCY_LABELS[code]) if code in FREQUENCY_LABELS else code,
            paused_until=pause.until if pause else None,
            ended=pause is not None and pause.until <= self.at,
        )

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """Her answers: for whoever may see them."""
        return [(name, words.attribute_words(value)) for name, value in sorted(self.state.attributes.items())]

    @property
    def facts(self) -> list[tuple[str, str, str]]:
        """Language, country and time zone, each with where it comes from."""
        named = (("language", _("Language")), ("country", _("Country")), ("timezone", _("Time zone")))
        return [(label, getattr(self.contact, name), self._source(name)) for name, label in named]

    def _source(self, name: str) -> str:
        source = getattr(self.contact, f"{name}_source")
        return str(SOURCES.get(source, source))

    # --- what becomes of it ------------------------------------------------------------------------------------------

    @cached_property
    def answers(self) -> list[Answer]:
        """What a sender that asked now would be told, for every topic that is offered."""
        if not self.live:
            return []
        return [
            self._answer(topic, channel)
            for topic in self.topics
            if not topic.archived
            for channel in in_order(topic.channels, CHANNELS)
        ]

    def _answer(self, topic: Topic, channel: str) -> Answer:
        (decision,) = glance([self.contact.pk], topic.key, channel)
        label = str(CHANNEL_LABELS[channel])
        return Answer(self.labels[topic.key], label, str(VERDICTS[decision.verdict]), decision)

    @cached_property
    def deliveries(self) -> list[Sent]:
        """One line for every backend that should know her, also for one that is no longer configured."""
        lanes = {lane.backend: lane for lane in Lane.objects.all()}
        # By their names: the index begins with the backend.
        aliases = sorted({*conf.backends, *lanes})
        found = Delivery.objects.filter(backend__in=aliases, contact=self.contact.pk).order_by("backend")
        return [self._sent(row, lanes.get(row.backend)) for row in found]

    def _sent(self, row: Delivery, lane: Lane | None) -> Sent:
        configured = row.backend in backends
        closed = lane.paused_until if lane else None
        return Sent(
            row=row,
            outcome=outcome_in_words(row),
            codes=", ".join(dict.fromkeys(filter(None, [row.last_code, *(_parked(row))]))),
            waits_until=closed if closed and closed > self.at else None,
            can_retry=can_retry(row, self.at),
            configured=configured,
        )

    # --- what happened -----------------------------------------------------------------------------------------------

    @cached_property
    def _records(self) -> list[Record]:
        found = Record.objects.filter(contact_ref=self.contact.pk).order_by("-seq")
        if self.before is not None:
            found = found.filter(seq__lt=self.before)
        return list(found[: PAGE + 1])

    @property
    def earlier(self) -> int | None:
        """The version that the next page of the history begins before."""
        return self._records[PAGE - 1].seq if len(self._records) > PAGE else None

    @cached_property
    def history(self) -> list[Past]:
        """Her submissions, the newest first, with actor, evidence and receipt."""
        bodies = {entry.id: _body(entry) for entry in self._records[:PAGE]}
        staff = names(str(body["actor"]["id"]) for body in bodies.values() if body["actor"]["type"] == _ADMIN)
        reasons = staff_log.reasons(self.contact) if staff else {}
        return [
            self._past(entry, bodies[entry.id], staff, reasons.get(str(entry.id), ""))
            for entry in self._records[:PAGE]
        ]

    def _past(self, entry: Record, body: Json, staff: Mapping[str, str], reason: str) -> Past:
        try:
            return Past(
                receipt=entry.id,
                version=entry.seq,
                at=entry.at,
                by=words.actor_words(_actor(body), body["method"], staff),
                lines=tuple(
                    words.effect_words(effect, self.labels, self.zone) for effect in ledger.effects_of(body)
                ),
                evidence=body["evidence_ref"] or "",
                evidence_at=_moment(body.get("evidence_at")),
                reason=reason,
                page=body["source_url"] or "",
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return Past(
                entry.id, entry.seq, entry.at, _("This record cannot be read. Verify her records."), ()
            )

    @cached_property
    def looks(self) -> list[ModelLogEntry]:
        """Who of the staff looked at her, or did something."""
        entries = ModelLogEntry.objects.for_instance(self.contact).select_related("user")
        return list(entries.order_by("-timestamp", "-pk")[:LOOKS])

    @cached_property
    def former(self) -> list[UUID]:
        """Contacts that were merged into her."""
        return list(
            Contact.objects.filter(merged_into=self.contact.pk)
            .order_by("pk")
            .values_list("pk", flat=True)[:10]
        )


_ADMIN = ActorType.ADMIN.value


def load(contact: Contact, *, before: int | None = None) -> Person:
    """A person with her state and the topics of her audience. Raises UnknownContact."""
    topics = offered(contact)
    return Person(
        contact=contact,
        target=contacts.load_target(contact.pk),
        topics=topics,
        at=timezone.now(),
        before=before,
        labels={topic.key: str(topic) for topic in topics},
    )


def offered(contact: Contact) -> list[Topic]:
    """The topics of her audience, with their words."""
    topics = Topic.objects.filter(audience_id=contact.audience_id).order_by("sort_order", "key")
    return list(topics.prefetch_related("texts__locale"))


def _cell_words(cell: Cell) -> str:
    return f"{cell.said} ({_until(cell.until)})" if cell.until else f"{cell.said}"


def _until(moment: datetime) -> str:
    return _("until %(date)s") % {"date": date_format(timezone.localtime(moment), "DATETIME_FORMAT")}


def _parked(row: Delivery) -> list[str]:
    return [str(entry.get("code", "")) for entry in row.parked]


def _body(entry: Record) -> Json:
    """What a record says; of what is no record any more nothing, for just then somebody must be able to look."""
    try:
        body = ledger.read_body(entry)
        _actor(body)
    except (ValueError, KeyError, TypeError):
        return {"actor": {"type": "", "id": ""}}
    return body


def _actor(body: Mapping[str, Any]) -> Actor:
    return Actor(ActorType(body["actor"]["type"]), body["actor"]["id"])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def names(ids: Iterable[str]) -> dict[str, str]:
    """The names that users sign in with; of those who are gone there is only the id."""
    model: Any = get_user_model()
    wanted = []
    for given in set(ids):
        try:
            wanted.append(model._meta.pk.to_python(given))
        except Exception:  # noqa: BLE001, S112 - an id of anybody's making
            continue
    return {str(user.pk): user.get_username() for user in model._default_manager.filter(pk__in=wanted)}
