"""A save: one transaction, six statements, and nothing but what was shown and meant."""

from __future__ import annotations

import re
import uuid

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.statements import said
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import BadToken, InvalidAnswers, KeyReused, NotAllowed, UnknownContact
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db


def test_a_save_writes_state_record_and_delivery_together(scene: Scene) -> None:
    saved = scene.save(scene.choose(news=True, offers=False))
    assert saved.version == 1
    state = contacts.load_state(scene.contact.pk)
    assert state == saved.state
    assert state.choices == {("news", "email"): SUBSCRIBED, ("offers", "email"): UNSUBSCRIBED}
    record = Record.objects.get()
    assert (str(record.pk), record.seq, record.contact_ref) == (saved.receipt, 1, scene.contact.pk)
    assert ledger.first_broken(scene.contact.pk) is None
    delivery = Delivery.objects.get()
    assert (delivery.backend, delivery.contact, delivery.wanted) == ("database", scene.contact.pk, 1)
    assert delivery.restricts  # one of the two was a no
    assert [line.text for line in saved.applied] == [
        "News by e-mail: subscribed",
        "Offers by e-mail: unsubscribed",
    ]


def test_a_save_is_at_most_six_statements(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    everything = {
        scene.topics: {"choices": {"news": {"email": False, "sms": True}, "events": {"email": True}}},
        scene.frequency: {"frequency": {"all": "weekly", "channel:email": "monthly"}},
        scene.notice: {"acknowledged": True},
    }
    with CaptureQueriesContext(connection) as captured:
        saved = scene.save(everything, base=1, key="the-key")
    assert saved.version == 2
    written = [re.match(r'(?:UPDATE|INSERT\s+INTO)\s+"?wagtail_prefs_(\w+)', sql) for sql in said(captured)]
    assert [found[1] if found else "SELECT" for found in written] == [
        "contact",
        "SELECT",
        "state",
        "record",
        "sidevalue",
        "delivery",
    ]
    journeys = [query for query in captured if re.match(r"UPDATE|SELECT|INSERT|WITH", query["sql"])]
    assert len(journeys) == (3 if connection.vendor == "postgresql" else 6)


def test_the_record_holds_commitments_and_the_side_table_the_values(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    record = Record.objects.get()
    body = ledger.read_body(record)
    side = SideValue.objects.get(record=record.pk, name="ip_truncated")
    assert side.value == '"203.0.113.0/24"'
    assert re.fullmatch(r"[0-9a-f]{64}", body["ip_truncated"])
    assert "203.0.113" not in record.body
    assert scene.contact.email not in record.body
    # The proof of what was before her eyes.
    assert body["form_version"] == scene.snapshot.digest
    assert body["notice_id"] == "privacy"
    assert re.fullmatch(r"[0-9a-f]{64}", body["notice_sha256"])
    assert body["effects"][0]["lawful_basis"] == "consent"
    # Erasing the side values leaves the chain whole.
    SideValue.objects.all().delete()
    assert ledger.first_broken(scene.contact.pk) is None


def test_nothing_is_written_when_nothing_changes(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    before = (Record.objects.count(), Contact.objects.get().version, Delivery.objects.get().wanted)
    saved = scene.save(scene.choose(news=True))
    assert saved.receipt is None
    assert saved.version == 1
    assert saved.applied == saved.merged == ()
    assert (Record.objects.count(), Contact.objects.get().version, Delivery.objects.get().wanted) == before


def test_an_absent_answer_is_not_a_no(scene: Scene) -> None:
    scene.save(scene.choose(news=True, offers=True))
    scene.save(scene.choose(news=False))
    state = contacts.load_state(scene.contact.pk)
    assert state.choices == {("news", "email"): UNSUBSCRIBED, ("offers", "email"): SUBSCRIBED}


def test_a_stale_tab_is_merged_and_told_so_in_words(scene: Scene) -> None:
    scene.save({**scene.choose(news=True), scene.frequency: {"frequency": {"all": "as_it_happens"}}})
    scene.save({**scene.choose(news=False), scene.frequency: {"frequency": {"all": "monthly"}}})
    saved = scene.save(
        {**scene.choose(news=True, offers=True), scene.frequency: {"frequency": {"all": "weekly"}}}, base=0
    )
    assert saved.state.choices["news", "email"] == UNSUBSCRIBED
    assert saved.state.choices["offers", "email"] == SUBSCRIBED
    assert saved.state.frequencies["", ""] == "monthly"
    assert [line.path for line in saved.applied] == [f"{scene.topics}.choices.offers.email"]
    paths = {line.path: line.text for line in saved.merged}
    assert set(paths) == {f"{scene.topics}.choices.news.email", f"{scene.frequency}.frequency.all"}
    assert "unsubscribed" in paths[f"{scene.topics}.choices.news.email"]
    assert "At most one a month" in paths[f"{scene.frequency}.frequency.all"]


def test_an_opt_out_takes_everything_and_only_she_lifts_it(scene: Scene) -> None:
    scene.save(scene.choose(news=True, offers=True))
    out = scene.save({scene.leave: {"opted_out": True}})
    assert out.state.opted_out
    assert set(out.state.choices.values()) == {UNSUBSCRIBED}
    stale = scene.save(scene.choose(events=True), base=1)
    # The stale tab brings nothing back: it leaves a no, as if it had come before.
    assert stale.state.opted_out
    assert stale.state.choices["events", "email"] == UNSUBSCRIBED
    assert stale.merged[0].path == f"{scene.topics}.choices.events.email"
    back = scene.save(scene.choose(news=True))
    assert not back.state.opted_out
    assert back.state.choices == {
        ("news", "email"): SUBSCRIBED,
        ("offers", "email"): UNSUBSCRIBED,
        ("events", "email"): UNSUBSCRIBED,
    }


def test_the_same_key_gets_the_same_answer_and_one_record(scene: Scene) -> None:
    first = scene.save(scene.choose(news=True), key="once", base=0)
    scene.save(scene.choose(offers=True))
    again = scene.save(scene.choose(news=True), key="once", base=0)
    assert (again.version, again.receipt, again.applied) == (first.version, first.receipt, first.applied)
    assert Record.objects.count() == 2
    assert Contact.objects.get().version == 2


def test_the_same_key_with_another_body_is_refused(scene: Scene) -> None:
    scene.save(scene.choose(news=True), key="once", base=0)
    with pytest.raises(KeyReused):
        scene.save(scene.choose(news=False), key="once", base=0)
    assert Record.objects.count() == 1
    assert Contact.objects.get().version == 1


def test_a_repeat_is_known_after_a_rotation_of_the_key_ring(scene: Scene) -> None:
    first = scene.save(scene.choose(news=True), key="once", base=0)
    ring = [{"kid": "t2", "key": "n" * 40}, *settings.WAGTAIL_PREFS["SIGNING_KEYS"]]
    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "SIGNING_KEYS": ring}):
        assert scene.save(scene.choose(news=True), key="once", base=0).receipt == first.receipt
        with pytest.raises(KeyReused):
            scene.save(scene.choose(news=False), key="once", base=0)
    assert Record.objects.count() == 1


def test_refused_answers_change_nothing(scene: Scene) -> None:
    for answers in (
        {"nowhere": {"choices": {}}},
        {scene.topics: {"choices": {"news": {"email": 1}}}},
        {scene.topics: {"choices": {"secret": {"email": True}}}},
        {scene.topics: {"choices": {"orders": {"email": False}}}},
        {scene.leave: {"opted_out": True}, **scene.choose(news=True)},
        {scene.frequency: {"frequency": {"all": "hourly"}}},
        {scene.topics: []},
    ):
        with pytest.raises(InvalidAnswers):
            scene.save(answers)  # type: ignore[arg-type]
    assert not Record.objects.exists()
    assert not State.objects.exists()
    assert not Delivery.objects.exists()
    assert Contact.objects.get().version == 0


def test_a_revoked_session_and_an_erased_contact_save_nothing(scene: Scene) -> None:
    with pytest.raises(BadToken):
        scene.save(scene.choose(news=True), epoch=1)
    assert Contact.objects.get().version == 0
    Contact.objects.all().delete()
    with pytest.raises(UnknownContact):
        scene.save(scene.choose(news=True), base=0)


@pytest.mark.parametrize("kind", [kind for kind in ActorType if not Actor(kind).is_subject])
def test_no_other_actor_can_subscribe_anybody(scene: Scene, kind: ActorType) -> None:
    with pytest.raises(NotAllowed):
        submissions.record(
            scene.contact.pk,
            [SetChoice("news", "email", SUBSCRIBED)],
            actor=Actor(kind, "somebody"),
            source=Source(method="python"),
        )
    assert not Record.objects.exists()


def test_a_record_without_a_center_is_kept_the_same_way(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    saved = submissions.record(
        scene.contact.pk,
        [OptOut()],
        actor=Actor(ActorType.ONE_CLICK),
        source=Source(method="one_click"),
    )
    assert saved.version == 2
    assert [record.actor for record in Record.objects.order_by("seq")] == ["subject-session", "one-click"]
    assert ledger.first_broken(scene.contact.pk) is None
    with pytest.raises(UnknownContact):
        submissions.record(uuid.uuid4(), [OptOut()], actor=PERSON, source=Source(method="python"))
    with pytest.raises(ValueError, match="contradict"):
        submissions.record(
            scene.contact.pk,
            [OptOut(), SetChoice("news", "email", SUBSCRIBED)],
            actor=PERSON,
            source=Source(method="python"),
        )


def test_backends_see_what_was_wished_since(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    scene.save(scene.choose(news=False))
    batches = ledger.batches_since(scene.contact.pk, 0)
    assert [batch.version for batch in batches] == [1, 2]
    assert batches[1].changes == (SetChoice("news", "email", UNSUBSCRIBED),)
    assert batches[1].effects[0].before == SUBSCRIBED
    assert ledger.batches_since(scene.contact.pk, 2) == []
