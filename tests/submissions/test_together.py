"""People saving at the same moment, on a real database with real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection

from tests import factories
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.values import UNSUBSCRIBED

from .conftest import Scene, make_scene

pytestmark = pytest.mark.django_db(transaction=True)


def side_by_side(*acts: Callable[[], object]) -> list[BaseException]:
    """Run acts at once, each on a connection of its own; what they raised."""
    barrier, errors = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            act()
        except BaseException as error:  # noqa: BLE001 - the test looks at all of them
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def whole(scene: Scene) -> None:
    contact = Contact.objects.get(pk=scene.contact.pk)
    seqs = list(Record.objects.filter(contact_ref=contact.pk).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, contact.version + 1))
    assert ledger.first_broken(contact.pk) is None
    assert Delivery.objects.get(contact=contact.pk).wanted == contact.version


def test_two_tabs_saving_at_once_are_both_applied_or_merged() -> None:
    scene = make_scene()
    topics = ["news", "offers", "events"]
    for number in range(10):
        base = Contact.objects.get().version
        errors = side_by_side(
            *(
                lambda topic=topic, number=number, base=base: scene.save(  # type: ignore[misc]
                    scene.choose(**{topic: number % 2 == 0}), base=base
                )
                for topic in topics
            ),
            lambda base=base: scene.save(scene.choose(news=False), base=base),  # type: ignore[misc]
        )
        assert errors == []
        state = contacts.load_state(scene.contact.pk)
        assert state.choices["news", "email"] == UNSUBSCRIBED or number % 2 == 0
        assert ("offers", "email") in state.choices
        assert ("events", "email") in state.choices
    whole(scene)


def test_a_double_send_is_one_record() -> None:
    scene = make_scene()
    receipts: set[str | None] = set()
    errors = side_by_side(
        *[lambda: receipts.add(scene.save(scene.choose(news=True), key="once", base=0).receipt)] * 8
    )
    assert errors == []
    assert len(receipts) == 1
    assert Record.objects.count() == 1
    whole(scene)


def test_people_do_not_wait_for_each_other_nor_deadlock() -> None:
    scenes = [make_scene()]
    scenes += [
        replace(scenes[0], contact=factories.make_contact(f"p{number}@mail.example.org"))
        for number in range(3)
    ]
    everything = {"news": True, "offers": False, "events": True}
    for number in range(5):
        errors = side_by_side(
            *(
                lambda scene=scene, number=number: scene.save(  # type: ignore[misc]
                    scene.choose(**{topic: value is (number % 2 == 0) for topic, value in everything.items()})
                )
                for scene in scenes
            )
        )
        assert errors == []
    for scene in scenes:
        whole(scene)
