"""After an erasure nothing is left to find her by: not in any table of the site, not in its logs, not in its caches.

A person goes through the doors that ask for an address or tell one, so that each could have left it somewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.core.cache import caches
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories, pages
from tests.admin.staff import EVERYTHING, make_staff
from tests.blocks.asking import asking
from tests.submissions import addresses, sign_ups
from tests.web.conftest import path_of, post
from tests.web.test_fresh import form_of, issued
from wagtail_prefs import send
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.access.services import Purpose, manage_url, one_click_url
from wagtail_prefs.backends import memory
from wagtail_prefs.canonical import canonical
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import GiveReason, Pause, SetAttribute, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import seals, services as ledger
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.rights.erasure import follow_erasures
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.requests import work_off
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db(transaction=True)

FIRST, NOW, TWIN, ASKED = (
    f"anna.meyer@{domain}"
    for domain in ("mail.example.org", "web.example.com", "box.example.org", "post.example.com")
)
ADDRESSES = (FIRST, NOW, TWIN, ASKED)
#: Nobody's, so that a log may name it here.
PLANTED = "zoe.planted@post.example.org"
OTHER = "bea.bystander@mail.example.org"
#: What else of her no place may keep.
WORDS = ("anna.meyer", "zacharias", "kassel", "write to me", "crm-4711", "203.0.113.9")
HERSELF = Actor(ActorType.SUBJECT_SESSION)
PYTHON = Source(method="python")


# --- what there is to read ----------------------------------------------------------------------------------------------


class Lines(logging.Handler):
    """All that any logger says, with what it was given beside its words."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("django.db.backends"):  # what it says while somebody looks at statements
            return
        beside = {name: value for name, value in vars(record).items() if name not in {"msg", "args"}}
        beside.pop("request", None)  # an object of this process, written nowhere
        self.said.append(f"{record.getMessage()} {beside} {logging.Formatter().format(record)}")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.said
    root.setLevel(before)
    root.removeHandler(handler)


@dataclass(frozen=True)
class Found:
    """Everything in one text, and what of it could be a key."""

    text: str
    dump: addresses.Dump

    @property
    def keys(self) -> set[bytes]:
        """Whatever stands there that somebody might have made a keyed digest with: as text, from hex, from base64."""
        found: set[bytes] = set(self.dump.salts) | set(self.dump.digests)
        for word in set(re.findall(r"[A-Za-z0-9+/_=.-]{8,200}", self.text)):
            found.add(word.encode())
            for read in (bytes.fromhex, base64.urlsafe_b64decode):
                try:
                    found.add(read(word))
                except (ValueError, binascii.Error):
                    continue
        for name in re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", self.text):
            found.add(UUID(name).bytes)
        return found


def everything(lines: Iterable[str]) -> Found:
    told = [*_tables(), *_caches(), *lines]
    dump = addresses.of("\n".join(told))
    return Found(dump.text, dump)


def _tables() -> Iterator[str]:
    """Of all apps, also those of Wagtail and Django."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield from (addresses.text_of(value) for value in row if value not in (None, ""))


def _caches() -> Iterator[str]:
    """Keys and pickled values of every cache, as they lie there."""
    for alias in caches:
        kept = caches[alias]._cache  # the caches of the tests are in memory
        yield from kept
        yield from (addresses.text_of(value) for value in kept.values())


def keyed(found: Found, whose: Iterable[str] = ADDRESSES) -> set[str]:
    """Of these addresses those that stand there as a digest whose key stands there, too.

    Only hers are tried: whoever tries a million meets them among the others.
    """
    there, hits = found.dump.digests, set()
    keys = found.keys
    for address in whose:
        for message in _messages(address):
            for key, name in itertools.product(keys, ("sha256", "sha1", "md5")):
                if hmac.digest(key, message, name) in there:
                    hits.add(address)
    return hits


def _messages(address: str) -> set[bytes]:
    spelt = {address, address.upper(), address.title()}
    return {
        *(one.encode() for one in spelt),
        *(canonical(one) for one in spelt),
        f"brand\n{address}".encode(),
    }


# --- her life -----------------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What she did, and who can do more of it."""

    center: PreferenceCenterPage
    contact: Contact
    staff: Client


