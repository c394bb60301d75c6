"""What a URL of ours in the admin can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.api.client import make_key
from tests.delivery.people import JOIN, save
from tests.factories import make_center, make_contact, make_editor, make_topics
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.rights.erasure import erase_person
from wagtail_prefs.rights.models import Duplicate
from wagtail_prefs.sync import uploads
from wagtail_prefs.sync.models import ImportRun
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import Actor, ActorType, Source


def make_pair(first: Contact, second: Contact) -> Duplicate:
    ids = sorted([first.pk, second.pk])
    found: Duplicate = Duplicate.objects.create(
        audience=first.audience, first=ids[0], second=ids[1], kinds=["phone"], found_at=timezone.now()
    )
    return found


@pytest.fixture
def there() -> Contact:
    """Somebody of the first site, with everything that a URL can name."""
    make_topics()
    contact = make_contact()
    save(contact.pk, JOIN)
    run_once()
    return contact


@pytest.fixture
def url_of(there: Contact) -> Callable[[str, str], str]:
    """The address behind a name, about that person or about what is hers to see."""
    center = make_center()
    topic = Topic.objects.get(key="news")
    delivery = Delivery.objects.get(contact=there.pk)
    pages: dict[str, Any] = {
        "wagtail_prefs_dry_run": {"page_id": center.pk, "persona": "new"},
        "wagtail_prefs_dry_run_add": {
            "content_type_app_name": "wagtail_prefs",
            "content_type_model_name": "preferencecenterpage",
            "parent_page_id": center.get_parent().pk,
            "persona": "new",
        },
    }
    upload = uploads.keep(b"email\n", {}, there.audience, user=make_editor("importer"))
    pair = make_pair(there, make_contact("twin@mail.example.org", audience=there.audience))
    gone = make_contact("erased@mail.example.org", audience=there.audience)
    account = erase_person(gone.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="python"))
    run = ImportRun.objects.create(audience=there.audience, digest="0" * 64, done_at=timezone.now())
    pages |= {"prefs_duplicates:pair": {"pk": pair.pk}, "prefs_duplicates:scan": {"pk": there.audience_id}}
    keys: dict[str, Any] = {
        "prefs_api_keys": make_key(audience=there.audience)[0].pk,
        "prefs_imports": upload.pk,
        "prefs_erasures": account.pk,
        "prefs_contacts": there.pk,
        "prefs_deliveries": delivery.pk,
        "prefs_subscribers": there.pk,
        "topic": topic.pk,
        "topicgroup": topic.group_id,
        "audience": there.audience_id,
    }

    def url(name: str, path: str) -> str:
        values = dict(pages.get(name, {}))
        namespace = name.partition(":")[0].removeprefix("wagtailsnippets_wagtail_prefs_")
        namespace = namespace.removeprefix("wagtailsnippetchoosers_wagtail_prefs_")
        if ":pk>" in path and "pk" not in values:
            values["pk"] = keys[namespace]  # a KeyError here: say which row a new screen of yours is about
        if "delivery_id" in path:
            values["delivery_id"] = delivery.pk
        if ":code>" in path:
            values["code"] = "DE"
        if ":alias>" in path:
            values["alias"] = "database"
        if ":record>" in path:
            values["record"] = Record.objects.get(contact_ref=there.pk, seq=1).pk
        if ":run>" in path:
            values["run"] = run.pk
        return reverse(name, kwargs=values)

    return url
