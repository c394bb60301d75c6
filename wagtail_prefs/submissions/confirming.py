"""A sign-up, and what becomes of it when the owner of the address confirms it (security.md LW-11).

What somebody answered on a page waits in the row of the link that was mailed. The button behind that link saves it as
her own act, on the snapshot that was shown, so that the proof names the notice and the bases that were before her eyes.
What she has changed since, on her own page, is newer than the sign-up, and stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from .. import keys
from ..access.services import Once, consume
from ..centers import services as centers
from ..centers.leaves import read
from ..centers.services import Snapshot
from ..changes import Confirm
from ..contacts import rules, services as contacts
from ..contacts.models import Contact
from ..errors import BadToken, InvalidAnswers, KeyReused, NotPublished
from ..ledger import services as ledger
from ..ledger.models import Record
from ..topics.models import Topic
from ..values import SUBSCRIBED, Actor, ActorType, Answers, ContactState, Json, Key, Merged, Source
from . import services
from .gone import gone_answers, gone_topics, without
from .gpc import Shared
from .wishes import wishes
from .words import Line, Words, words_of

METHOD = "confirm"
_SHE = Actor(ActorType.SUBJECT_LINK)


@dataclass(frozen=True, slots=True)
class SignUp:
    """What waits for a confirmation. `version` is the contact's when it was asked for, `choices` every yes in it."""

    revision: str
    answers: Answers
    locale: str
    source_url: str
    version: int
    choices: tuple[Key, ...]

    def to_json(self) -> Json:
        """As the row of the link holds it."""
        return {
            "revision": self.revision,
            "answers": services.plain_answers(self.answers),
            "locale": self.locale,
            "source_url": self.source_url,
            "version": self.version,
            "choices": [list(key) for key in self.choices],
        }

    @classmethod
    def of(cls, link: Once) -> SignUp:
        """What waits behind a link. Raises BadToken where it was emptied since: used, or too old."""
        said = link.answers
        try:
            choices = tuple((str(topic), str(channel)) for topic, channel in said["choices"])
            return cls(
                said["revision"],
                said["answers"],
                said["locale"],
                said["source_url"],
                said["version"],
                choices,
            )
        except KeyError as emptied:
            raise BadToken("used") from emptied

    @property
    def snapshot(self) -> Snapshot | None:
        """What was shown; None where nobody has it any more."""
        try:
            return centers.get_snapshot(self.revision)
        except NotPublished:
            return None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a confirmation comes to, or came to: what is saved, and what is not and why."""

    locale: str
    applied: tuple[Line, ...] = ()
    merged: tuple[Line, ...] = ()


def expected(link: Once) -> Confirmed:
    """What the button would save now. Changes nothing. Raises BadToken for a link that is used up."""
    sign_up, now = SignUp.of(link), timezone.now()
    state = contacts.load_state(link.contact_id)
    snapshot = sign_up.snapshot
    act = rules.Act(_SHE, now, address=link.email)
    if snapshot is None:
        _after, effects = rules.apply(state, _bare(link, sign_up), act)
        return Confirmed(sign_up.locale, Words((), sign_up.locale, state.timezone).past(effects))
    answers, lost = _possible(snapshot, sign_up.answers, state, now)
    wished = wishes(snapshot, answers, state, now, "fresh")
    changes, gone = without(
        wished.changes, gone_topics(snapshot, wished.changes), gone_answers(snapshot, answers), state
    )
    accepted, yielded = rules.merge(state, changes, min(sign_up.version, state.version), act)
    _after, effects = rules.apply(state, accepted, act)
    yielded = (*lost, *wished.hidden, *gone, *yielded)
    words = words_of(snapshot, state.timezone)
    return Confirmed(snapshot.locale, words.applied(effects, yielded), words.merged(yielded))


def confirm(link: Once, shared: Shared = services.NOTHING_SHARED) -> Confirmed:
    """Use the link up and save what waits behind it, in one transaction; no yes to a topic of `shared` (`gpc`).

    Raises BadToken for a link that somebody has used in just this moment or that is too old, UnknownContact for one
    whose contact is gone; then nothing was changed.
    """
    sign_up = SignUp.of(link)
    snapshot = sign_up.snapshot
    with transaction.atomic():
        # First the contact, then her link, as everybody goes who takes both.
        told = (
            _save_bare(link, sign_up, shared) if snapshot is None else _save(link, sign_up, snapshot, shared)
        )
        consume(link)
    return told


def confirmed(link: Once, locale: str) -> Confirmed:
    """What the button has saved, read from her records; in `locale` where nothing was left to save."""
    own = Contact.objects.filter(link_id=link.link_id).values("pk")
    entry = Record.objects.filter(
        Q(contact_ref=link.contact_id) | Q(contact_ref__in=own),
        idempotency_key__in=keys.digests("idempotency-key", _key(link).encode()),
    ).first()
    if entry is None:
        return Confirmed(locale)
    body = ledger.read_body(entry)
    effects, yielded = ledger.effects_of(body), ledger.merged_of(body)
    zone = contacts.load_state(link.contact_id).timezone
    try:
        snapshot = centers.get_snapshot(body["form_version"] or "")
    except NotPublished:
        return Confirmed(locale, Words((), locale, zone).past(effects))
    words = words_of(snapshot, zone)
    return Confirmed(snapshot.locale, words.applied(effects, yielded), words.merged(yielded))


def _save(link: Once, sign_up: SignUp, snapshot: Snapshot, shared: Shared) -> Confirmed:
    answers, lost = sign_up.answers, list[Merged]()
    while True:
        try:
            saved = services.submit(
                link_id=link.link_id,
                epoch=link.epoch,
                snapshot=snapshot,
                base_version=sign_up.version,
                answers=answers,
                actor=_SHE,
                source=_source(link, sign_up),
                idempotency_key=_key(link),
                assurance="fresh",
                shared=shared,
            )
        except InvalidAnswers as refused:
            answers, more = _but(snapshot, answers, refused)
            lost += more
        except KeyReused as repeated:  # the same link, and less of it was possible then
            raise BadToken("used") from repeated
        else:
            words = words_of(snapshot, saved.state.timezone)
            return Confirmed(snapshot.locale, saved.applied, (*words.merged(lost), *saved.merged))


def _save_bare(link: Once, sign_up: SignUp, shared: Shared) -> Confirmed:
    """What is left where nobody has the page any more: a yes to each topic that still waits for it."""
    saved = services.record(
        link.contact_id,
        [change for change in _bare(link, sign_up) if change.topic not in shared],
        actor=_SHE,
        source=_source(link, sign_up),
        idempotency_key=_key(link),
    )
    words = Words((), sign_up.locale, saved.state.timezone)
    return Confirmed(sign_up.locale, words.past(saved.effects))


def _bare(link: Once, sign_up: SignUp) -> list[Confirm]:
    topics = {topic for topic, _channel in sign_up.choices}
    offered = Topic.objects.filter(audience_id=link.audience_id, key__in=topics, archived=False)
    kept = set(offered.values_list("key", flat=True))
    return [Confirm(topic, channel) for topic, channel in sign_up.choices if topic in kept]


def _possible(
    snapshot: Snapshot, answers: Answers, state: ContactState, now: datetime
) -> tuple[Answers, list[Merged]]:
    """The answers that can still be saved, and what is named instead of the others."""
    lost: list[Merged] = []
    while True:
        try:
            wishes(snapshot, answers, state, now, "fresh")
        except InvalidAnswers as refused:
            answers, more = _but(snapshot, answers, refused)
            lost += more
        else:
            return answers, lost


def _but(snapshot: Snapshot, answers: Answers, refused: InvalidAnswers) -> tuple[Answers, list[Merged]]:
    """The answers without the blocks that are refused by now: days pass, and so does what a page may ask of her."""
    # Where no block is to blame, it is all of them.
    lost = set(answers) & set(refused.errors) or set(answers)
    if not lost:
        raise refused
    named = [
        Merged(path, SUBSCRIBED if path.startswith("choice:") else None, None, "gone")
        for spec in snapshot.specs
        if spec.block_id in lost
        for path, (dotted, _label) in spec.paths.items()
        if _holds(answers[spec.block_id], dotted)
    ]
    return {block_id: given for block_id, given in answers.items() if block_id not in lost}, named


def _holds(given: Mapping[str, Any], dotted: str) -> bool:
    return read(given, dotted.split(".")) is not None


def _source(link: Once, sign_up: SignUp) -> Source:
    return Source(
        method=METHOD,
        form_id=str(link.center),
        form_version=sign_up.revision,
        language=sign_up.locale,
        source_url=sign_up.source_url or None,
    )


def _key(link: Once) -> str:
    return f"confirm.{link.row}"
