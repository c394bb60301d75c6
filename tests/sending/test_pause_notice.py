"""Who paused for long is told once when it ends, by whoever looks first, and what waited comes later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from tests import factories
from wagtail_prefs.access.services import Purpose, open_link
from wagtail_prefs.changes import Change, OptOut, Pause, PauseFor, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.decisions import counting
from wagtail_prefs.decisions.models import DecisionCount
from wagtail_prefs.decisions.services import decide, sent
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.sending import pause_notice
from wagtail_prefs.sending.models import PauseNoticeMark, Waiting
from wagtail_prefs.sending.pause_notice import announce_ended_pauses, caught_up
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.wishes import resolved
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

BEGIN = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
#: When a month from the first of March is over where nobody said where she lives (the tests' TIME_ZONE is UTC).
OVER = datetime(2027, 4, 1, tzinfo=UTC)

Travel = Callable[[datetime], None]


@pytest.fixture
def travel() -> Any:
    with time_machine.travel(BEGIN, tick=False) as traveller:
        factories.make_topics()
        announce_ended_pauses()  # the first look of all
        yield traveller.move_to


def wish(contact: Contact, *changes: Change, form: str | None = None) -> None:
    known = resolved(changes, load_state(contact.pk), timezone.now())
    source = Source(method="page", form_id=form)
    submissions.record(contact.pk, known, actor=Actor(ActorType.SUBJECT_LINK), source=source)


def make(
    name: str = "anna", *, zone: str = "", topics: tuple[str, ...] = ("news",), **fields: Any
) -> Contact:
    contact = factories.make_contact(f"{name}@mail.example.org")
    Contact.objects.filter(pk=contact.pk).update(timezone=zone, **fields)
    if topics:
        wish(contact, *(SetChoice(topic, "email", SUBSCRIBED) for topic in topics))
    return Contact.objects.get(pk=contact.pk)


def pause(contact: Contact, length: str = "P1M", channel: str = "", form: str | None = None) -> datetime:
    wish(contact, PauseFor("", channel, length=length), form=form)
    return load_state(contact.pk).pauses[("", channel)].until


def told() -> list[UUID | None]:
    return list(Mail.objects.filter(kind="pause_ended").order_by("pk").values_list("contact", flat=True))


def wait(contact: Contact, due: datetime, **fields: Any) -> Waiting:
    now = timezone.now()
    values: dict[str, Any] = {
        "message_id": uuid4().hex,
        "contact": contact.pk,
        "audience_id": contact.audience_id,
        "topic": "news",
        "channel": "email",
        "kind": "defer",
        "reason": "paused",
        "created_at": now,
        "expires_at": now + 90 * DAY,
        "due_at": due,
    }
    return Waiting.objects.create(**values | fields)


def test_it_is_one_of_the_worker_s_chores() -> None:
    assert announce_ended_pauses in CHORES


def test_the_end_is_told_once_to_her_address_with_a_link_that_pauses(travel: Travel) -> None:
    center = factories.make_center()
    contact = make(language="de")
    pause(contact, form=str(center.translation_key))
    travel(OVER - timedelta(seconds=1))
    assert announce_ended_pauses() == 0
    travel(OVER)
    assert announce_ended_pauses() == 1
    mail = Mail.objects.get()
    assert (mail.kind, mail.to, mail.locale, mail.contact) == ("pause_ended", contact.email, "de", contact.pk)
    link = open_link(mail.context["url"].rstrip("/").rpartition("/")[2], Purpose.PAUSE)
    assert (link.contact_id, link.channel, link.center) == (contact.pk, "", center.translation_key)
    for later in range(4):
        travel(OVER + later * DAY)
        assert announce_ended_pauses() == 0
    assert load_state(contact.pk).version == 2  # to tell her changes nothing


@pytest.mark.parametrize(
    ("zone", "over"),
    [
        ("Pacific/Kiritimati", datetime(2027, 3, 31, 10, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2027, 3, 31, 22, tzinfo=UTC)),  # summer time began meanwhile
        ("America/Los_Angeles", datetime(2027, 4, 1, 7, tzinfo=UTC)),
    ],
)
def test_it_ends_when_the_day_begins_where_she_lives(travel: Travel, zone: str, over: datetime) -> None:
    contact = make(zone=zone)
    assert pause(contact) == over
    travel(over - timedelta(microseconds=1))
    announce_ended_pauses()
    assert told() == []
    travel(over)
    announce_ended_pauses()
    assert told() == [contact.pk]


@pytest.mark.parametrize("hour", [0, 9, 23])
@pytest.mark.parametrize("zone", ["", "Asia/Tokyo", "America/New_York"])
def test_seven_days_of_her_calendar_are_long_and_six_are_not(
    travel: Travel, zone: str, hour: int, settings: Any
) -> None:
    """Over the night in which America's clocks go forward, too: such a week is an hour shorter."""
    local = ZoneInfo(zone or "UTC")
    travel(datetime(2027, 3, 10, hour, 30, tzinfo=local))
    week, less = make(zone=zone), make("less", zone=zone)
    over = pause(week, "P7D")
    wish(less, Pause("", "", over - DAY))
    travel(over)
    announce_ended_pauses()
    assert told() == [week.pk]


