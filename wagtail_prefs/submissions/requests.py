"""Working off what strangers typed: whose address it is, and which mail goes there (security.md AB-01..AB-06).

A request left one row, whoever it was about; all that depends on the person happens here, where nobody waits for the
answer. What a row comes to, its mail and its end are one transaction, so two workers never do one twice, and a worker
that dies leaves it as it was. A mail goes to the stored address, never to the typed one.

A sign-up by somebody whom nobody knows changes nobody's choices: it only notes which of them wait for a confirmation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from ..access import services as access
from ..access.models import AccessRequest, OneTimeLink
from ..access.services import Purpose, limits
from ..centers import services as centers
from ..centers.services import Center, Snapshot
from ..changes import Change, SetChoice
from ..conf import conf
from ..contacts import rules, services as contacts
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..delivery.backoff import delay
from ..delivery.drain import never
from ..errors import KeyReused, PrefsError, UnknownContact
from ..mail import services as mail
from ..values import CHANNELS, PENDING, SUBSCRIBED, Actor, ActorType, ContactState, Key, Source, controls_of
from . import services
from .confirming import SignUp
from .gone import gone_topics
from .tasks import nudge
from .unconfirmed import SIGN_UP, was_only_signed_up
from .wishes import wishes

__all__ = ["nudge", "work_off"]

logger = logging.getLogger("wagtail_prefs.requests")

#: A request that cannot be worked off is tried for so long; then whoever made it has long given up, too.
KEPT = timedelta(days=1)
#: Who asks for somebody whom nobody knows: it is no consent, whoever she turns out to be.
_SYSTEM = Actor(ActorType.SYSTEM, SIGN_UP)


def work_off(limit: int = 200, stopping: Callable[[], bool] = never) -> int:
    """Work off what is due, the oldest first, at most `limit` of it; returns how many rows are gone.

    One statement where there is nothing to do. Another worker's rows are left to it. One that fails is put off and
    tried again, for a day. Raises DatabaseError where not even that can be noted.
    """
    due = AccessRequest.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    worked = 0
    for row in list(due[:limit]):
        if stopping():
            break
        try:
            worked += _take(row)
        except Exception as error:  # noqa: BLE001 - one that fails must not stop the others
            # The type and not the text, which may hold an address.
            worked += _put_off(row, type(error).__name__)
    return worked


def _take(row: AccessRequest) -> bool:
    """Do what a row asks for and delete it; False where somebody else has it."""
    with transaction.atomic():
        if not _lock(row):
            return False
        try:
            with transaction.atomic():
                _WORK[AccessRequest.Kind(row.kind)](row)
        except _Dropped:
            # What it asks for cannot be had. Nobody is told, and nothing remembers it.
            logger.info("a request (%s) was dropped: it cannot be fulfilled", row.kind)
    return True


def _lock(row: AccessRequest) -> bool:
    """Take a row by deleting it, which counts once the transaction ends; False where another worker was quicker."""
    rows = AccessRequest.objects.filter(pk=row.pk, attempts=row.attempts)
    if (
        connection.features.has_select_for_update_skip_locked
        and not rows.select_for_update(skip_locked=True).exists()
    ):
        return False
    return bool(rows.delete()[0])


def _put_off(row: AccessRequest, code: str) -> bool:
    """Try again later; True where it was given up."""
    rows = AccessRequest.objects.filter(pk=row.pk, attempts=row.attempts)
    now = timezone.now()
    if now - row.asked_at >= KEPT:
        rows.delete()
        logger.error("a request (%s) was given up after %s tries (%s)", row.kind, row.attempts + 1, code)
        return True
    rows.update(attempts=row.attempts + 1, due_at=now + delay(row.attempts + 1))
    logger.warning("a request (%s) failed (%s) and will be tried again", row.kind, code)
    return False


class _Dropped(Exception):
    """Nothing can be done for this request, however often it is tried."""


# --- send me my link -------------------------------------------------------------------------------------------------


def _link(row: AccessRequest) -> None:
    """Mail her link to whoever has the address: also after an opt-out, and to one that was erased once and is known
    again, because that is how she comes back. How often is counted where it was asked for.

    Whoever was only signed up is not known yet: else a stranger could have more mails sent to an address by signing
    it up first.
    """
    found = _known(row)
    if found is None:
        return
    contact = _held(found)
    if was_only_signed_up(contact.pk):
        return
    center = _center(row, contact.language)
    _post(
        "access_link",
        contact,
        center.locale,
        url=access.manage_url(contact, row.center, host=_host(row, center)),
        center_title=centers.get_snapshot(center.digest).document["title"],
    )


def _known(row: AccessRequest) -> Contact | None:
    """The living contact of the address, in whatever spelling, whose mail can arrive."""
    try:
        found = contacts.find(row.audience_id, row.address)
    except (ValidationError, UnicodeError):
        return None
    return found if found is not None and _is_reached(found) else None


def _is_reached(contact: Contact) -> bool:
    return contact.erased_at is None and contact.email_dead_at is None and bool(contact.email)


def _held(contact: Contact) -> Contact:
    """The same, locked: nobody is erased, merged or moved before the mail is written, and nobody gets two at once."""
    held = Contact.objects.select_for_update().get(pk=contact.pk)
    if held.merged_into_id or not _is_reached(held):
        raise UnknownContact  # since we looked: the next try finds whom she became
    return held


# --- sign up ---------------------------------------------------------------------------------------------------------


def _sign_up(row: AccessRequest) -> None:
    """Note what waits, and mail the link that confirms it - or, to one who has all of it, the link to her choices."""
    center, snapshot = _center(row, ""), _shown(row)
    wanted = _wanted(row, center, snapshot)
    contact = _contact_of(row, snapshot)
    if contact is None:
        return
    state = contacts.load_state(contact.pk)
    missing = _missing(state, wanted)
    labels = _labels(snapshot, missing or wanted)
    title = snapshot.document["title"]
    if not missing:
        if limits.hit("confirm_address", "already", *_by(row, center)).allowed:
            url = access.manage_url(contact, row.center, host=_host(row, center))
            _post("already_signed_up", contact, snapshot.locale, url=url, center_title=title, topics=labels)
        return
    if not _has_room(contact, row):
        return
    version = _wait(row, contact, snapshot, missing, state)
    if version is None:
        return
    sign_up = SignUp(
        revision=snapshot.digest,
        answers=row.details["answers"],
        locale=snapshot.locale,
        source_url=row.details.get("source_url", ""),
        version=version,
        choices=tuple(missing),
    )
    url = access.issue(
        Purpose.CONFIRM,
        contact,
        center=row.center,
        host=_host(row, center),
        answers=sign_up.to_json(),
    )
    days = conf.confirm_link_life.days
    _post("confirm", contact, snapshot.locale, url=url, center_title=title, topics=labels, days=days)


def _shown(row: AccessRequest) -> Snapshot:
    try:
        snapshot = centers.get_snapshot(row.details["revision"])
    except (PrefsError, KeyError) as error:
        raise _Dropped from error
    if snapshot.center != row.center:
        raise _Dropped
    return snapshot


def _wanted(row: AccessRequest, center: Center, snapshot: Snapshot) -> list[Key]:
    """Every yes of the answers to a topic that there still is, in the order of the page.

    Held against what somebody new is offered, whoever she is: nobody is signed up for what only some may have.
    """
    nobody = ContactState(id=UUID(int=0), audience=center.audience_key, language=snapshot.locale)
    try:
        changes: Iterable[Change] = wishes(
            snapshot, row.details["answers"], nobody, timezone.now(), "fresh"
        ).changes
    except (PrefsError, KeyError) as error:
        raise _Dropped from error
    gone = gone_topics(snapshot, changes)
    found = [
        change.key
        for change in changes
        if isinstance(change, SetChoice) and change.topic not in {"", *gone} and change.value == SUBSCRIBED
    ]
    if not found:
        raise _Dropped
    # However the database keeps the members of an answer: as people meet them on the page.
    rows = [
        row["key"]
        for spec in snapshot.specs
        for control in controls_of(spec.document)
        for row in control.get("rows", ())
    ]
    return sorted(found, key=lambda key: (_index(rows, key[0]), _index(CHANNELS, key[1])))


def _index(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _contact_of(row: AccessRequest, snapshot: Snapshot) -> Contact | None:
    """Whose address it is, made if nobody has it; locked. None where no mail can arrive."""
    try:
        found = contacts.get_or_create(row.audience_id, row.address, language=snapshot.locale, source=SIGN_UP)
    except (ValidationError, UnicodeError) as error:
        raise _Dropped from error
    if not _is_reached(found):
        return None
    return _held(found)


def _missing(state: ContactState, wanted: Iterable[Key]) -> list[Key]:
    """What she does not get yet. An address that was erased once gets nothing, whatever it chose before that."""
    if state.suppressed or state.opted_out:
        return list(wanted)
    choices = rules.effective(state, timezone.now()).choices
    return [key for key in wanted if choices.get(key) != SUBSCRIBED]


def _has_room(contact: Contact, row: AccessRequest) -> bool:
    """Whether she may get another mail to confirm (security.md AB-06).

    Counted by the rows of the links themselves: exact however long the windows are, and in this transaction, so that
    a try that failed has used nothing up.
    """
    spans, now = limits.spans("confirm_address"), timezone.now()
    longest = max((seconds for _times, seconds in spans), default=0)
    issued = OneTimeLink.objects.filter(
        contact=contact,
        purpose=Purpose.CONFIRM.value,
        center=row.center,
        issued_at__gt=now - timedelta(seconds=longest),
    ).values_list("issued_at", flat=True)
    moments = list(issued)
    return all(
        sum(moment > now - timedelta(seconds=seconds) for moment in moments) < times
        for times, seconds in spans
    )


def _by(row: AccessRequest, center: Center) -> tuple[str, str, str]:
    return center.audience_key, str(row.center), canonical_email(row.address)


def _wait(
    row: AccessRequest, contact: Contact, snapshot: Snapshot, missing: Iterable[Key], state: ContactState
) -> int | None:
    """Record that these choices wait; returns her version then, None where this very request was recorded before."""
    until = _end_of_wait(timezone.now())
    try:
        saved = services.record(
            contact.pk,
            [SetChoice(topic, channel, PENDING, until) for topic, channel in missing],
            actor=_SYSTEM,
            source=Source(
                method="sign_up",
                form_id=str(row.center),
                form_version=snapshot.digest,
                language=snapshot.locale,
                source_url=row.details.get("source_url") or None,
                address_as_entered=row.address,
            ),
            idempotency_key=f"{SIGN_UP}.{row.idempotency_key}" if row.idempotency_key else None,
        )
    except KeyReused:
        return None
    return saved.version if saved.receipt else state.version


def _end_of_wait(now: datetime) -> datetime:
    return now + conf.confirm_link_life


def _labels(snapshot: Snapshot, keys: Iterable[Key]) -> list[str]:
    """What the page calls these choices: `News by e-mail`."""
    names = {path: label for spec in snapshot.specs for path, (_where, label) in spec.paths.items()}
    return [names[path] for topic, channel in keys if (path := f"choice:{topic}:{channel}") in names]


# --- both ------------------------------------------------------------------------------------------------------------


def _center(row: AccessRequest, language: str) -> Center:
    """The center as it is published now, in her language if it has it, else as it was asked for."""
    try:
        center = centers.current(row.center, language or None, row.locale)
    except PrefsError as error:
        raise _Dropped from error
    if center.audience_id != row.audience_id:
        raise _Dropped
    return center


def _host(row: AccessRequest, center: Center) -> int | None:
    """The host page it was asked from, as long as there is one of that number."""
    return row.host if row.host is not None and row.host < len(center.host_pages) else None


def _post(kind: str, contact: Contact, locale: str, **context: object) -> None:
    mail.post(
        kind,
        to=contact.email,
        audience_id=contact.audience_id,
        locale=locale,
        context=context,
        contact=contact.pk,
    )


_WORK: dict[AccessRequest.Kind, Callable[[AccessRequest], None]] = {
    AccessRequest.Kind.LINK: _link,
    AccessRequest.Kind.SIGN_UP: _sign_up,
}