@pytest.fixture
def life(settings: Any, tmp_path: Path, lines: list[str]) -> Iterator[Life]:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {
            "database": {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"},
            "crm": {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"},
        },
    }
    for alias in caches:
        caches[alias].clear()
    memory.store("crm").clear()
    center = factories.make_center(asking())
    anonymous = Client(enforce_csrf_checks=True, REMOTE_ADDR="203.0.113.9")

    # She comes with a list, moves to another address by the page, and asks for her link.
    people = tmp_path / "people.csv"
    people.write_text(f"email,external_id,news:email\n{FIRST.title()},crm-4711,no\n{OTHER},crm-1,no\n")
    call_command("prefs_import", str(people), "--write", stdout=io.StringIO())
    contact = contacts.find(factories.make_audience().pk, FIRST)
    assert contact is not None and contact.external_id == "crm-4711"
    action, form = form_of(post(anonymous, issued(contact, center), {"do": "open"}))
    assert (
        post(anonymous, action, {**form, "profile.given_name": "Zacharias", "profile.email": NOW}).status_code
        == 200
    )
    moved = urlsplit(Mail.objects.get(kind="change_address").context["url"]).path
    assert post(anonymous, moved, {"do": ""}).status_code == 200
    contact.refresh_from_db()
    assert contact.email == NOW
    for typed in (NOW.upper(), FIRST):
        asked = post(anonymous, f"/prefs/request-link/{center.translation_key}/", {"email": typed})
        assert asked.status_code == 200
    work_off()
    assert Mail.objects.filter(contact=contact.pk, to=NOW).exists()

    # She saves, tells us things, leaves by one press, has a mail that waits, and got one.
    manage = path_of(manage_url(contact, center.translation_key))
    drawn = pages.parse(anonymous.get(manage).content.decode())
    assert post(
        anonymous, manage, pages.submitted(drawn, {"topics.choices.news.email": "1"})
    ).status_code in {200, 303}
    tell(contact, SetAttribute("city", "Kassel"), GiveReason("other", f"Write to me at {TWIN}!"), key=NOW)
    tell(contact, SetChoice("news", "email", SUBSCRIBED), SetChoice("offers", "email", SUBSCRIBED))
    mail = EmailMessage("News", f"Dear {NOW}!", "news@brand.example", [NOW])
    assert str(send(mail, "news", contact=contact, message_id=f"news-{NOW}").status) == "sent"
    tell(contact, Pause("offers", "", timezone.now() + timedelta(days=3)))
    send(
        EmailMessage("Offers", f"Dear {NOW}!", "news@brand.example", [NOW]),
        "offers",
        contact=contact,
        message_id=f"o-{NOW}",
    )
    assert Waiting.objects.count() == 1 and Send.objects.filter(contact=contact.pk).exists()
    one_click = path_of(one_click_url(contact, "news", "email", center.translation_key))
    assert anonymous.post(one_click, {"List-Unsubscribe": "One-Click"}).status_code == 200

    # She asks for yet another address, and has not confirmed it; and another row of hers comes to light.
    access.issue(Purpose.CHANGE_ADDRESS, contact, center=center.translation_key, address=ASKED)
    twin = factories.make_contact(TWIN)
    tell(twin, SetChoice("offers", "email", SUBSCRIBED))
    deliver()
    submissions.merge_contacts(twin.pk, contact.pk, actor=HERSELF, source=PYTHON)

    # Staff look for her, at her, and hand her data out.
    staff = Client()
    staff.force_login(make_staff("officer", *EVERYTHING))
    assert staff.post(reverse("prefs_contacts:index"), {"term": NOW}).status_code == 302
    for name in ("person", "then"):
        assert staff.get(reverse(f"prefs_contacts:{name}", args=[contact.pk])).status_code == 200
    assert NOW in staff.post(reverse("prefs_contacts:reveal", args=[contact.pk])).content.decode()
    exported = staff.post(reverse("prefs_contacts:export", args=[contact.pk]), {"reason": "Asked by letter"})
    assert exported["Content-Type"] == "application/zip"
    deliver()
    # The worker is away for a while, and she asks once more: by an address she had, and by hers a minute later.
    assert (
        post(anonymous, f"/prefs/request-link/{center.translation_key}/", {"email": TWIN}).status_code == 200
    )
    sign_ups.ask_link(center, f" {NOW.title()}")
    assert AccessRequest.objects.count() == 2
    seals.seal(timezone.now(), everything=True)
    yield Life(center, contact, staff)
    memory.store("crm").clear()
    for alias in caches:
        caches[alias].clear()


def tell(contact: Contact, *changes: Any, key: str | None = None) -> None:
    source = Source(method="python", address_as_entered=NOW.title(), ip="203.0.113.9")
    submissions.record(contact.pk, changes, actor=HERSELF, source=source, idempotency_key=key)


def deliver() -> None:
    while Delivery.objects.filter(due_at__lte=timezone.now()).exists():
        delivery.run_once()


@pytest.mark.parametrize("many", [10_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_nothing_is_left_of_her_in_tables_logs_and_caches(
    life: Life, lines: list[str], many: int, tell: Callable[[str], None]
) -> None:
    candidates = [*ADDRESSES, *itertools.islice(addresses.known(), many)]
    before = everything(lines)
    assert addresses.found([*ADDRESSES, "anna.nobody@mail.example.org"], before.dump, "brand") == {*ADDRESSES}
    kept = [word for word in WORDS if word not in before.text.lower()]
    assert set(kept) <= {
        "203.0.113.9",
        "write to me",
    }  # the one is cut when it is stored, the other is quoted

    form = {"reason": "Asked by letter", "word": "erase"}
    answer = life.staff.post(reverse("prefs_contacts:erase", args=[life.contact.pk]), form, follow=True)
    assert answer.status_code == 200
    deliver()
    follow_erasures()
    account = Erasure.objects.get()
    assert {entry["state"] for entry in account.backends.values()} == {"done"} and account.done_at
    assert set(account.backends) == {"crm", "database"}

    after = everything(lines)
    assert str(account.contact) in after.text and "Asked by letter" in after.text and OTHER in after.text
    started = time.perf_counter()
    assert addresses.found(candidates, after.dump, "brand") == set()
    assert keyed(after) == set()
    tell(
        f"nothing left: {len(candidates)} addresses against {len(after.text)} characters of tables, {len(lines)} lines of "
        f"logs and the caches, {len(after.keys)} keys: none found, {time.perf_counter() - started:.1f} s"
    )
    assert [word for word in WORDS if word in after.text.lower()] == []


def test_the_proof_stands_the_platforms_know_and_the_list_does_not_bring_her_back(
    life: Life, tmp_path: Path
) -> None:
    form = {"reason": "Asked by letter", "word": "erase"}
    life.staff.post(reverse("prefs_contacts:erase", args=[life.contact.pk]), form)
    deliver()
    assert {who.email for who in memory.store("crm").erased} >= {NOW}
    assert str(life.contact.pk) not in memory.store("crm").contacts
    for contact in Contact.objects.all():
        assert ledger.first_broken(contact.pk) is None
    seals.seal(timezone.now(), everything=True)
    assert (verify().ok, verify().unsealed) == (True, 0)
    # Whoever has an old list sends her nothing, by any of her addresses.
    people = tmp_path / "again.csv"
    hers = (FIRST, NOW, TWIN)
    rows = "\n".join(f"{address},yes,sheet 7,2026-01-01T00:00:00Z" for address in hers)
    people.write_text(f"email,news:email,evidence,evidence_at\n{rows}\n")
    call_command("prefs_import", str(people), "--write", stdout=io.StringIO())
    for address in hers:
        again = contacts.find(factories.make_audience().pk, address)
        assert contacts.is_suppressed(factories.make_audience().pk, address)
        if again is not None:
            assert again.suppressed
            assert contacts.load_state(again.pk).choices.get(("news", "email")) != SUBSCRIBED


@pytest.mark.parametrize(
    "leak",
    [
        lambda: logging.getLogger("elsewhere").info("mail to %s", PLANTED),
        lambda: logging.getLogger("elsewhere").debug("sent", extra={"to": [PLANTED]}),
        lambda: caches["default"].set(f"seen:{PLANTED}", 1),
        lambda: caches["default"].set("seen", {"to": PLANTED}),
        lambda: caches["default"].set("seen", hashlib.md5(PLANTED.encode()).hexdigest()),
        lambda: (
            caches["default"].set("seen", hmac.digest(b"a key of 16 byte", PLANTED.encode(), "sha256").hex())
            or caches["default"].set("key", b"a key of 16 byte".hex())
        ),
        lambda: planted(hmac.digest(UUID(int=7).bytes, canonical(PLANTED), "sha1").hex(), str(UUID(int=7))),
    ],
)
def test_the_search_would_find_what_was_left(lines: list[str], leak: Callable[[], object]) -> None:
    """What the test above is worth."""
    for alias in caches:
        caches[alias].clear()
    asked = [PLANTED, *ADDRESSES]
    for there in (set(), {PLANTED}):
        found = everything(lines)
        assert addresses.found(asked, found.dump, "brand") | keyed(found, asked) == there
        if not there:
            leak()
    for alias in caches:
        caches[alias].clear()


def planted(digest: str, key: str) -> None:
    """In tables of others."""
    user = make_staff("somebody")
    user.first_name, user.last_name = digest, key
    user.save()
