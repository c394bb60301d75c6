"""What was put off goes out when it may, once at most, to whom wants it still."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.mail import smtp
from tests.sending.waiting import (
    DAY,
    HERSELF,
    HOUR,
    START,
    give,
    paused,
    person,
    press,
    record,
    row,
    subjects,
    weekly,
)
from wagtail_prefs.changes import ChangeAddress, Resume, SetChoice
from wagtail_prefs.decisions import services as decisions
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.sending import queue
from wagtail_prefs.sending.drain import Drain, addressed, drain
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.signals import mail_settled, mail_waiting
from wagtail_prefs.sending.values import Status
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import UNSUBSCRIBED, Source

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_mail_of_a_pause_goes_out_when_it_ends(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    assert give(anna, message_id="m1").status is Status.WAITING
    clock.shift(DAY - HOUR)
    assert drain().claimed == 0
    clock.shift(HOUR)
    assert drain().sent == 1
    (got,) = sink.got
    assert (got.recipients, got.message["Subject"]) == ([anna.email], "m1")
    assert got.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    settled = row("m1")
    assert (settled.outcome, settled.packed, settled.lease, settled.code) == ("sent", "", "", "")
    sent = Send.objects.get(message_id="m1")
    assert (sent.waited_since, sent.verdict, sent.sender) == (START, "send", "django")
    assert drain().claimed == 0
    press(got)


def test_a_hundred_wait_and_she_leaves_and_none_is_sent(clock: Any, sink: smtp.Sink) -> None:
    readers = [person(f"reader{number}") for number in range(20)]
    for reader in readers:
        assert give(reader, message_id="first").status is Status.SENT
        record(reader, paused(START + DAY))
        for number in range(5):
            assert give(reader, message_id=f"m{number}").status is Status.WAITING
    assert Waiting.objects.filter(outcome="").count() == 100
    for got in list(sink.got):
        press(got)
    clock.shift(2 * DAY)
    tally = drain()
    assert (tally.claimed, tally.sent, tally.dropped) == (100, 0, 100)
    assert subjects(sink) == ["first"] * 20
    told = Waiting.objects.values_list("outcome", "code", "packed").distinct()
    assert list(told) == [("refused", "unsubscribed", "")]


def test_what_is_pointless_by_now_is_not_sent(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + 3 * DAY))
    assert give(anna, message_id="short", expires=START + 4 * DAY).status is Status.WAITING
    give(anna, message_id="long")
    assert row("long").expires_at == START + 30 * DAY
    record(anna, paused(START + 10 * DAY))
    clock.shift(3 * DAY)
    drain()
    assert row("short").due_at == START + 4 * DAY  # and not the end of the pause
    clock.shift(DAY)
    assert drain().dropped == 1
    assert (row("short").outcome, row("short").packed) == ("expired", "")
    clock.shift(6 * DAY)
    drain()
    assert subjects(sink) == ["long"]


def test_the_oldest_goes_first_and_each_next_one_waits_for_its_period(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", weekly())
    assert give(anna, message_id="m0").status is Status.SENT
    for name in ("m1", "m2", "m3"):
        assert give(anna, message_id=name).status is Status.DIGEST
        clock.shift(HOUR)
    for sent in (1, 2, 3):
        clock.shift(7 * DAY)
        tally = drain()
        assert (tally.sent, tally.put_off) == (1, 3 - sent)
        assert subjects(sink) == ["m0", "m1", "m2", "m3"][: sent + 1]
        waiting = list(Waiting.objects.filter(outcome="").values_list("due_at", flat=True))
        assert waiting == [START.replace(hour=0) + (sent + 1) * 7 * DAY] * (3 - sent)
    assert Send.objects.filter(waited_since__isnull=False).count() == 3


def test_who_ends_her_pause_gets_it_at_once(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + 20 * DAY))
    give(anna, message_id="m1")
    clock.shift(DAY)
    record(anna, Resume("", ""))
    assert drain().sent == 1
    assert subjects(sink) == ["m1"]


def test_it_goes_to_the_address_that_she_has_now(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    message = EmailMessage("m1", "Hello!", "news@brand.example", [f"Anna Ä <{anna.email}>"])
    give(anna, message=message, message_id="m1")
    submissions.record(
        anna.pk, [ChangeAddress("new@mail.example.org")], actor=HERSELF, source=Source(method="python")
    )
    clock.shift(DAY)
    drain()
    (got,) = sink.got
    assert got.recipients == ["new@mail.example.org"]
    assert "new@mail.example.org" in str(got.message["To"])
    assert "Anna Ä" in str(got.message["To"])
    assert "anna@" not in got.message.as_string()


def test_platforms_are_told_her_new_address_as_well() -> None:
    message = EmailMessage(
        "s", "b", "a@brand.example", bcc=["old@mail.example.org"], headers={"To": "old@mail.example.org"}
    )
    message.merge_data = {"old@mail.example.org": {"name": "Anna"}}  # type: ignore[attr-defined]
    found = addressed(message, "new@mail.example.org")
    assert (found.bcc, found.extra_headers) == (["new@mail.example.org"], {"To": "new@mail.example.org"})
    assert found.merge_data == {"new@mail.example.org": {"name": "Anna"}}  # type: ignore[attr-defined]
    same = EmailMessage("s", "b", "a@brand.example", ["NEW@MAIL.example.org"])
    assert addressed(same, "new@MAIL.example.org").to == ["NEW@MAIL.example.org"]


def test_whoever_is_erased_gets_nothing_and_leaves_nothing(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    submissions.erase(anna.pk, actor=HERSELF, source=Source(method="python"))
    assert not Waiting.objects.exists()
    clock.shift(DAY)
    assert drain().claimed == 0
    assert not sink.got


@pytest.mark.parametrize("wants", [True, False])
def test_what_waits_for_one_who_is_merged_is_decided_by_the_winner(
    clock: Any, sink: smtp.Sink, wants: bool
) -> None:
    loser, winner = (
        person("old", paused(START + DAY)),
        person("new", topics=("news",) if wants else ("offers",)),
    )
    give(loser, message_id="m1")
    give(loser, message_id="both")
    if not wants:
        record(winner, SetChoice("news", "email", UNSUBSCRIBED))
    assert give(winner, message_id="both").status is (Status.SENT if wants else Status.REFUSED)
    submissions.merge_contacts(loser.pk, winner.pk, actor=HERSELF, source=Source(method="python"))
    assert set(Waiting.objects.values_list("contact", flat=True)) == {winner.pk}
    clock.shift(DAY)
    drain()
    assert subjects(sink) == (["both", "m1"] if wants else [])
    assert {address for got in sink.got for address in got.recipients} <= {winner.email}


def test_merged_with_one_who_had_it_she_does_not_get_it_again(clock: Any, sink: smtp.Sink) -> None:
    loser, winner = person("old"), person("new", paused(START + DAY))
    assert give(loser, message_id="m1").status is Status.SENT
    assert give(winner, message_id="m1").status is Status.WAITING
    record(loser, paused(START + DAY))
    give(loser, message_id="m2")
    give(winner, message_id="m2")
    submissions.merge_contacts(loser.pk, winner.pk, actor=HERSELF, source=Source(method="python"))
    clock.shift(2 * DAY)
    drain()
    assert sorted(subjects(sink)) == ["m1", "m2"]


def test_the_same_message_given_again_waits_once(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    assert [give(anna, message_id="m1").status for _ in range(2)] == [Status.WAITING] * 2
    assert Waiting.objects.count() == 1
    clock.shift(DAY)
    drain()
    assert give(anna, message_id="m1").status is Status.REPEATED
    assert subjects(sink) == ["m1"]


def test_what_was_sent_meanwhile_by_another_way_is_not_sent(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    clock.shift(DAY)
    assert (
        decisions.decide(anna.pk, "news", "email", record="m1").verdict == "send"
    )  # a sender over HTTP, say
    drain()
    assert (row("m1").outcome, row("m1").code, subjects(sink)) == ("sent", "sent-already", [])


def test_a_withdrawn_mail_is_not_sent(clock: Any, sink: smtp.Sink) -> None:
    anna, ben = person("anna", paused(START + DAY)), person("ben", paused(START + DAY))
    for reader in (anna, ben):
        give(reader, message_id="m1")
        give(reader, message_id="m2")
    assert queue.withdraw("m1", anna.pk) == 1
    assert queue.withdraw("m2") == 2
    assert queue.withdraw("m2") == 0
    clock.shift(DAY)
    drain()
    assert [(got.recipients, str(got.message["Subject"])) for got in sink.got] == [([ben.email], "m1")]
    assert give(anna, message_id="m2").status is Status.SENT  # it was never sent, so it may be sent anew


def test_a_mail_that_was_refused_may_be_put_off_anew(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    queue.withdraw("m1")
    assert give(anna, message_id="m1").status is Status.WAITING
    clock.shift(DAY)
    drain()
    assert subjects(sink) == ["m1"]


# --- servers ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_stops_nothing_for_good_and_eats_no_attempts(clock: Any, mailer: Any) -> None:
    port = smtp.free_port()
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=port, timeout=10)
    readers = [person(f"reader{number}", paused(START + DAY)) for number in range(3)]
    for reader in readers:
        give(reader, message_id="m1")
    clock.shift(DAY)
    for _ in range(5):
        assert drain().claimed == 1  # one look at the door is enough
        clock.shift(HOUR)
    assert set(Waiting.objects.values_list("attempts", "outcome", "lease", "handed_at")) == {
        (0, "", "", None)
    }
    assert not Send.objects.exists()
    sink = smtp.Sink(port)
    with smtp.running(sink):
        assert drain().sent == 3
    assert sorted(sink.to) == sorted(reader.email for reader in readers)


def test_a_process_asks_a_server_that_was_away_no_sooner_than_it_may(clock: Any, mailer: Any) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=smtp.free_port(), timeout=10)
    for name in ("anna", "ben"):
        give(person(name, paused(START + DAY)), message_id="m1")
    clock.shift(DAY)
    process = Drain()
    assert [process.run().claimed for _ in range(3)] == [1, 0, 0]


def test_one_that_is_refused_stops_no_other(clock: Any, sink: smtp.Sink) -> None:
    anna, ben, cleo = (person(name, paused(START + DAY)) for name in ("anna", "ben", "cleo"))
    for reader in (anna, ben, cleo):
        give(reader, message_id="m1")
    sink.fault = lambda command, about: {
        ("rcpt", anna.email): "550 5.1.1 No such user",
        ("text", ben.email): "451 4.3.0 Later",
    }.get((command, about))
    clock.shift(DAY)
    tally = drain()
    assert (tally.sent, tally.failed) == (1, 2)
    found = {waiting.contact: waiting for waiting in Waiting.objects.all()}
    assert (found[anna.pk].outcome, found[anna.pk].code) == ("failed", "smtp-550 5.1.1")
    assert (found[ben.pk].outcome, found[ben.pk].code, found[ben.pk].attempts) == ("", "smtp-451 4.3.0", 1)
    assert found[anna.pk].packed  # staff may send it again
    assert Send.objects.get().contact == cleo.pk  # the others have no place
    sink.fault = lambda *_: None
    assert drain().claimed == 0
    clock.shift(HOUR)
    assert drain().sent == 1
    assert queue.send_again(found[anna.pk])
    assert drain().sent == 1
    assert sorted(sink.to) == sorted([anna.email, ben.email, cleo.email])


def test_one_that_is_cut_off_after_its_text_had_begun_is_uncertain(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    sink.refuse(anna.email, smtp.DROP, "text")
    clock.shift(DAY)
    assert drain().uncertain == 1
    found = row("m1")
    assert (found.outcome, found.code, found.handed_at) == (
        "uncertain",
        "SMTPServerDisconnected",
        START + DAY,
    )
    assert Send.objects.filter(message_id="m1").exists()  # it may have been sent, and counts
    clock.shift(DAY)
    sink.fault = lambda *_: None
    assert drain().claimed == 0
    assert queue.send_again(found)
    assert drain().sent == 1
    assert subjects(sink) == ["m1"]
    assert not queue.send_again(row("m1"))


def test_one_that_is_cut_off_before_is_tried_again(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    sink.refuse(anna.email, smtp.DROP)
    clock.shift(DAY)
    assert drain().failed == 1
    assert (row("m1").outcome, row("m1").attempts, row("m1").handed_at) == ("", 1, None)
    sink.fault = lambda *_: None
    clock.shift(HOUR)
    assert drain().sent == 1


def test_a_mail_whose_key_has_left_the_ring_is_given_up(clock: Any, sink: smtp.Sink, settings: Any) -> None:
    anna, ben = person("anna", paused(START + DAY)), person("ben", paused(START + DAY))
    give(anna, message_id="m1")
    give(ben, message_id="m2")
    Waiting.objects.filter(message_id="m1").update(packed="gone.AAAA")
    clock.shift(DAY)
    assert drain().sent == 1
    assert (row("m1").outcome, row("m1").code, subjects(sink)) == ("failed", "unreadable", ["m2"])


# --- leases -----------------------------------------------------------------------------------------------------------


def test_a_lease_that_ended_before_the_mail_was_handed_over_is_taken_up(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", weekly(), paused(START + DAY))
    give(anna, message_id="m1")
    clock.shift(HOUR)  # of two mails of one moment either is the oldest
    give(anna, message_id="m2")
    clock.move_to(START + DAY)
    taken = queue.claim(START + DAY)
    assert [waiting.message_id for waiting in taken] == ["m1", "m2"]
    assert decisions.decide(anna.pk, "news", "email", record="m1").verdict == "send"  # and then it died
    assert (drain().claimed, queue.claim(START + DAY)) == (0, [])
    clock.shift(queue.LEASE)
    tally = drain()
    assert (tally.sent, tally.put_off) == (1, 1)
    assert subjects(sink) == ["m1"]


@pytest.mark.parametrize("since", ["paused", "left", "expired"])
def test_the_place_of_who_died_is_given_back_where_the_mail_is_not_sent(
    clock: Any, sink: smtp.Sink, since: str
) -> None:
    anna = person("anna", weekly(), paused(START + DAY))
    give(anna, message_id="m1", expires=START + 2 * DAY)
    clock.shift(DAY)
    queue.claim(START + DAY)
    decisions.decide(anna.pk, "news", "email", record="m1")
    if since == "paused":
        record(anna, paused(START + 5 * DAY))
    elif since == "left":
        record(anna, SetChoice("news", "email", UNSUBSCRIBED))
    clock.shift(DAY if since == "expired" else queue.LEASE)
    assert drain().sent == 0
    assert not Send.objects.exists()
    assert not sink.got


def test_a_lease_that_ended_afterwards_leaves_it_uncertain(clock: Any, sink: smtp.Sink, caplog: Any) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    clock.shift(DAY)
    (taken,) = queue.claim(START + DAY)
    assert queue.hand(taken)
    clock.shift(queue.LEASE)
    assert drain().uncertain == 1
    assert (row("m1").outcome, row("m1").code, sink.got) == ("uncertain", "interrupted", [])
    assert f"waiting mail {taken.pk}: interrupted" in caplog.text
    assert queue.settle(taken, "sent")  # it was only slow, and says so yet
    assert (row("m1").outcome, row("m1").packed) == ("sent", "")
    assert not queue.settle(taken, "failed")


def test_a_slow_worker_hands_nothing_over_that_another_has_taken(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    clock.shift(DAY)
    (slow,) = queue.claim(START + DAY)
    clock.shift(queue.LEASE)
    assert drain().sent == 1
    assert not queue.hand(slow)
    assert not queue.put_off(slow, decisions.decide(anna.pk, "news", "email"))
    assert row("m1").outcome == "sent"


def test_a_mail_that_is_taken_back_while_it_is_decided_about_is_not_handed_over(
    clock: Any, sink: smtp.Sink, settings: Any
) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "DECISION_RULES": ["tests.sending.test_drain.withdraws"],
    }
    clock.shift(DAY)
    drain()
    assert (row("m1").outcome, row("m1").code, subjects(sink)) == ("withdrawn", "", [])
    assert not Send.objects.exists()


def withdraws(facts: Any, question: Any, prepared: Any) -> None:
    queue.withdraw("m1")


def test_a_rule_that_fails_for_a_while_costs_nobody_her_mail(
    clock: Any, sink: smtp.Sink, settings: Any
) -> None:
    anna = person("anna", paused(START + DAY))
    give(anna, message_id="m1")
    before = settings.WAGTAIL_PREFS
    settings.WAGTAIL_PREFS = {**before, "DECISION_RULES": ["tests.sending.test_drain.fails"]}
    clock.shift(DAY)
    assert drain().failed == 1
    assert (row("m1").outcome, row("m1").code) == ("", "rule_failed")
    settings.WAGTAIL_PREFS = before
    clock.shift(HOUR)
    assert drain().sent == 1


def fails(facts: Any, question: Any, prepared: Any) -> None:
    raise RuntimeError


def test_a_round_that_is_stopped_lets_go_of_the_rest(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", paused(START + DAY))
    for number in range(3):
        give(anna, message_id=f"m{number}")
        clock.shift(HOUR)
    clock.shift(DAY)
    assert drain(stopping=lambda: len(sink.got) == 1).sent == 1
    assert (
        list(Waiting.objects.filter(outcome="").values_list("lease", "due_at")) == [("", timezone.now())] * 2
    )
    assert drain().sent == 2
    assert subjects(sink) == ["m0", "m1", "m2"]


def test_a_limit_ends_a_round(clock: Any, sink: smtp.Sink) -> None:
    for name in ("anna", "ben", "cleo"):
        give(person(name, paused(START + DAY)), message_id="m1")
    clock.shift(DAY)
    assert [drain(limit=2).sent for _ in range(3)] == [2, 1, 0]


# --- cost -------------------------------------------------------------------------------------------------------------


def test_a_look_at_nothing_costs_one_statement(clock: Any, django_assert_num_queries: Any) -> None:
    give(person("anna", paused(START + DAY)), message_id="m1")
    with django_assert_num_queries(1):
        assert drain().claimed == 0


@pytest.mark.usefixtures("sink")
def test_what_a_mail_costs_does_not_grow(clock: Any, django_assert_num_queries: Any) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            drain()
        return len(captured)

    costs = []
    for count in (1, 2, 4):
        for number in range(count):
            give(person(f"reader{count}-{number}", paused(timezone.now() + DAY)), message_id="m1")
        clock.shift(DAY)
        costs.append(cost())
    assert costs[2] - costs[1] == 2 * (costs[1] - costs[0])
    assert costs[1] - costs[0] <= 20


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_tell_and_receivers_that_fail_stop_nothing(clock: Any, sink: smtp.Sink, caplog: Any) -> None:
    told: list[tuple[str, str]] = []

    def note(sender: Any, waiting: Waiting, outcome: str = "", **_: Any) -> None:
        told.append((waiting.message_id, outcome))
        raise RuntimeError("a secret of anna@mail.example.org")

    mail_waiting.connect(note)
    mail_settled.connect(note)
    try:
        anna = person("anna", paused(START + DAY))
        give(anna, message_id="m1")
        clock.shift(HOUR)
        give(anna, message_id="m2", expires=START + DAY + HOUR)
        give(anna, message_id="m3")
        queue.withdraw("m3")
        clock.move_to(START + DAY)
        drain()
    finally:
        mail_waiting.disconnect(note)
        mail_settled.disconnect(note)
    assert told == [("m1", ""), ("m2", ""), ("m3", ""), ("m3", "withdrawn"), ("m1", "sent"), ("m2", "sent")]
    assert "note (RuntimeError)" in caplog.text
    assert "anna" not in caplog.text