def test_how_long_is_long_is_a_setting(travel: Travel, settings: Any) -> None:
    first, second = make(), make("other")
    over = pause(first, "P7D")
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "PAUSE_NOTICE_DAYS": 8}
    travel(over)
    assert announce_ended_pauses() == 0
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "PAUSE_NOTICE_DAYS": 1}
    over = pause(second, "P1D")
    travel(over)
    assert announce_ended_pauses() == 1


def test_who_wants_no_notices_sends_none(
    travel: Travel, settings: Any, django_assert_num_queries: Any
) -> None:
    contact = make()
    over = pause(contact)
    row = wait(contact, over)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "PAUSE_NOTICE_DAYS": None}
    travel(over)
    with django_assert_num_queries(0):
        assert announce_ended_pauses() == 0
        assert caught_up(over) == over
    assert Waiting.objects.get(pk=row.pk).due_at == over


def leaves(contact: Contact) -> None:
    wish(contact, OptOut())


def leaves_news(contact: Contact) -> None:
    wish(contact, SetChoice("news", "email", UNSUBSCRIBED))


def leaves_email(contact: Contact) -> None:
    wish(contact, SetChoice("", "email", UNSUBSCRIBED))


def is_dead(contact: Contact) -> None:
    contacts.mark_dead(contact.pk, timezone.now())


def is_erased(contact: Contact) -> None:
    submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "7"), source=Source(method="admin"))


def ends_it(contact: Contact) -> None:
    wish(contact, Resume("", ""))


def pauses_longer(contact: Contact) -> None:
    wish(contact, PauseFor("", "", length="P6M"))


def pauses_email_as_well(contact: Contact) -> None:
    wish(contact, PauseFor("", "email", length="P6M"))


def pauses_its_only_topic(contact: Contact) -> None:
    wish(contact, PauseFor("news", "", length="P6M"))


def loses_the_topic(contact: Contact) -> None:
    Topic.objects.filter(key="news").update(archived=True)


def loses_the_channel(contact: Contact) -> None:
    Topic.objects.filter(key="news").update(channels=["sms"])


@pytest.mark.parametrize(
    "what",
    [
        leaves,
        leaves_news,
        leaves_email,
        is_dead,
        is_erased,
        ends_it,
        pauses_longer,
        pauses_email_as_well,
        pauses_its_only_topic,
        loses_the_topic,
        loses_the_channel,
    ],
)
def test_nobody_is_told_for_whom_nothing_begins(travel: Travel, what: Callable[[Contact], None]) -> None:
    contact, other = make(), make("other", topics=("news", "events"))
    over = pause(contact)
    pause(other)
    row = wait(contact, over)
    what(contact)
    due = Waiting.objects.values_list("due_at", flat=True).filter(pk=row.pk).first()
    travel(over)
    announce_ended_pauses()
    assert told() == [other.pk]  # it looks, and finds only her
    assert Waiting.objects.values_list("due_at", flat=True).filter(pk=row.pk).first() == due


