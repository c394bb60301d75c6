"""The page that tells anybody whether a receipt is genuine, and nobody anything else; and the person's own receipts."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.utils import timezone

from tests import factories, pages
from tests.rights.test_consent_record import fill, fits
from tests.rights.test_receipts import NEW, ring
from wagtail_prefs.access import limits, revocations
from wagtail_prefs.access.services import Purpose, make_token, manage_url, receipt_path
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger import guard, seals
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.rights import receipts
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

from .conftest import choose, path_of

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture
def record(contact: Contact) -> Record:
    return Record.objects.get(contact_ref=contact.pk)


@pytest.fixture
def shown(record: Record) -> bytes:
    return receipts.as_bytes(receipts.make(record))


def check(client: Client, given: bytes | str, path: str = "/prefs/r/") -> Any:
    text = given if isinstance(given, str) else given.decode()
    return client.post(path, {"receipt": text}, headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"})


def test_the_link_says_when_by_whom_and_that_it_stands_there(strict: Client, record: Record) -> None:
    [seal] = seals.seal()
    answer = strict.get(receipt_path(record.pk))
    assert answer.status_code == 200
    text = text_of(answer)
    for words in (
        "The person herself, on a page",
        "1 of all that was recorded",
        "Whole: it stands there as it was written",
        f"Held by seal {seal.number}",
        record.hash,
        "UTC",
    ):
        assert words in text, words


def test_it_says_nothing_of_her_nor_of_what_she_chose(
    strict: Client, contact: Contact, record: Record
) -> None:
    choose(contact, SetAttribute("city", "Ankh-Morpork"), SetChoice("events", "post", SUBSCRIBED))
    for one in Record.objects.all():
        source = strict.get(receipt_path(one.pk)).content.decode()
        for word in (
            *("news", "News", "offers", "events", "weekly", "Ankh", "city", "anna", "mail.example", "DE"),
            str(contact.pk),
            contact.link_id,
        ):
            assert word not in re.sub(r"[0-9a-f]{64}|v1\.[\w.-]+|nonce=\S+|nonce-\S+", "", source), word


def test_its_address_names_nobody(contact: Contact, record: Record) -> None:
    import base64

    payload = receipt_path(record.pk).split(".")[2]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert said.keys() == {"p", "r"}


def test_a_record_that_was_removed_or_changed_is_told(strict: Client, record: Record) -> None:
    path = receipt_path(record.pk)
    with guard.taken_down("default"):
        Record.objects.filter(pk=record.pk).update(body=record.body.replace("weekly", "daily"))
    assert "Not as it was written: somebody has changed it" in text_of(strict.get(path))
    with guard.taken_down("default"):
        Record.objects.all().delete()
    answer = strict.get(path)
    assert (answer.status_code, "The record itself was removed since" in text_of(answer)) == (200, True)


def test_each_verdict_in_words(strict: Client, shown: bytes, record: Record) -> None:
    assert "This receipt is genuine" in text_of(check(strict, shown))
    changed = shown.replace(b'"weekly"', b'"daily"')
    assert changed != shown
    answer = text_of(check(strict, changed))
    assert "This receipt was changed" in answer
    assert record.hash not in answer  # nothing of the record that it is not
    unknown = shown.replace(str(record.pk).encode(), str(uuid4()).encode())
    assert "We do not know this receipt" in text_of(check(strict, unknown))
    assert "This is no receipt of ours" in text_of(check(strict, "hello"))
    with guard.taken_down("default"):
        Record.objects.filter(pk=record.pk).update(hash="0" * 64)
    assert "The receipt is right, and our record of it was changed" in text_of(check(strict, shown))


def test_after_a_rotation_and_without_the_key(strict: Client, shown: bytes, record: Record) -> None:
    keys = settings.WAGTAIL_PREFS["SIGNING_KEYS"]
    path = receipt_path(record.pk)
    with ring(NEW, *keys):
        assert strict.get(path).status_code == 200
        assert "The key that signed it" not in text_of(check(strict, shown))
    with ring(NEW):
        assert strict.get(path).status_code == 404
        answer = text_of(check(strict, shown))
        assert "This receipt is genuine" in answer
        assert "our records themselves say the same" in answer


def test_a_file_is_taken_as_well(strict: Client, shown: bytes) -> None:
    file = SimpleUploadedFile("receipt.json", shown, content_type="application/json")
    answer = strict.post("/prefs/r/", {"file": file, "receipt": ""}, headers={"Origin": "null"})
    assert "This receipt is genuine" in text_of(answer)


def test_the_form_of_the_page_sends_what_it_takes(strict: Client, record: Record, shown: bytes) -> None:
    page = pages.parse(strict.get(receipt_path(record.pk)).content.decode())
    [form] = page.all("form")
    assert (form.get("action"), form.get("enctype"), form.get("method")) == (
        "/prefs/r/",
        "multipart/form-data",
        "post",
    )
    assert {field.get("name") for field in [*page.all("textarea"), *page.all("input")]} == {"receipt", "file"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"receipt=%7B%7D", "application/x-www-form-urlencoded", 200),
        (b"nonsense", "multipart/form-data; boundary=x", 200),
        (b"nonsense", "multipart/form-data", 415),
        (b"receipt=" + b"a" * (3 * receipts.MAX_BYTES), "application/x-www-form-urlencoded", 413),
    ],
)
def test_what_is_no_form_is_refused(strict: Client, db: None, body: bytes, kind: str, status: int) -> None:
    answer = strict.generic("POST", "/prefs/r/", body, content_type=kind)
    assert answer.status_code == status


def test_whoever_tries_many_waits(strict: Client, db: None) -> None:
    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "LIMITS": {"receipt_check": [(4, 60)]}}):
        limits.forget_process()
        codes = [check(strict, "x").status_code for _ in range(6)]
        limits.forget_process()
    assert codes == [200, 200, 200, 200, 429, 429]


def test_a_token_is_opened_before_anything_is_read(strict: Client, db: None, statements: Any) -> None:
    with statements() as counted:
        assert strict.get("/prefs/r/v1.t1.abc.def/").status_code == 404
        assert check(strict, "x", "/prefs/r/v1.t1.abc.def/").status_code == 404
    # Who guesses is counted, and nothing is looked up.
    assert not [query for query in counted.captured_queries if "record" in query["sql"]]


def test_the_statements_of_the_page(strict: Client, record: Record, shown: bytes, statements: Any) -> None:
    seals.seal()
    with statements() as counted:
        strict.get(receipt_path(record.pk))
    assert len(counted) == 4  # record, neighbours, where the seals begin, seals
    with statements() as counted:
        check(strict, shown)
    assert len(counted) == 4
    with statements() as counted:
        strict.get("/prefs/r/")
    assert len(counted) == 0


# Her own receipts


def links_of(answer: Any) -> dict[str, str]:
    page = pages.parse(answer.content.decode())
    return {" ".join(link.words.split()): str(link.get("href")) for link in page.all("a")}


@pytest.fixture
def with_history(contact: Contact) -> PreferenceCenterPage:
    history = factories.block("history", {"heading": "Your history", "text": "", "entries": 5})
    return factories.make_center([*factories.all_blocks(), history])


def test_a_save_leads_to_its_receipt(strict: Client, contact: Contact, send: Any, manage: str) -> None:
    answer = send(manage, {"f": None})
    saved = strict.get(answer["Location"])
    before = Record.objects.filter(contact_ref=contact.pk).count()
    assert before == 1  # nothing had to change, and there is no receipt of it
    assert "Your receipt" not in links_of(saved)
    name = next(
        field.get("name")
        for field in pages.parse(strict.get(manage).content.decode()).all("input")
        if str(field.get("name")).endswith("choices.news.sms")
    )
    answer = send(manage, {name: "1"})
    saved = strict.get(answer["Location"])
    link = links_of(saved)["Your receipt"]
    assert link.startswith(f"{manage}?receipt=")
    own = strict.get(link)
    assert own.status_code == 200
    text = text_of(own)
    assert "News by text message" in text or "News by SMS" in text, text
    assert "Number 2 of all that was recorded of you" in text


def test_every_entry_of_the_history_leads_to_its_receipt(
    strict: Client, contact: Contact, with_history: PreferenceCenterPage
) -> None:
    choose(contact, OptOut())
    manage = path_of(manage_url(contact, with_history.translation_key))
    page = pages.parse(strict.get(manage).content.decode())
    found = [link.get("href") for link in page.all("a") if "receipt=" in str(link.get("href"))]
    newest = Record.objects.filter(contact_ref=contact.pk).order_by("-seq").values_list("pk", flat=True)
    assert found == [f"{manage}?receipt={pk}" for pk in newest]
    german = pages.parse(strict.get(f"{manage}?locale=de").content.decode())
    first = next(link.get("href") for link in german.all("a") if "receipt=" in str(link.get("href")))
    assert first == f"{manage}?locale=de&receipt={newest[0]}"


def test_the_files_are_what_they_say(strict: Client, contact: Contact, manage: str, record: Record) -> None:
    fill()
    Contact.objects.filter(pk=contact.pk).update(country="DE", language="en")
    own = strict.get(f"{manage}?receipt={record.pk}")
    files = {text: href for text, href in links_of(own).items() if "as=" in href}
    assert len(files) == 3
    signed, consents, kantara = (strict.get(href) for href in files.values())
    assert receipts.check(signed.content).verdict == "genuine"
    fits(json.loads(consents.content), "consent-record")
    fits(json.loads(kantara.content), "consent-receipt")
    for answer, name, kind in (
        (signed, "receipt.json", "application/json"),
        (consents, "consent-record.jsonld", "application/ld+json"),
        (kantara, "consent-receipt.json", "application/json"),
    ):
        assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer["Content-Type"] == kind
        assert answer["Cache-Control"] == "no-store, private"
        assert contact.email not in answer.content.decode()


def test_what_would_have_holes_is_not_offered(strict: Client, manage: str, record: Record) -> None:
    own = strict.get(f"{manage}?receipt={record.pk}")
    assert len([href for href in links_of(own).values() if "as=" in href]) == 1
    for form in ("jsonld", "kantara", "nonsense", ""):
        assert strict.get(f"{manage}?receipt={record.pk}&as={form}").status_code == 404
    assert strict.get(f"{manage}?receipt={record.pk}&as=receipt").status_code == 200


def test_receipts_of_others_are_none(strict: Client, manage: str) -> None:
    other = factories.make_contact("berta@mail.example.org")
    choose(other, OptOut())
    theirs = Record.objects.get(contact_ref=other.pk).pk
    for receipt in (theirs, uuid4(), "x", ""):
        for form in ("", "&as=receipt", "&as=jsonld"):
            answer = strict.get(f"{manage}?receipt={receipt}{form}")
            assert (answer.status_code, "There is no such receipt" in text_of(answer)) == (404, True)


def test_a_link_that_leads_to_a_host_page_shows_a_receipt_here(
    strict: Client, contact: Contact, record: Record
) -> None:
    site = factories.make_site(origins=["https://shop.example"])
    center = factories.make_center(site=site, host_pages="https://shop.example/account")
    path = path_of(manage_url(contact, center.translation_key, host=0))
    assert strict.get(path).status_code == 302
    assert strict.get(f"{path}?receipt={record.pk}").status_code == 200


def test_the_statements_of_her_page(strict: Client, manage: str, record: Record, statements: Any) -> None:
    fill()
    strict.get(f"{manage}?receipt={record.pk}")
    with statements() as counted:
        strict.get(f"{manage}?receipt={record.pk}")
    assert len(counted) <= 18, [query["sql"][:80] for query in counted.captured_queries]
    with statements() as counted:
        strict.get(f"{manage}?receipt={record.pk}&as=receipt")
    assert len(counted) <= 4


def test_a_link_that_is_too_old_or_called_back_shows_no_receipt(
    strict: Client, contact: Contact, center: PreferenceCenterPage, record: Record
) -> None:
    issued = timezone.now() - timedelta(days=61)
    old = make_token(Purpose.MANAGE, contact, center=center.translation_key, issued=issued)
    for query in ("", "&as=receipt", "&as=jsonld"):
        answer = strict.get(f"/prefs/l/{old}/?receipt={record.pk}{query}")
        assert "Content-Disposition" not in answer
        assert "news" not in answer.content.decode().lower()
    new = make_token(Purpose.MANAGE, contact, center=center.translation_key)
    revocations.contact(contact.pk)
    assert strict.get(f"/prefs/l/{new}/?receipt={record.pk}&as=receipt").status_code == 404


def test_whoever_was_merged_or_erased_has_no_page_of_receipts(
    strict: Client, contact: Contact, manage: str, record: Record
) -> None:
    submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "1"), source=Source(method="admin"))
    assert strict.get(f"{manage}?receipt={record.pk}&as=receipt").status_code == 404
    # Who kept the file can still have it checked.
    assert receipts.check(receipts.as_bytes(receipts.make(record))).verdict == "genuine"
