"""`wagtail_prefs.send`: a mail of the site, asked about, given its headers, sent, put off or refused, and noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any
from uuid import UUID

from django.core.mail import EmailMessage
from django.core.mail.utils import DNS_NAME
from django.db import transaction
from django.utils import timezone
from wagtail.models import Site

from .. import keys
from ..canonical import canonical
from ..conf import conf
from ..contacts.models import Contact
from ..decisions import headers
from ..decisions.answers import check_message as check_id, check_sender
from ..decisions.services import Decision, Verdict, decide, sent
from ..errors import UnknownContact
from ..ids import uuid7
from ..mail.server import connection_of_settings
from ..topics.models import Topic
from . import dispatch, finding, marks as marking, queue
from .dispatch import RECORDED, Line
from .models import Waiting
from .values import Letter, Marks, Outcome, Status

CHANNEL = "email"
#: RFC 5322 s2.2. Django looks at what stands in headers, and not at how they are called.
_NAME = re.compile(r"[!-9;-~]+")
#: Some platforms send to whomever these name.
_MORE_READERS = {"cc", "bcc", "resent-to", "resent-cc", "resent-bcc"}
#: Whoever is behind an address that we do not know.
NOBODY = UUID(int=0)


def send(
    message: EmailMessage,
    topic: str,
    *,
    contact: Contact | None = None,
    site: Site | None = None,
    message_id: str = "",
    center: UUID | None = None,
    sender: str = "django",
    expires: datetime | None = None,
    mailto: str = "",
    connection: Any = None,
) -> Outcome:
    """Send a mail about a topic if its reader may have it, now or later; says what became of it.

    Marketing goes to one reader, who is a contact of the site (of the default one without); `contact` spares looking
    for her. It gets the headers of `add_headers`, which `center` and `mailto` are for. A mail about a topic that is
    always sent goes to any number of addresses, and gets none.

    `message_id` names the message, one name for all its readers: a marketing message that went to her, or waits for her,
    under this name does not go again, so a job may be run twice. Without one every call is a message of its own.
    `expires` is from when it is pointless (WAITING_DAYS from now without); `sender` is how you call yourself in reports.
    `connection` is an open one of Django's, for many mails; else that of the message, else the one of the settings.

    Raises ValueError for a topic that there is not or that does not come by e-mail, for several readers, and for what
    `add_headers` refuses; RuntimeError for marketing in a transaction; packing.CannotWait where the mail had to wait and
    cannot; and whatever the mail server answers. The message stays as it is and may be given once more.
    """
    told = Marks(
        topic=topic, message_id=message_id, contact=contact, site=site, center=center, expires=expires,
        sender=sender, mailto=mailto,
    )  # fmt: skip
    found = plan(message, told)
    with Line(connection or _own(message) or connection_of_settings()) as line:
        return deliver(found, line)


@dataclass(frozen=True, slots=True)
class Plan:
    """A mail whose marks make sense: `message` is ours, a twin of the `original` without them."""

    original: EmailMessage
    message: EmailMessage
    topic: Topic
    marks: Marks
    message_id: str


def plan(message: EmailMessage, marks: Marks | None, topic: Topic | None = None) -> Plan:
    """What a mail is, before anybody is asked. One statement, none where its topic is given. Raises as `send` does."""
    if not isinstance(message, EmailMessage):
        raise TypeError("give an EmailMessage of django.core.mail, or one of its kinds")
    marks, topic = _about(marks, topic)
    if marks.message_id:
        check_id(marks.message_id)
    check_sender(marks.sender)
    if marks.expires is not None and timezone.is_naive(marks.expires):
        raise ValueError("`expires` needs a time zone")
    if CHANNEL not in topic.channels:
        raise ValueError(f"the topic {topic.key!r} does not come by e-mail")
    if not all(_NAME.fullmatch(str(name)) for name in message.extra_headers):
        raise ValueError("the name of a header is printable ASCII without a colon")
    ours = dispatch.twin(message)
    marking.strip(ours)
    if topic.transactional:
        _check_always(ours)
    else:
        dispatch.stay_out_of_transactions()
        _check_marketing(ours, marks)
    return Plan(message, ours, topic, marks, marks.message_id or uuid7().hex)


def _about(marks: Marks | None, topic: Topic | None) -> tuple[Marks, Topic]:
    """The marks of a mail, or of one that has none, and their topic."""
    if marks is not None:
        if not marks.topic:
            raise ValueError("say what the mail is about: the key of its topic")
        return marks, topic or finding.topic(marks.topic, contact=marks.contact, site=marks.site)
    if not conf.unnamed_mail:
        raise ValueError(
            "this mail does not say what it is about. Give it headers={'X-Prefs-Topic': 'news'}, send it in "
            "`with about('news'):` (wagtail_prefs.sending.marks), or name in WAGTAIL_PREFS['UNNAMED_MAIL'] the "
            "always-sent topic that mails without a name are about."
        )
    found = topic or finding.always_sent(conf.unnamed_mail)
    return Marks(topic=found.key), found


def _check_marketing(message: EmailMessage, marks: Marks) -> None:
    recipients = message.recipients()
    if len(recipients) != 1:
        raise ValueError(
            f"a mail that can be refused goes to one reader, and this one has {len(recipients)} (to, cc, bcc): "
            "send each of them a mail of her own, with the same `message_id`"
        )
    if not _MORE_READERS.isdisjoint(str(name).lower() for name in message.extra_headers):
        raise ValueError(
            "a mail that can be refused has no header that names more readers (Cc, Bcc, Resent-...)"
        )
    address = marks.contact.email if marks.contact is not None else headers.canonical_recipient(recipients[0])
    if not address:
        raise ValueError("the recipient is no address, or not clearly one")
    headers.check_message(message, address, marks.mailto)


def _check_always(message: EmailMessage) -> None:
    if headers.has_one(message):
        raise ValueError(
            "a topic that is always sent has nothing to leave: take List-Unsubscribe off its mail"
        )


def deliver(given: Plan, line: Line) -> Outcome:
    """Send what was planned, or not; see `send`."""
    if given.topic.transactional:
        return _always(given, line)
    marks, message_id, now = given.marks, given.message_id, timezone.now()
    contact = marks.contact or _reader(given)
    if contact is None:
        refusal = decide(
            NOBODY, given.topic.key, CHANNEL, sender=marks.sender, audience=given.topic.audience_id
        )
        return Outcome(Status.REFUSED, message_id, None, refusal)
    expires = marks.expires or now + conf.waiting_life
    if expires <= now:
        return Outcome(Status.EXPIRED, message_id, contact.pk, None)
    if marks.message_id and (waiting := _waiting(message_id, contact)) is not None:
        return waiting
    if line.writes_headers:
        _name(given.message, given)
    letter = Letter(
        given.message, contact, given.topic.key, message_id, CHANNEL, marks.center, marks.sender, marks.mailto,
        expires,
    )  # fmt: skip
    try:
        decision = dispatch.go(letter, line, once=True)
    finally:
        dispatch.note_on(given.original, given.message)
    try:
        status = _status(letter, decision)
    except queue.Gone:
        status = Status.REFUSED
        decision = decide(
            contact.pk, given.topic.key, CHANNEL, sender=marks.sender, audience=contact.audience_id
        )
    return Outcome(status, message_id, contact.pk, decision)


def _reader(given: Plan) -> Contact | None:
    recipient = given.message.recipients()[0]
    found = finding.contacts(given.topic.audience, [headers.canonical_recipient(recipient)])
    return next(iter(found.values()), None)


def _waiting(message_id: str, contact: Contact) -> Outcome | None:
    """What became of a message that was put off before: it goes out by itself, and not twice."""
    rows = Waiting.objects.filter(message_id=message_id, contact=contact.pk, outcome="")
    kind = rows.values_list("kind", flat=True).first()
    if kind is None:
        return None
    status = Status.DIGEST if kind == Waiting.Kind.DIGEST else Status.WAITING
    return Outcome(status, message_id, contact.pk, None)


def _status(letter: Letter, decision: Decision) -> Status:
    """What a decision comes to; puts off what is to wait."""
    match decision.verdict:
        case Verdict.SEND:
            return Status.REPEATED if decision.reason == RECORDED else Status.SENT
        case Verdict.REFUSE:
            return Status.REFUSED
    if decision.until is None or letter.expires_at is None or decision.until >= letter.expires_at:
        return Status.EXPIRED
    queue.put(letter, decision)
    return Status.DIGEST if decision.verdict is Verdict.DIGEST else Status.WAITING


# --- what is always sent ----------------------------------------------------------------------------------------------


def _always(given: Plan, line: Line) -> Outcome:
    """To whom we do not know as well, and in a transaction too: nobody's choices stand in its way."""
    message = given.message
    known = _known(message, given.topic)
    people = list(dict.fromkeys(contact.pk for contact in known.values()))
    open_ended = dispatch.is_in_transaction()
    decisions = _ask(given, people, None if open_ended else given.message_id)
    wanted = [decision.contact for decision in decisions if decision.verdict is Verdict.SEND]
    for field in ("to", "cc", "bcc"):
        kept = [one for one in getattr(message, field) if one not in known or known[one].pk in wanted]
        setattr(message, field, kept)
    alone = len(given.original.recipients()) == 1
    contact, decision = (people[0], decisions[0]) if alone and people else (None, None)
    if given.topic.archived or not message.recipients():
        return Outcome(Status.REFUSED, given.message_id, contact, decision)
    if line.writes_headers:
        _name(message, given)
    if open_ended:
        dispatch.hand(message, given.original, line)
        _note_after_commit(given, wanted)
    else:
        with dispatch.place(given.message_id, wanted):
            dispatch.hand(message, given.original, line)
    return Outcome(Status.SENT, given.message_id, contact, decision)


