"""A process inside the demo's Django, which tests ask about its database: `python -m tests.browser.inside`.

One request a line, `[name, {arguments}]`, and one answer a line, both JSON. It stays for the whole run, because Django
takes seconds to start. It sees what the demo committed, on whichever database that runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]


class Inside:
    """The asking side."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.inside"],
            cwd=ROOT,
            env={**env, "DJANGO_SETTINGS_MODULE": "example_site.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, **arguments: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


# --- the answering side ----------------------------------------------------------------------------------------------


def visitor(number: int, language: str, center: str = "") -> Json:
    """A new contact who chose some things before, and her links: to the demo's center, or to another one."""
    from example_site.demo import newsletter
    from wagtail_prefs.changes import SetChoice, SetFrequency
    from wagtail_prefs.contacts import services as contacts
    from wagtail_prefs.submissions import services as submissions
    from wagtail_prefs.topics.models import Audience
    from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

    contact = contacts.get_or_create(
        Audience.objects.get().pk, f"visitor-{number}@customer.example", language=language
    )
    submissions.record(
        contact.pk,
        [
            SetChoice("rides", "email", SUBSCRIBED),
            SetChoice("offers", "sms", SUBSCRIBED),
            SetFrequency("", "", "weekly"),
        ],
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page"),
    )
    links = newsletter.links(contact, UUID(center) if center else _center())
    return {
        "id": str(contact.pk),
        "email": contact.email,
        "manage_url": links.manage,
        "embed_url": links.embed,
        "one_click_url": links.one_click,
    }


def old_link(contact: str) -> str:
    """The way to the own page that a mail of three years ago had."""
    from django.utils import timezone

    from wagtail_prefs.access.services import Purpose, make_token
    from wagtail_prefs.contacts.models import Contact

    issued = timezone.now() - timedelta(days=3 * 365)
    token = make_token(Purpose.MANAGE, Contact.objects.get(pk=contact), center=_center(), issued=issued)
    return f"/prefs/l/{token}/"


def once(contact: str) -> list[str]:
    """Links that work once: to personal fields, to confirm a sign-up, to confirm another address."""
    from wagtail_prefs.access.services import Purpose, issue
    from wagtail_prefs.centers.services import current
    from wagtail_prefs.contacts.models import Contact
    from wagtail_prefs.submissions.confirming import SignUp

    who, center = Contact.objects.get(pk=contact), _center()
    digest = current(center, "en").digest
    sign_up = SignUp(
        digest, {_block(digest, "topics"): {"choices": {"rides": {"email": True}}}}, "en", "", 0, ()
    )
    return [
        issue(Purpose.FRESH, who, center=center),
        issue(Purpose.FRESH, who, center=center, host=0),
        issue(Purpose.CONFIRM, who, center=center, answers=sign_up.to_json()),
        issue(Purpose.CHANGE_ADDRESS, who, center=center, address=f"another-{who.email}"),
    ]


def records(contact: str) -> list[Json]:
    """Her chain, the first record first."""
    from wagtail_prefs.ledger.models import Record

    found = Record.objects.filter(contact_ref=contact).order_by("seq")
    return [{"seq": one.seq, "actor": one.actor, "body": json.loads(one.body)} for one in found]


def state(contact: str) -> Json:
    """What she chose, as every sender sees it."""
    from wagtail_prefs.contacts.services import load_target

    target = load_target(UUID(contact))
    today = target.state
    return {
        "id": contact,
        "email": target.identifiers.email,
        "version": today.version,
        "opted_out": today.opted_out,
        "choices": {f"{topic}:{channel}": value for (topic, channel), value in today.choices.items()},
        "frequencies": {":".join(scope): code for scope, code in today.frequencies.items()},
    }


def by_address(email: str) -> Json:
    """The state of whoever has an address."""
    from wagtail_prefs.contacts.models import Contact

    return state(str(Contact.objects.get(email=email).pk))


def share_data(topic: str, shares: bool) -> bool:
    """Say of a topic whether what it holds is shared with others."""
    from wagtail_prefs.topics.models import Topic

    return bool(Topic.objects.filter(key=topic).update(shares_data=shares))


def settled() -> bool:
    """Whether every backend knows what it should."""
    from django.db.models import F

    from wagtail_prefs.delivery.models import Delivery

    return not Delivery.objects.filter(delivered__lt=F("wanted")).exists()


def fingerprint() -> str:
    """A hash of everything that a safe request must leave alone."""
    digest = hashlib.sha256()
    for model in _of_people():
        for row in sorted(repr(sorted(one.items())) for one in model.objects.values()):
            digest.update(row.encode())
    return digest.hexdigest()


def counted() -> Json:
    """How many there are of what a person can cause, by model."""
    return {model.__name__: model.objects.count() for model in _of_people()}


def center(slug: str, locale: str) -> Json:
    """A published center in one language: which one it is, and the ids of its blocks by their types."""
    from wagtail_prefs.centers.page import PreferenceCenterPage
    from wagtail_prefs.centers.services import current, get_snapshot

    page = PreferenceCenterPage.objects.get(slug=slug, locale__language_code="en")
    shown = current(page.translation_key, locale)
    return {
        "id": str(page.translation_key),
        "locale": shown.locale,
        "blocks": {spec.type: spec.block_id for spec in get_snapshot(shown.digest).specs},
    }


def _block(digest: str, kind: str) -> str:
    from wagtail_prefs.centers.services import get_snapshot

    return next(spec.block_id for spec in get_snapshot(digest).specs if spec.type == kind)


def _of_people() -> list[Any]:
    from wagtail_prefs.access.models import AccessRequest, OneTimeLink
    from wagtail_prefs.contacts.models import Contact, State
    from wagtail_prefs.delivery.models import Delivery
    from wagtail_prefs.ledger.models import Record, SideValue
    from wagtail_prefs.mail.models import Mail

    return [Contact, State, Record, SideValue, Delivery, OneTimeLink, AccessRequest, Mail]


def _center() -> UUID:
    from example_site.demo.content import CENTER_SLUG
    from wagtail_prefs.centers.page import PreferenceCenterPage

    center: UUID = PreferenceCenterPage.objects.get(slug=CENTER_SLUG.en).translation_key
    return center


ANSWERS: Mapping[str, Callable[..., Any]] = {
    answer.__name__: answer
    for answer in (
        visitor,
        old_link,
        records,
        state,
        by_address,
        once,
        share_data,
        settled,
        fingerprint,
        counted,
        center,
    )
}


def main() -> None:
    import django

    django.setup()
    # Only answers leave by the standard output, whatever else is printed on the way.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": ANSWERS[name](**arguments)}
        except Exception:  # noqa: BLE001 - the asking side fails with it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