def test_a_pause_of_email_is_told_with_its_own_link_and_one_of_a_topic_or_sms_is_not(travel: Travel) -> None:
    contact, other = make(), make("other")
    over = pause(contact, channel="email")
    pause(other, channel="sms")
    wish(other, PauseFor("news", "", length="P1M"))
    travel(over)
    announce_ended_pauses()
    mail = Mail.objects.get()
    assert mail.contact == contact.pk
    token = mail.context["url"].rstrip("/").rpartition("/")[2]
    assert (open_link(token, Purpose.PAUSE).channel, open_link(token, Purpose.PAUSE).center) == (
        "email",
        None,
    )


def test_two_pauses_that_end_together_are_one_mail_about_everything(travel: Travel) -> None:
    contact = make()
    over = pause(contact)
    pause(contact, channel="email")
    travel(over)
    assert announce_ended_pauses() == 1
    token = Mail.objects.get().context["url"].rstrip("/").rpartition("/")[2]
    assert open_link(token, Purpose.PAUSE).channel == ""
    assert announce_ended_pauses() == 0


def test_of_two_pauses_the_later_end_is_told(travel: Travel) -> None:
    contact = make()
    first = pause(contact)
    second = pause(contact, "P2M", "email")
    travel(first)
    assert announce_ended_pauses() == 0
    travel(second)
    assert announce_ended_pauses() == 1


def test_who_pauses_again_is_told_again(travel: Travel) -> None:
    contact = make()
    for _number in range(2):
        travel(pause(contact))
        assert announce_ended_pauses() == 1
    assert told() == [contact.pk] * 2


@pytest.mark.parametrize(("basis", "comes"), [("contract", True), ("consent", False)])
def test_what_the_law_lets_go_out_counts_and_what_is_always_sent_does_not(
    travel: Travel, basis: str, comes: bool
) -> None:
    Topic.objects.filter(key="news").update(basis=basis)
    contact = make(topics=())
    assert (decide(contact.pk, "news", "email").verdict == "send") is comes
    assert decide(contact.pk, "orders", "email").verdict == "send"
    travel(pause(contact))
    assert announce_ended_pauses() == comes


def test_what_waited_comes_so_many_hours_later(travel: Travel) -> None:
    contact, other = make(), make("other")
    over = pause(contact)
    later = over + timedelta(hours=24)
    rows = {
        "paused": (wait(contact, over), later),
        "due later": (wait(contact, over + 3 * DAY), over + 3 * DAY),
        "pointless by then": (wait(contact, over, expires_at=later - timedelta(hours=1)), over),
        "being sent": (wait(contact, over, lease="abc"), over),
        "settled": (wait(contact, over, outcome="sent"), over),
        "somebody else's": (wait(other, over), over),
    }
    travel(over)
    announce_ended_pauses()
    for name, (row, due) in rows.items():
        assert Waiting.objects.get(pk=row.pk).due_at == due, name


def test_nothing_that_waits_may_overtake_the_notice(travel: Travel, monkeypatch: Any) -> None:
    people = [make(f"p{number}") for number in range(5)]
    over = pause(people[0])
    for contact in people[1:]:
        pause(contact)
    assert caught_up(over - timedelta(seconds=1)) == over - timedelta(seconds=1)
    assert caught_up(over + DAY) < over
    travel(over)
    monkeypatch.setattr(pause_notice, "BATCH", 2)
    monkeypatch.setattr(pause_notice, "SECONDS", 0.0)
    assert announce_ended_pauses() == 0
    assert caught_up(over + DAY) < over
    monkeypatch.setattr(pause_notice, "SECONDS", 60.0)
    assert announce_ended_pauses() == 5
    assert caught_up(over + DAY) == over + DAY


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_many_that_end_at_one_moment_are_gone_through_in_pieces(
    travel: Travel, monkeypatch: Any, batch: int
) -> None:
    people = [make(f"p{number}") for number in range(7)]
    for number, contact in enumerate(people):
        over = pause(contact)
        if number % 3 == 0:
            pause(contact, channel="email")  # two ends of one contact, perhaps in two pieces
    leaves(people[1])
    leaves(people[2])
    monkeypatch.setattr(pause_notice, "BATCH", batch)
    travel(over)
    sizes = []
    announce = pause_notice._announce
    monkeypatch.setattr(pause_notice, "_announce", lambda: sizes.append(announce()) or sizes[-1])
    announce_ended_pauses()
    assert sorted(map(str, told())) == sorted(str(one.pk) for one in people if one not in people[1:3])
    assert max(sizes) <= batch
    assert announce_ended_pauses() == 0


