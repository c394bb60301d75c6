"""What happens in the midst of a mail: she is erased, merged, told by another - and nothing is lost, sent twice or kept."""

from __future__ import annotations

import smtplib
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils.functional import lazystr

from tests.mail import smtp
from tests.sending.test_digests import MONDAY, compose, composing, of_two_topics
from tests.sending.waiting import DAY, HERSELF, HOUR, START, give, paused, person, row, subjects, weekly
from wagtail_prefs import send
from wagtail_prefs.decisions import services as decisions
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.sending import queue
from wagtail_prefs.sending.drain import Drain, drain
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.signals import mail_settled
from wagtail_prefs.sending.values import Status
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Source

pytestmark = pytest.mark.django_db(transaction=True)


class Interrupting(BaseEmailBackend):
    """Does something while a mail is handed over, once, and takes the others."""

    event: Callable[[], None] | None = None
    taken: list[str] = []

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        event, Interrupting.event = Interrupting.event, None
        if event is not None:
            event()
        self.taken.extend(recipient for message in email_messages for recipient in message.to)
        return len(email_messages)


def erase(contact: Any) -> None:
    submissions.erase(contact.pk, actor=HERSELF, source=Source(method="python"))


def test_who_is_merged_while_the_server_says_later_gets_it_later(clock: Any, mailer: Any) -> None:
    anna, ben = person("anna", weekly(), paused(START + DAY)), person("ben")
    give(anna, message_id="m1")

    def merge() -> None:
        submissions.merge_contacts(anna.pk, ben.pk, actor=HERSELF, source=Source(method="python"))
        raise smtplib.SMTPDataError(451, b"4.3.2 Later")

    mailer(f"{__name__}.Interrupting")
    Interrupting.event = merge
    Interrupting.taken.clear()
    clock.shift(DAY)
    drain()
    assert Interrupting.taken == []
    assert not Send.objects.exists()  # neither hers nor his
    clock.shift(HOUR)
    Drain().run()
    assert Interrupting.taken == [ben.email]
    assert row("m1").outcome == "sent"


def test_who_is_erased_while_her_mail_is_put_away_leaves_none(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + 20 * DAY))
    erased: list[bool] = []

    class Body:
        def __str__(self) -> str:
            if not erased:
                erased.append("pack" in {frame.name for frame in traceback.extract_stack()})
                erase(anna)
            return "monday"

    message = EmailMessage("m1", "Hello!", "news@brand.example", [anna.email])
    message.tags = lazystr(Body())  # type: ignore[attr-defined]
    outcome = give(anna, message_id="m1", message=message)
    assert erased == [True]  # after it was decided
    assert not Waiting.objects.exists()
    assert (outcome.status, outcome.decision and outcome.decision.reason) == (Status.REFUSED, "erased")


def test_what_another_has_sent_since_it_was_taken_is_not_sent_again(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    clock.shift(HOUR)
    give(anna, message_id="m2")

    def another(waiting: Waiting, **_more: Any) -> None:
        if waiting.message_id == "m1":
            assert decisions.decide(anna.pk, "news", "email", record="m2").verdict == "send"

    mail_settled.connect(another)
    clock.shift(DAY)
    try:
        drain()
    finally:
        mail_settled.disconnect(another)
    assert subjects(sink) == ["m1"]
    assert (row("m2").outcome, row("m2").code) == ("sent", "sent-already")
    assert Send.objects.filter(message_id="m2").count() == 1


@pytest.mark.usefixtures("sink")
def test_one_who_is_erased_stops_no_note_of_others(clock: Any) -> None:
    anna, ben = person("anna"), person("ben")
    order = EmailMessage("Order", "Thank you", "shop@brand.example", [anna.email, ben.email])
    with transaction.atomic():
        assert send(order, "orders", message_id="order 7", sender="shop").status is Status.SENT
        erase(anna)
    assert list(Send.objects.values_list("message_id", "contact", "sender")) == [("order 7", ben.pk, "shop")]


def test_the_place_of_a_digest_is_given_back_though_its_oldest_mail_is_pointless(
    clock: Any, sink: smtp.Sink
) -> None:
    anna = of_two_topics()
    Waiting.objects.filter(message_id="m1").update(
        created_at=START - HOUR, expires_at=MONDAY + queue.LEASE / 2
    )
    clock.move_to(MONDAY)
    oldest = queue.claim(MONDAY)[0]
    assert oldest.message_id == "m1"
    assert decisions.decide(anna.pk, "news", "email", record=f"digest-{oldest.pk.hex}").verdict == "send"
    clock.shift(queue.LEASE)
    with composing(lambda digest: digest.send(compose(digest))):
        assert drain().sent == 2
    assert row("m1").outcome == "expired"


def test_a_mail_that_nobody_can_read_holds_up_no_digest(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()
    Waiting.objects.filter(message_id="m2").update(packed="gone.AAAA")
    clock.move_to(MONDAY)
    with composing(lambda digest: digest.send(compose(digest))):
        drain()
        clock.shift(HOUR)
        drain()
    assert (row("m2").outcome, row("m2").code) == ("failed", "unreadable")
    assert {row("m1").outcome, row("m3").outcome} == {"in_digest"}


def test_a_message_is_taken_back_from_all_in_pieces(clock: Any, monkeypatch: Any) -> None:
    people = [person(f"reader{number}", paused(START + DAY)) for number in range(5)]
    for one in people:
        give(one, message_id="m1")
    give(people[0], message_id="m2")
    monkeypatch.setattr(queue, "BATCH", 2)
    assert queue.withdraw("m1", people[0].pk) == 1
    assert (queue.withdraw("m1"), queue.withdraw("m1")) == (4, 0)
    assert [*Waiting.objects.filter(outcome="").values_list("message_id", flat=True)] == ["m2"]
