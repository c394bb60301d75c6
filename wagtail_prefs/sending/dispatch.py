"""One mail on its way: decided, given its headers, handed over, and its place given back where it was not.

The decision is taken right before the mail is handed over, and stands before it does: so nothing of this may happen in
a transaction that is still open (docs/decisions/sending-waits-for-no-commit.md).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

from django.core.mail import EmailMessage
from django.db import connection as database

from ..contacts.models import Contact
from ..decisions.headers import add_headers
from ..decisions.models import Send
from ..decisions.services import Decision, Verdict, decide, give_back
from ..mail.server import NotTaken, Verdict as Answered, judge, may_have_arrived, unasked
from .values import Letter

#: Why `decide` says `send` of a message that has its place already, and of a topic that asks nobody.
RECORDED, ALWAYS = "recorded", "transactional"


class Connection(Protocol):
    """What a mail backend of Django is to us. One that returns 0, and raises nothing, has taken nothing."""

    def send_messages(self, messages: Sequence[EmailMessage], /) -> int | None: ...


class Line:
    """A mail backend, opened when the first mail goes out and closed after the last, unless it was open before."""

    def __init__(self, connection: Any) -> None:
        self.connection = unasked(connection)
        self._opened = False

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened:
            self._close()

    @property
    def writes_headers(self) -> bool:
        """Whether our mail goes out as we write it: platforms with an API of their own make their own Message-ID."""
        return any(kind.__module__.startswith("django.core.mail.backends.") for kind in self._kinds())

    def send_messages(self, messages: Sequence[EmailMessage], /) -> int | None:
        """Raises what the backend does, and NotTaken where it takes nothing and does not say why."""
        try:
            if self.connection.open():
                self._opened = True
            sent: int | None = self.connection.send_messages(messages)
        except Exception as error:
            if judge(error).verdict in {Answered.BROKEN, Answered.AWAY}:
                self._close()  # the next mail finds another connection
            raise
        if sent == 0:
            raise NotTaken
        return sent

    def _kinds(self) -> list[type]:
        base = "django.core.mail.backends.base"
        return [kind for kind in type(self.connection).__mro__ if kind.__module__ != base]

    def _close(self) -> None:
        with suppress(Exception):  # what was taken is taken, however the server says goodbye
            self.connection.close()


def go(letter: Letter, connection: Connection, *, once: bool = False) -> Decision:
    """Send one mail to one contact if she may have it; returns the decision, and on `send` the mail is handed over.

    A marketing mail gets its headers; the message itself stays as it is, but for what django-anymail notes on it. What
    the connection raises is raised on. Then the message has its place no more - unless it may have arrived all the same
    (`mail.server.may_have_arrived`): two are one too many. With `once`, a message that has its place already is not handed
    over: `recorded` then says that it was before.

    Raises RuntimeError in a transaction, and what `decide` and `add_headers` raise.
    """
    stay_out_of_transactions()
    contact = letter.contact
    decision = decide(
        contact.pk,
        letter.topic,
        letter.channel,
        record=letter.message_id,
        sender=letter.sender,
        audience=contact.audience_id,
    )
    if decision.verdict is not Verdict.SEND or (once and decision.reason == RECORDED):
        return decision
    with place(letter.message_id, [contact.pk]):
        message = twin(letter.message)
        if decision.reason != ALWAYS:
            add_headers(message, contact, letter.topic, letter.channel, letter.center, mailto=letter.mailto)
        hand(message, letter.message, connection)
    if letter.waited_since is not None:
        found = Send.objects.filter(message_id=letter.message_id, contact=contact.pk)
        found.update(waited_since=letter.waited_since)
    return decision


@contextmanager
def place(message_id: str, contacts: Collection[UUID]) -> Iterator[None]:
    """What is done with the places of a message: they are given back where this raises and the mail did not arrive."""
    try:
        yield
    except BaseException as error:
        if contacts and not may_have_arrived(error) and give_back(message_id, contacts) < len(contacts):
            # Whoever was merged while the server was asked has taken her places along.
            merged = Contact.objects.filter(pk__in=contacts, merged_into__isnull=False)
            for former, now in list(merged.values_list("pk", "merged_into")):
                if not Send.objects.filter(message_id=message_id, contact=former).exists():
                    give_back(message_id, now)
        raise


def twin(message: EmailMessage) -> EmailMessage:
    """A message that may get headers of its own: callers send theirs again, or share a dict among many.

    It has no connection: Django's backend for tests copies what it gets to the bottom, and a lock cannot be copied.
    """
    found = copy.copy(message)
    found.extra_headers = dict(message.extra_headers)
    for name in ("connection", "_connection"):  # Django before 6.1, and after it
        if name in vars(found):
            vars(found)[name] = None
    return found


def hand(message: EmailMessage, original: EmailMessage, connection: Connection) -> None:
    """Hand a message over. What django-anymail notes on it - the platform's id - is noted on the original as well."""
    try:
        sent = connection.send_messages([message])
    finally:
        note_on(original, message)
    if sent == 0:
        raise NotTaken


def note_on(original: EmailMessage, message: EmailMessage) -> None:
    """What a platform calls the mail: callers keep it, to know its events by."""
    if "anymail_status" in vars(message):
        original.anymail_status = message.anymail_status  # type: ignore[attr-defined]


def is_in_transaction() -> bool:
    """Whether what is written now may yet be rolled back.

    As `atomic(durable=True)` has it, the transaction that Django's TestCase wraps around a test is none.
    """
    blocks = database.atomic_blocks
    if not database.in_atomic_block:
        return not database.get_autocommit()
    return not getattr(blocks[-1], "_from_testcase", False) if blocks else True


def stay_out_of_transactions() -> None:
    """Raises RuntimeError where what is decided could be rolled back after the mail is out."""
    if is_in_transaction():
        raise RuntimeError(
            "A mail that asks first cannot be sent in a transaction: a rollback would forget that it went out, and "
            "until the commit nobody could save her choices. Send it afterwards: transaction.on_commit(lambda: ...)."
        )
