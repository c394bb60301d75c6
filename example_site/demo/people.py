"""Twenty-five contacts who came, chose, changed their minds; two of them left. Always the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wagtail_prefs.centers import services as centers
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

from . import content
from .center import block_id
from .pages import Scene

COUNT = 25
OPTED_OUT = frozenset({9, 18})
GERMAN_EVERY = 3  # every third contact reads German
THINGS = ("reader", "tandem", "lantern", "pannier", "bell")

Answers = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Person:
    """One contact, told by her number."""

    number: int

    @property
    def email(self) -> str:
        return f"{THINGS[self.number % len(THINGS)]}-{self.number:02}@customer.example"

    @property
    def language(self) -> str:
        return "de" if self.number % GERMAN_EVERY == 0 else "en"

    @property
    def submissions(self) -> list[Answers]:
        """What she sent, in order. Each one changes something, so that her version tells how far she got."""
        return [self._first(), self._second(), *([self._third()] if self.number % 2 else []), *self._last()]

    def _first(self) -> Answers:
        """Signing up: two topics by e-mail, the notice read."""
        return {
            block_id("topics"): {"choices": {key: {"email": True} for key in self._topics()}},
            block_id("privacy_notice"): {"acknowledged": True},
        }

    def _second(self) -> Answers:
        """A second channel, how often, and what she rides."""
        offers = {"sms": True} if self.number % 4 else {"sms": False, "post": True}
        frequency = {"all": content.FREQUENCIES[self.number % len(content.FREQUENCIES)]}
        return {
            block_id("topics"): {"choices": {"offers": offers}},
            block_id("frequency"): {"frequency": frequency},
            block_id("question"): {"answer": self._bikes()},
        }

    def _third(self) -> Answers:
        """Enough of one of them, and fewer text messages."""
        return {
            block_id("topics"): {"choices": {self._topics()[0]: {"email": False}}},
            block_id("frequency"): {"frequency": {"channel:sms": "monthly"}},
        }

    def _last(self) -> list[Answers]:
        return [{block_id("unsubscribe_all"): {"opted_out": True}}] if self.number in OPTED_OUT else []

    def _bikes(self) -> list[str]:
        bikes = list(content.BIKES)
        return [bikes[self.number % len(bikes)]]

    def _topics(self) -> list[str]:
        keys = [topic.key for topic in content.TOPICS]
        return [keys[self.number % len(keys)], keys[(self.number + 2) % len(keys)]]


def people() -> Iterator[Person]:
    return (Person(number) for number in range(1, COUNT + 1))


def live_through(scene: Scene, person: Person) -> Contact:
    """Make the contact and send what is still missing of her history, each as she would from the page."""
    contact = contacts.get_or_create(
        scene.audience.pk, person.email, language=person.language, country="DE", timezone="Europe/Berlin"
    )
    center = scene.centers["en"].translation_key
    shown = centers.current(center, person.language)
    version = contact.version
    for answers in person.submissions[version:]:
        saved = submissions.submit(
            link_id=contact.link_id,
            epoch=contact.epoch,
            snapshot=centers.get_snapshot(shown.digest),
            base_version=version,
            answers=answers,
            actor=Actor(ActorType.SUBJECT_LINK),
            source=Source(
                method="page",
                form_id=str(center),
                form_version=shown.digest,
                language=shown.locale,
                source_url=shown.page_url,
            ),
            idempotency_key=f"demo-{person.number}-{version + 1}",
        )
        version = saved.version
    return contact
