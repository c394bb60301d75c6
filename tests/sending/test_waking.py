"""Who ends a pause herself, or wants more again, gets what waited now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tests import factories
from wagtail_prefs.changes import Change, Pause, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

FAR = datetime(2031, 1, 1, tzinfo=UTC)
SOON = Pause("", "", FAR)


def record(contact: Contact, *changes: Change) -> None:
    submissions.record(
        contact.pk, changes, actor=Actor(ActorType.SUBJECT_SESSION), source=Source(method="python")
    )


@pytest.fixture
def waiting() -> Callable[..., Waiting]:
    factories.make_topics()

    def made(contact: Contact, **values: object) -> Waiting:
        return Waiting.objects.create(
            **{
                "message_id": "news 1",
                "contact": contact.pk,
                "audience_id": contact.audience_id,
                "topic": "news",
                "channel": "email",
                "kind": Waiting.Kind.DEFER,
                "reason": "paused",
                "created_at": timezone.now(),
                "expires_at": FAR,
                "due_at": FAR,
                **values,
            }
        )

    return made


@pytest.mark.parametrize(
    ("before", "after", "woken"),
    [
        (SOON, Resume("", ""), True),
        (SOON, Pause("", "", FAR - timedelta(days=300)), True),
        (SetFrequency("", "", "weekly"), SetFrequency("", "", "daily"), True),
        (SetFrequency("", "", "weekly"), SOON, False),
        (SOON, SetFrequency("", "", "weekly"), False),
        (SOON, SetChoice("news", "email", SUBSCRIBED), False),
    ],
)
def test_it_is_looked_at_when_she_takes_back_what_it_waits_for(
    waiting: Callable[..., Waiting], before: Change, after: Change, woken: bool
) -> None:
    contact = factories.make_contact("a@mail.example.org")
    record(contact, before)
    row, hers = waiting(contact), waiting(factories.make_contact("b@mail.example.org"))
    record(contact, after)
    row.refresh_from_db()
    hers.refresh_from_db()
    assert (row.due_at <= timezone.now()) is woken
    assert hers.due_at == FAR


def test_what_is_sent_just_now_or_settled_stays_as_it_is(waiting: Callable[..., Waiting]) -> None:
    contact = factories.make_contact("a@mail.example.org")
    record(contact, SOON)
    leased = waiting(contact, lease="somebody")
    settled = waiting(contact, message_id="news 2", outcome=Waiting.Outcome.REFUSED)
    record(contact, Resume("", ""))
    for row in (leased, settled):
        row.refresh_from_db()
        assert row.due_at == FAR
