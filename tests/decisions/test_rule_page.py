"""docs/how-to/add-a-decision-rule.md from start to finish: its tables, its rules, its tests, and a queue that asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.db import connection, models
from django.test.utils import isolate_apps
from django.utils import timezone

from tests import factories
from tests.decisions.conftest import NOW
from tests.docs.blocks import blocks
from tests.docs.explained import DOCS
from tests.mail import smtp
from tests.mail.conftest import mailer, sink
from wagtail_prefs import decide, send
from wagtail_prefs.changes import Pause, SetChoice, SetFrequency
from wagtail_prefs.sending.drain import drain
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.signals import digest_due
from wagtail_prefs.sending.values import Status
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

__all__ = ["mailer", "sink"]

PAGE = DOCS / "how-to" / "add-a-decision-rule.md"
RULES = ["shop.rules.OpenTicket", "shop.rules.BoughtMeanwhile"]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[ModuleType]:
    """The page's modules, with tables for its models."""
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    written = {block.argument: block for block in blocks(PAGE) if block.verb == "write"}
    with isolate_apps():
        for file in ("shop/models.py", "shop/rules.py", "shop/mails.py", "shop/tests.py"):
            name = file.removesuffix(".py").replace("/", ".")
            module = ModuleType(name)
            monkeypatch.setitem(sys.modules, name, module)
            exec(compile(written[file].code, str(PAGE), "exec"), module.__dict__)
            setattr(sys.modules["shop"], name.partition(".")[2], module)
        for model in vars(sys.modules["shop.models"]).values():
            if isinstance(model, type) and issubclass(model, models.Model):
                make_table(model)
        yield sys.modules["shop"]


def make_table(model: type[models.Model]) -> None:
    """Not by the editor of schemas: on SQLite that wants no transaction."""
    columns = []
    for field in model._meta.local_concrete_fields:
        key = " PRIMARY KEY" if field.primary_key else " NOT NULL"
        suffix = field.db_type_suffix(connection) or ""
        columns.append(f"{connection.ops.quote_name(field.column)} {field.db_type(connection)}{key} {suffix}")
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {connection.ops.quote_name(model._meta.db_table)} ({', '.join(columns)})"
        )


def test_the_tests_of_the_page_pass(shop: Any) -> None:
    tests = {name: test for name, test in vars(shop.tests).items() if name.startswith("test_")}
    assert len(tests) == 4
    for test in tests.values():
        shop.models.Ticket.objects.all().delete()
        shop.models.Order.objects.all().delete()
        test()


def test_they_would_fail_without_the_rules(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for rule in ("OpenTicket", "BoughtMeanwhile"):
        monkeypatch.setattr(getattr(shop.rules, rule), "__call__", lambda *_: None)
    for name, test in vars(shop.tests).items():
        if name.startswith("test_"):
            with pytest.raises(AssertionError):
                test()


def reader(address: str = "rosa@mail.example.org") -> Any:
    factories.make_topics()
    contact = factories.make_contact(address)
    save(contact, SetChoice("offers", "email", SUBSCRIBED))
    return contact


def save(contact: Any, change: Any) -> None:
    submissions.record(
        contact.pk, [change], actor=Actor(ActorType.SUBJECT_SESSION), source=Source(method="page")
    )


def test_a_sender_is_told_what_the_rules_say(shop: Any, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": RULES}
    contact = reader()
    assert decide(contact.pk, "offers", "email").verdict == "send"
    shop.models.Ticket.objects.create(contact=contact.pk)
    answer = decide(contact.pk, "offers", "email")
    assert (answer.reason, str(answer.rule)) == ("open_ticket", "She waits for an answer of ours.")


@pytest.mark.parametrize("buys", [True, False])
def test_who_buys_while_the_reminder_waits_does_not_get_it(
    buys: bool, shop: Any, settings: Any, sink: smtp.Sink
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": RULES}
    with time_machine.travel(NOW, tick=False) as clock:
        contact = reader()
        save(contact, Pause("", "", until=NOW + timedelta(days=7)))
        assert shop.mails.remind(contact).status == Status.WAITING
        clock.move_to(NOW + timedelta(days=4))
        if buys:
            shop.models.Order.objects.create(contact=contact.pk, placed_at=timezone.now())
        assert len(sink.got) == 0
        clock.move_to(NOW + timedelta(days=9))
        drain()
        waited = Waiting.objects.get()
        assert (len(sink.got), waited.outcome) == ((0, "refused") if buys else (1, "sent"))
        assert waited.code == ("bought" if buys else "")


def test_a_digest_goes_without_the_reminder_that_an_order_overtook(
    shop: Any, settings: Any, sink: smtp.Sink
) -> None:
    """Both are about offers, and only one of them calls itself "cart"."""
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": RULES}
    with time_machine.travel(NOW, tick=False) as clock:
        contact = reader()
        save(contact, SetFrequency("", "", "weekly"))
        for number in range(3):
            sale = EmailMessage(f"Sale {number}", "Cheap.", "shop@brand.example", [contact.email])
            status = send(sale, "offers", message_id=f"sale {number}").status
            assert status == (Status.DIGEST if number else Status.SENT)
            clock.shift(timedelta(seconds=1))  # the oldest stands first in a digest
        assert shop.mails.remind(contact).status == Status.DIGEST
        shop.models.Order.objects.create(contact=contact.pk, placed_at=timezone.now())
        clock.move_to(NOW + timedelta(days=6))
        offered = []

        def compose(digest: Any, **_more: Any) -> None:
            offered.append([item.message.subject for item in digest.items])
            digest.send(EmailMessage("This week", "All of it.", "shop@brand.example", [contact.email]))

        digest_due.connect(compose)
        try:
            drain()
        finally:
            digest_due.disconnect(compose)
        assert offered == [["Sale 1", "Sale 2"]]
        assert len(sink.got) == 2
        outcomes = dict(Waiting.objects.values_list("sender", "outcome"))
        assert outcomes == {"django": "in_digest", "cart": "refused"}


def test_the_page_names_what_there_is() -> None:
    text = PAGE.read_text()
    kit = import_module("wagtail_prefs.decisions.testing")
    assert all(f"`{name}" in text or f" {name}" in text for name in kit.__all__)
