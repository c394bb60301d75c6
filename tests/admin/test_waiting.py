"""The screen of waiting mails: who sees what, and the two buttons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import make_staff
from tests.factories import make_audience, make_contact, make_editor, make_site
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.sending.models import Waiting

pytestmark = pytest.mark.django_db

INDEX, WITHDRAW, AGAIN = (f"prefs_waiting:{name}" for name in ("index", "withdraw", "again"))


def left(contact: Contact, message_id: str = "m1", **fields: Any) -> Waiting:
    now = timezone.now()
    values = {
        "topic": "news",
        "channel": "email",
        "kind": "defer",
        "reason": "pause:all",
        "packed": "sealed",
        "created_at": now - timedelta(days=1),
        "expires_at": now + timedelta(days=20),
        "due_at": now + timedelta(days=2),
        "settled_at": now if fields.get("outcome") else None,
    }
    return Waiting.objects.create(
        message_id=message_id, contact=contact.pk, audience_id=contact.audience_id, **{**values, **fields}
    )


def page(client: Client, **query: str) -> str:
    answer = client.get(reverse(INDEX), query)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


def press(client: Client, name: str, row: Any) -> int:
    return client.post(reverse(name), {"row": str(row), "state": "failed"}).status_code


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_editor())
    return client


def test_nothing_waits(staff: Client) -> None:
    assert "No mail waits." in page(staff)
    assert "is uncertain" in page(staff, state="failed")
    assert "had to wait" in page(staff, state="settled")
    assert staff.get(reverse(INDEX), {"state": "other"}).status_code == 404


def test_what_waits_and_what_became_of_the_rest(staff: Client, django_assert_max_num_queries: Any) -> None:
    anna = make_contact()
    left(anna)
    left(
        anna, f"m2 of {anna.email}", kind="digest", reason="frequency:all", code="smtp-451 4.3.0", attempts=1
    )
    left(anna, "m3-uncertain", outcome="uncertain", code="interrupted")
    left(anna, "m4", outcome="refused", code="unsubscribed")
    left(anna, "<script>", reason="<b>site rule</b>", outcome="sent")
    waiting = page(staff)
    for told in (
        "The contact has paused this.",
        "has got all messages",
        "refused it for now",
        "Take back",
        "a***@m",
    ):
        assert told in waiting
    for hidden in (anna.email, "sealed", "m3-uncertain", "Send again"):
        assert hidden not in waiting
    failed = page(staff, state="failed")
    assert "Interrupted while it was sent" in failed
    assert "nobody knows whether it arrived" in failed
    assert "Send again" in failed
    assert "Take back" not in failed
    settled = page(staff, state="settled")
    assert "Not wanted any more" in settled
    assert "&lt;script&gt;" in settled
    assert "<b>site rule" not in settled
    for number in range(100):
        left(anna, f"more{number}")
    with django_assert_max_num_queries(20):
        many = page(staff, p="2")
    assert "Page 2 of 3" in many


def test_the_buttons(staff: Client) -> None:
    anna = make_contact()
    waits, failed = left(anna), left(anna, "m2", outcome="failed", code="smtp-550")
    late = left(anna, "m3", outcome="failed", expires_at=timezone.now())
    handed = left(anna, "m4", handed_at=timezone.now())
    assert press(staff, WITHDRAW, waits.pk) == press(staff, AGAIN, failed.pk) == 302
    assert Waiting.objects.get(pk=waits.pk).outcome == "withdrawn"
    assert Waiting.objects.get(pk=failed.pk).outcome == ""
    for name, row, outcome in ((AGAIN, late, "failed"), (WITHDRAW, handed, ""), (WITHDRAW, late, "failed")):
        answer = staff.post(reverse(name), {"row": str(row.pk)}, follow=True)
        assert "The mail " in answer.content.decode()
        assert Waiting.objects.get(pk=row.pk).outcome == outcome
    for row in ("", "no-uuid", anna.pk):
        assert press(staff, AGAIN, row) == 404
    assert staff.get(reverse(AGAIN)).status_code == 405


def test_each_sees_the_people_of_her_sites_and_acts_where_she_may(client: Client) -> None:
    here, there = (
        make_contact(),
        make_contact(audience=make_audience(make_site("other.example"))),
    )
    mine, other = left(here, "mine", outcome="failed"), left(there, "theirs", outcome="failed")
    client.force_login(make_staff("looks", "view_contact", site=here.audience.site))
    shown = page(client, state="failed")
    assert "mine" in shown
    assert "theirs" not in shown
    assert "Send again" not in shown
    client.force_login(make_staff("acts", "view_contact", "retry_contact", site=here.audience.site))
    assert "Send again" in page(client, state="failed")
    assert (press(client, AGAIN, mine.pk), press(client, AGAIN, other.pk)) == (302, 404)
    assert Waiting.objects.get(pk=other.pk).outcome == "failed"


@pytest.mark.parametrize("codename", ["retry_contact", "results_contact"])
def test_who_may_not_look_at_people_is_turned_away(client: Client, codename: str) -> None:
    row = left(make_contact(), outcome="failed")
    client.force_login(make_staff("other", codename))
    assert client.get(reverse(INDEX)).status_code == 302
    assert press(client, AGAIN, row.pk) == 302
    client.force_login(make_staff("looks", "view_contact"))
    client.post(reverse(AGAIN), {"row": str(row.pk)})
    assert Waiting.objects.get(pk=row.pk).outcome == "failed"