def _known(message: EmailMessage, topic: Topic) -> dict[str, Contact]:
    """The contacts among the recipients, by recipient. Whoever was merged is none: her address is not hers any more."""
    addresses = {one: headers.canonical_recipient(one) for one in message.recipients()}
    found = finding.contacts(topic.audience, dict.fromkeys(filter(None, addresses.values())))
    return {
        one: found[address]
        for one, address in addresses.items()
        if address in found and found[address].merged_into_id is None
    }


def _ask(given: Plan, people: list[UUID], record: str | None) -> list[Decision]:
    """What is decided about these. They are locked for this one statement alone: not while a mail server is asked."""
    if not people:
        return []
    return decide(
        people,
        given.topic.key,
        CHANNEL,
        record=record,
        sender=given.marks.sender,
        audience=given.topic.audience_id,
    )


def _note_after_commit(given: Plan, people: Sequence[UUID]) -> None:
    """It is out, whatever becomes of the transaction; what is rolled back is missing in the report, and no more."""
    now = timezone.now()

    def note() -> None:
        for person in people:
            with suppress(
                UnknownContact, ValueError
            ):  # she was erased, or her topic, and the next one was not
                sent(given.message_id, person, given.topic.key, CHANNEL, now, sender=given.marks.sender)

    transaction.on_commit(note, robust=True)


# --- the message itself -----------------------------------------------------------------------------------------------


def _name(message: EmailMessage, given: Plan) -> None:
    """Give a mail the same Message-ID at every try, so that mailboxes can tell a repeat. It says nothing of anybody."""
    if any(name.lower() == "message-id" for name in message.extra_headers):
        return
    told = canonical([given.topic.key, given.message_id, *sorted(message.recipients())])
    name = keys.digest("message-id", told)[:32]
    domain = headers.ascii_host(parseaddr(str(message.from_email))[1].rpartition("@")[2])
    message.extra_headers = {**message.extra_headers, "Message-ID": f"<{name}@{domain or DNS_NAME}>"}


def _own(message: EmailMessage) -> Any:
    """The connection that a message brings along; Django 6.1 would warn of its attribute."""
    mine = vars(message)
    return mine.get("_connection") or mine.get("connection")
