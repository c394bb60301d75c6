"""A receipt by mail: only where the page says so, only to an address that is hers, and not too often."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from tests import factories
from wagtail_prefs.access import limits
from wagtail_prefs.centers import services as centers
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.mail import sending
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions.unconfirmed import SIGN_UP

from .conftest import Scene, make_scene

pytestmark = pytest.mark.django_db


def page_with(*, mail: bool) -> Scene:
    scene = make_scene()
    history = factories.block("history", {"heading": "History", "text": "", "entries": 5, "mail": mail})
    page = factories.make_center([*factories.all_blocks(), history])
    scene.snapshot = centers.get_snapshot(centers.current(page.translation_key).digest)
    scene.topics = factories.block_id(page, "topics")
    return scene


@pytest.fixture
def scene(db: None) -> Scene:
    return page_with(mail=True)


def posted() -> list[Mail]:
    return list(Mail.objects.filter(kind="receipt").order_by("pk"))


def test_a_save_is_followed_by_a_mail_that_leads_to_its_receipt(
    scene: Scene, client: Client, mailoutbox: list[Any]
) -> None:
    saved = scene.save(scene.choose(news=True))
    [mail] = posted()
    assert (mail.to, mail.contact) == (scene.contact.email, scene.contact.pk)
    assert mail.context["lines"] == ["News by e-mail: subscribed"]
    parts = urlsplit(mail.context["url"])
    answer = client.get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 200
    assert "Your receipt" in answer.content.decode()
    assert str(saved.receipt) in parts.query
    sending.drain()
    [sent] = mailoutbox
    assert sent.subject == "Your receipt: Your choices"
    assert "News by e-mail: subscribed" in sent.body
    assert mail.context["url"] in sent.body


def test_without_the_option_nothing_is_mailed(db: None, django_assert_max_num_queries: Any) -> None:
    scene = page_with(mail=False)
    assert not any("receipt_mail" in spec.rules for spec in scene.snapshot.specs)
    scene.save(scene.choose(news=True))
    assert posted() == []


def test_a_save_that_changes_nothing_and_a_repeat_mail_nothing(scene: Scene) -> None:
    scene.save(scene.choose(news=True), key="once", base=0)
    scene.save(scene.choose(news=True), key="once", base=0)
    scene.save(scene.choose(news=True))
    assert len(posted()) == 1


def test_an_address_that_was_never_confirmed_gets_none(scene: Scene) -> None:
    Contact.objects.filter(pk=scene.contact.pk).update(language_source=SIGN_UP)
    scene.save(scene.choose(news=True))
    assert posted() == []
    scene.save(scene.choose(offers=True))  # she has spoken before
    assert len(posted()) == 1


@pytest.mark.parametrize("field", ["email_dead_at"])
def test_a_dead_address_gets_none(scene: Scene, field: str) -> None:
    Contact.objects.filter(pk=scene.contact.pk).update(**{field: timezone.now()})
    scene.save(scene.choose(news=True))
    assert posted() == []


def test_there_is_an_end_to_it(scene: Scene) -> None:
    for number in range(6):
        scene.save(scene.choose(news=number % 2 == 0))
    assert len(posted()) == limits.LIMITS["receipt_contact"][0][0] == 3
    assert Record.objects.filter(contact_ref=scene.contact.pk).count() == 6


def test_it_is_gone_with_a_save_that_is_rolled_back(scene: Scene) -> None:
    with transaction.atomic():
        scene.save(scene.choose(news=True))
        assert len(posted()) == 1
        transaction.set_rollback(True)
    assert posted() == []
