"""What is over goes, what is not stays, and a dry run only says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from tests.delivery.people import HERSELF, JOIN, save
from tests.factories import make_contact, make_topics
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.conf import RETENTION_BOUNDS, RETENTION_DEFAULTS, check_retention
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.decisions import promises
from wagtail_prefs.decisions.models import DecisionCount, Send, SendCountMark
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import counts, seals
from wagtail_prefs.ledger.models import DayCount, Record, Tombstone
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.rights import retention
from wagtail_prefs.rights.erasure import erase_person, follow_erasures
from wagtail_prefs.rights.models import Erasure, RetentionRun
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import Source

pytestmark = pytest.mark.django_db
ADDRESS = "anna@mail.example.org"


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    retention._rounds.clear()
    yield
    retention._rounds.clear()


@pytest.fixture
def anna() -> UUID:
    make_topics()
    contact: UUID = make_contact(ADDRESS).pk
    save(contact, JOIN)
    return contact


def rules(settings: Any, **values: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "RETENTION": values}


def found(*, apply: bool = False) -> dict[str, tuple[int, int]]:
    """The rules that have found something: (found, forgotten)."""
    made = retention.run("test", apply=apply)
    assert made.done_at is not None
    assert not any("problem" in entry for entry in made.report.values()), made.report
    return {
        key: (entry["found"], entry["forgotten"])
        for key, entry in made.report.items()
        if entry["found"] and key != "reports"
    }


def later(monkeypatch: pytest.MonkeyPatch, **by: float) -> None:
    now = timezone.now() + timedelta(**by)
    monkeypatch.setattr(timezone, "now", lambda: now)


# Sends


def send(contact: UUID, at: datetime, name: str) -> None:
    Send.objects.create(
        message_id=name, contact=contact, topic="news", channel="email", at=at, verdict="send"
    )


def test_sends_go_when_no_frequency_counts_them_and_reports_have(anna: UUID, settings: Any) -> None:
    now = timezone.now()
    for days in (1, 99, 399, 401):
        send(anna, now - timedelta(days=days), f"m{days}")
    assert found() == {}, "nobody has counted them"
    promises.count_sends()
    SendCountMark.objects.update(send=Send.objects.order_by("-pk").values("pk")[:1])
    assert found() == {"sends": (1, 0)}
    assert Send.objects.count() == 4
    assert found(apply=True) == {"sends": (1, 1)}
    rules(settings, sends_days=100)
    assert found(apply=True) == {"sends": (1, 1)}
    assert set(Send.objects.values_list("message_id", flat=True)) == {"m1", "m99"}
    rules(settings, sends_days=None)
    Send.objects.update(at=F("at") - timedelta(days=9_000))
    assert found() == {}


def test_the_numbers_of_a_forgotten_day_stay(anna: UUID) -> None:
    old = timezone.now() - timedelta(days=410)
    send(anna, old, "a")
    promises.count_sends()
    SendCountMark.objects.update(send=Send.objects.order_by("-pk").values("pk")[:1])
    # The day was counted while it was young.
    counted = DecisionCount.objects.create(
        day=old.date(), topic="news", channel="email", sender="", event="sent", reason="", count=70
    )
    assert found(apply=True) == {"sends": (1, 1)}
    send(anna, old, "told-late")
    promises.count_sends()
    counted.refresh_from_db()
    assert counted.count == 70


# People


def test_nobody_is_forgotten_unless_the_site_says_so(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    submissions.record(
        anna, [SetChoice("news", "email", "unsubscribed")], actor=HERSELF, source=Source(method="page")
    )
    later(monkeypatch, days=20_000)
    assert found(apply=True) == {}
    assert Contact.objects.filter(pk=anna, erased_at=None).exists()


def test_who_wants_nothing_and_is_silent_is_forgotten(
    anna: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = make_contact("never@mail.example.org").pk
    wants = make_contact("wants@mail.example.org").pk
    save(wants, JOIN)
    known = make_contact("known@mail.example.org").pk
    Contact.objects.filter(pk=known).update(external_id="c-7")
    submissions.record(
        anna, [SetChoice("news", "email", "unsubscribed")], actor=HERSELF, source=Source(method="page")
    )
    rules(settings, silent_months=24)
    assert found() == {}
    later(monkeypatch, days=725)
    assert found() == {}, "two years are not over"
    later(monkeypatch, days=10)
    assert found() == {"silent": (2, 0)}
    assert found(apply=True) == {"silent": (2, 2)}
    assert set(Contact.objects.filter(erased_at=None).values_list("pk", flat=True)) == {wants, known}
    assert set(Erasure.objects.values_list("contact", "by", "reason")) == {
        (anna, "system:retention", "retention"),
        (never, "system:retention", "retention"),
    }
    assert Suppression.objects.count() == 2, "her no outlives her"
    assert found(apply=True) == {}


def test_who_was_written_to_or_waits_is_not_silent(
    anna: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions.record(
        anna, [SetChoice("news", "email", "unsubscribed")], actor=HERSELF, source=Source(method="page")
    )
    rules(settings, silent_months=6)
    later(monkeypatch, days=200)
    assert found() == {"silent": (1, 0)}
    send(anna, timezone.now() - timedelta(days=20), "invoice")
    assert found() == {}
    Send.objects.all().delete()
    Contact.objects.filter(pk=anna).update(touched_at=timezone.now() - timedelta(days=3))
    assert found() == {}


def test_whose_address_is_dead_is_forgotten(
    anna: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_contact("other@mail.example.org").pk
    submissions.record(
        other, [SetChoice("news", "sms", "subscribed")], actor=HERSELF, source=Source(method="page")
    )
    Contact.objects.update(email_dead_at=timezone.now(), touched_at=timezone.now())
    rules(settings, dead_months=3)
    assert found() == {}
    later(monkeypatch, days=100)
    assert found(apply=True) == {"dead": (1, 1)}
    assert Contact.objects.get(pk=anna).erased_at is not None
    assert Contact.objects.get(pk=other).erased_at is None


# Chains


@pytest.fixture
def gone(anna: UUID) -> UUID:
    """Erased, every platform has followed, the records sealed and counted."""
    erase_person(anna, actor=HERSELF, source=Source(method="page"))
    while Delivery.objects.filter(due_at__lte=timezone.now()).exists():
        delivery.run_once()
    follow_erasures()
    assert not Erasure.objects.filter(done_at=None).exists()
    seals.seal(timezone.now() + timedelta(seconds=10))
    counts.count_new()
    return anna


def test_evidence_is_kept_for_ever_unless_somebody_says_how_long(
    gone: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch, days=20_000)
    assert found(apply=True) == {}
    assert Record.objects.filter(contact_ref=gone).exists()


def test_the_chain_of_who_is_erased_goes_when_its_topics_say_so(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = make_contact("ben@mail.example.org").pk
    save(stays, JOIN)
    rules(settings, evidence_months=12)
    Topic.objects.filter(key="news").update(kept_months=24)
    seals.seal(timezone.now() + timedelta(seconds=20))
    numbers = list(DayCount.objects.values_list("event", "count"))
    assert numbers
    later(monkeypatch, days=725)
    assert found() == {}
    later(monkeypatch, days=10)
    assert found() == {"chains": (1, 0)}
    assert not Tombstone.objects.exists()
    assert found(apply=True) == {"chains": (1, 1)}
    assert set(Record.objects.values_list("contact_ref", flat=True)) == {stays}
    assert Tombstone.objects.get().contact_ref == gone
    assert verify().ok
    assert differences(gone) == []
    assert list(DayCount.objects.values_list("event", "count")) == numbers
    assert Suppression.objects.count() == 1
    assert found(apply=True) == {}


def test_what_was_erased_and_comes_back_is_still_suppressed(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(settings, evidence_months=1)
    Topic.objects.update(kept_months=None)
    later(monkeypatch, days=40)
    assert found(apply=True) == {"chains": (1, 1)}
    assert Contact.objects.get(pk=make_contact(ADDRESS).pk).suppressed


def test_a_chain_waits_for_the_platforms(gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(settings, evidence_months=1)
    Erasure.objects.update(done_at=None)
    later(monkeypatch, days=400)
    assert found() == {}


def test_a_chain_waits_for_its_numbers(gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(settings, evidence_months=1)
    counts.rebuild()
    later(monkeypatch, days=400)
    assert found() == {}


def test_who_is_alive_keeps_hers(anna: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(settings, evidence_months=1)
    seals.seal(timezone.now() + timedelta(seconds=10))
    counts.count_new()
    later(monkeypatch, days=4_000)
    assert found(apply=True) == {}


def test_a_chain_that_is_not_whole_stays_and_is_told(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(settings, evidence_months=1)
    Record.objects.filter(contact_ref=gone, seq=1).update(actor="gpc")
    later(monkeypatch, days=400)
    made = retention.run("test", apply=True)
    assert made.report["chains"]["forgotten"] == 0
    assert "1 chains stay" in made.report["chains"]["problem"]
    assert Record.objects.filter(contact_ref=gone).exists()


def test_a_sink_that_takes_no_stones_keeps_every_chain(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(settings, evidence_months=1)
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "SEALS": {"SINK": "tests.ledger.test_tombstones.OnlySeals"},
    }
    later(monkeypatch, days=400)
    made = retention.run("test", apply=True)
    assert "send_stone" in made.report["chains"]["problem"]
    assert not Tombstone.objects.exists()
    assert Record.objects.filter(contact_ref=gone).exists()


def test_a_round_that_was_stopped_between_stone_and_chain_goes_on(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(settings, evidence_months=1)
    later(monkeypatch, days=400)
    with monkeypatch.context() as stopped:
        stopped.setattr("wagtail_prefs.ledger.tombstones.remove", _killed)
        with pytest.raises(KeyboardInterrupt):
            retention.run("test", apply=True)
    assert Tombstone.objects.count() == 1
    assert verify().ok
    assert found(apply=True) == {"chains": (1, 1)}
    assert (Tombstone.objects.count(), Record.objects.count()) == (1, 0)
    assert verify().ok


def _killed(_contact: UUID) -> int:
    raise KeyboardInterrupt


# Rounds


def test_one_rule_that_fails_keeps_none_from_its_work(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_now: datetime) -> int:
        raise RuntimeError("her address")

    rule = retention.Rule("broken", "", fail, fail)
    monkeypatch.setattr(retention, "RULES", (rule, *retention.RULES))
    send(anna, timezone.now() - timedelta(days=500), "a")
    SendCountMark.objects.create(pk=SendCountMark.ONLY, send=Send.objects.get().pk)
    made = retention.run("test", apply=True)
    assert made.report["broken"] == {"found": 0, "forgotten": 0, "problem": "RuntimeError"}
    assert made.report["sends"]["forgotten"] == 1


def test_the_worker_does_it_once_a_day_and_soon_again_where_something_is_left(
    anna: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retention.forget_daily in CHORES
    for number in range(3):
        send(anna, timezone.now() - timedelta(days=500), f"m{number}")
    SendCountMark.objects.create(pk=SendCountMark.ONLY, send=Send.objects.order_by("-pk")[0].pk)
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "BATCHES", 1)

    def look() -> int:
        retention._rounds.clear()
        return retention.forget_daily()

    assert look() == 2
    assert look() == 0
    assert retention.forget_daily() == 0, "not even asked"
    later(monkeypatch, minutes=11)
    assert look() == 1
    later(monkeypatch, minutes=11)
    assert look() == 0
    assert RetentionRun.objects.count() == 2
    later(monkeypatch, hours=25)
    look()
    assert RetentionRun.objects.count() == 3


def test_its_own_reports_go_too(monkeypatch: pytest.MonkeyPatch) -> None:
    retention.run("test", apply=True)
    later(monkeypatch, days=401)
    made = retention.run("test", apply=True)
    assert made.report["reports"] == {"found": 1, "forgotten": 1}
    assert RetentionRun.objects.count() == 1


# The command and the setting


def test_the_command_shows_first_and_then_does(anna: UUID) -> None:
    send(anna, timezone.now() - timedelta(days=500), "a")
    SendCountMark.objects.create(pk=SendCountMark.ONLY, send=Send.objects.get().pk)
    out, err = StringIO(), StringIO()
    call_command("prefs_retention", stdout=out, stderr=err)
    assert "sends: 1 over (" in out.getvalue()
    assert "dry run" in err.getvalue()
    assert Send.objects.count() == 1
    out = StringIO()
    call_command("prefs_retention", "--apply", "--json", stdout=out, stderr=StringIO())
    said = json.loads(out.getvalue())
    assert said["dry"] is False
    assert said["report"]["sends"] == {"found": 1, "forgotten": 1}
    assert set(said["report"]) == {rule.key for rule in retention.RULES}
    assert not Send.objects.exists()
    assert ADDRESS not in out.getvalue()


def test_the_command_fails_where_something_could_not_be_done(
    gone: UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(settings, evidence_months=1)
    Record.objects.filter(contact_ref=gone, seq=1).update(actor="gpc")
    later(monkeypatch, days=400)
    with pytest.raises(SystemExit) as ended:
        call_command("prefs_retention", "--apply", stdout=StringIO(), stderr=StringIO())
    assert ended.value.code == 1


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, 0),
        (None, 1),
        ({"sends_days": None, "evidence_months": 36, "silent_months": 24, "dead_months": 6}, 0),
        ({"sends_days": 99}, 1),
        ({"sends_day": 400}, 1),
        ({"silent_months": True}, 1),
        ({"silent_months": 5, "dead_months": "6"}, 2),
        ({"reports_days": None}, 1),
    ],
)
def test_the_setting_is_checked(settings: Any, given: Any, problems: int) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "RETENTION": given}
    assert [problem.id for problem in check_retention()] == ["wagtail_prefs.E035"] * problems
    assert RETENTION_BOUNDS.keys() == RETENTION_DEFAULTS.keys()
