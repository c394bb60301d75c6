"""A published center, a contact, and a short way to save."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests import factories
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import Actor, ActorType, Assurance, Source

PERSON = Actor(ActorType.SUBJECT_SESSION)
_keys = itertools.count()


@dataclass
class Scene:
    """One contact before one center."""

    snapshot: Snapshot
    contact: Contact
    topics: str
    frequency: str
    notice: str
    leave: str
    channels: str

    def save(
        self,
        answers: dict[str, dict[str, Any]],
        *,
        base: int | None = None,
        key: str | None = None,
        epoch: int = 0,
        assurance: Assurance = "link",
    ) -> Saved:
        if base is None:
            base = Contact.objects.values_list("version", flat=True).get(pk=self.contact.pk)
        return submissions.submit(
            link_id=self.contact.link_id,
            epoch=epoch,
            snapshot=self.snapshot,
            base_version=base,
            answers=answers,
            actor=PERSON,
            source=Source(
                method="element",
                form_id=str(self.snapshot.center),
                form_version=self.snapshot.digest,
                language=self.snapshot.locale,
                source_url="https://shop.example",
                ip="203.0.113.77",
            ),
            idempotency_key=key or f"key-{next(_keys)}",
            assurance=assurance,
        )

    def choose(self, **choices: bool) -> dict[str, dict[str, Any]]:
        """Answers for topics by e-mail: `choose(news=True)`."""
        return {self.topics: {"choices": {topic: {"email": value} for topic, value in choices.items()}}}


@pytest.fixture
def scene(db: None) -> Scene:
    return make_scene()


def make_scene() -> Scene:
    page = factories.make_center([*factories.all_blocks(), factories.channels_block()])
    published = centers.current(page.translation_key)
    ids: Callable[[str], str] = lambda kind: factories.block_id(page, kind)  # noqa: E731
    return Scene(
        snapshot=centers.get_snapshot(published.digest),
        contact=factories.make_contact(),
        topics=ids("topics"),
        frequency=ids("frequency"),
        notice=ids("privacy_notice"),
        leave=ids("unsubscribe_all"),
        channels=ids("channels"),
    )