def test_a_worker_that_was_away_announces_the_last_two_days(travel: Travel) -> None:
    late, lately = make(), make("lately")
    over = pause(late)
    travel(BEGIN + 3 * DAY)
    recent = pause(lately)
    assert recent - over == 3 * DAY
    travel(recent + DAY)
    announce_ended_pauses()
    assert told() == [lately.pk]


def test_at_the_very_first_look_nobody_is_told(travel: Travel) -> None:
    contact = make()
    over = pause(contact)
    PauseNoticeMark.objects.all().delete()
    travel(over + timedelta(hours=1))
    assert caught_up(timezone.now()) == timezone.now()
    assert announce_ended_pauses() == 0
    assert announce_ended_pauses() == 0
    assert told() == []


def test_where_nothing_ended_it_costs_two_statements(travel: Travel, django_assert_num_queries: Any) -> None:
    contact = make()
    over = pause(contact)
    with django_assert_num_queries(2):
        announce_ended_pauses()
    travel(over)
    announce_ended_pauses()
    with django_assert_num_queries(2):
        announce_ended_pauses()
    with django_assert_num_queries(2):
        caught_up(over)


def test_the_mark_moves_on_where_nothing_ends(travel: Travel) -> None:
    for hours in range(0, 100, 3):
        travel(BEGIN + timedelta(hours=hours))
        announce_ended_pauses()
    assert PauseNoticeMark.objects.get().at > timezone.now() - timedelta(hours=4)
    contact = make()
    travel(pause(contact))
    assert announce_ended_pauses() == 1


def test_its_cost_does_not_grow_with_the_people_of_a_piece(
    travel: Travel, django_assert_max_num_queries: Any
) -> None:
    """But for the mails themselves: one statement each."""
    people = [make(f"p{number}") for number in range(20)]
    for contact in people:
        over = pause(contact)
    travel(over)
    with django_assert_max_num_queries(20 + 20):
        assert announce_ended_pauses() == 20


def test_to_look_is_not_to_ask(travel: Travel) -> None:
    counting.forget()
    contact = make()
    travel(pause(contact))
    announce_ended_pauses()
    counting.flush()
    assert not DecisionCount.objects.exists()


def test_a_frequency_that_was_used_up_is_no_reason_to_be_silent(travel: Travel) -> None:
    contact = make()
    wish(contact, SetFrequency("", "", "quarterly"))
    over = pause(contact)
    travel(over)
    sent("m1", contact.pk, "news", "email")
    announce_ended_pauses()
    assert told() == [contact.pk]


def test_what_is_undone_was_not_announced(travel: Travel) -> None:
    contact = make()
    travel(pause(contact))
    with transaction.atomic():
        assert announce_ended_pauses() == 1
        transaction.set_rollback(True)
    assert told() == []
    assert announce_ended_pauses() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_her_once() -> None:
    with time_machine.travel(BEGIN, tick=False) as traveller:
        factories.make_topics()
        announce_ended_pauses()
        people = [make(f"p{number}") for number in range(6)]
        for contact in people:
            over = pause(contact)
        traveller.move_to(over)
        begin = threading.Barrier(4)
        counts: list[int] = []

        def work() -> None:
            begin.wait()
            try:
                counts.append(announce_ended_pauses())
            finally:
                connection.close()

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(counts) == 4
    assert sum(counts) == 6
    assert sorted(map(str, told())) == sorted(str(one.pk) for one in people)
